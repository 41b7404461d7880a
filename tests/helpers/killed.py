"""Training in a process of its own, to be killed by a test."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.helpers.launched import PACKAGE_ROOT, updates

__all__ = ["start", "updates", "wait_until"]


def start(config: Path, corpus: Path, run: Path, *words: str) -> subprocess.Popen[str]:
    """Training in a process of its own."""
    command = [sys.executable, "-m", "echo_asr", "train", str(config), "--corpus", str(corpus), "--out", str(run)]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *words], env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60.0, pause: float = 0.005
) -> None:
    """Wait for something, for the end of a process, or for so many seconds."""
    deadline = time.monotonic() + seconds
    while not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(pause)
