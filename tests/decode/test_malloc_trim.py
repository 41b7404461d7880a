import sys
from pathlib import Path

import numpy as np
import pytest

from echo_asr.decode.malloc_trim import release_memory


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


def test_without_the_library_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echo_asr.decode.malloc_trim._c_library", lambda: None)
    release_memory()
