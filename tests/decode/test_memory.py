import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from echo_asr.decode.memory import ARENAS, release_memory, share_heaps


def resident() -> int:
    """Bytes that this process holds."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux what the process holds")
def test_what_was_freed_goes_back() -> None:
    """Small blocks, every thousandth kept, are what the C library does not hand back by itself."""
    before = resident()
    blocks = [np.ones(2_000) for _ in range(20_000)]  # 16 kB each, 320 MB
    kept = blocks[::1_000]
    del blocks
    release_memory()
    assert len(kept) == 20 and resident() < before + 100e6


HEAPS = """
import ctypes, sys, threading
from echo_asr.decode.memory import share_heaps
library = ctypes.CDLL("libc.so.6")
if sys.argv[1] == "shared":
    share_heaps()
together = threading.Barrier(9)
def work():
    library.malloc(1000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
together.wait()
library.malloc_stats()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own count of its heaps")
def test_threads_share_heaps() -> None:
    told = {}
    for how in ("shared", "as they are"):
        done = subprocess.run([sys.executable, "-c", HEAPS, how], capture_output=True, text=True, check=True)
        told[how] = done.stderr.count("Arena ")
    if not told["as they are"]:
        pytest.skip("another C library than glibc")
    assert told["shared"] <= ARENAS < told["as they are"]


def test_without_the_library_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echo_asr.decode.memory._c_library", lambda: None)
    release_memory()
    share_heaps()
