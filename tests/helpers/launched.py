"""Runs in several processes, for the tests: started with torchrun, watched, and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import echo_asr

PACKAGE_ROOT = Path(echo_asr.__file__).parents[1]
PATIENCE = 240.0  # seconds; a machine may be busy


class Launched:
    """`torchrun --nproc-per-node 2 -m echo_asr ...` in a session of its own."""

    def __init__(self, words: Sequence[str | Path], processes: int = 2) -> None:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*command, "-m", "echo_asr", *map(str, words)], env=environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait for something, or for the end."""
        deadline = time.monotonic() + PATIENCE
        while not ready() and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    def kill(self, rank: int) -> int:
        """Kill one of the processes as the system does when memory runs out; returns its id."""
        parent = self.process.pid
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8").split():
            if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                os.kill(int(child), signal.SIGKILL)
                return int(child)
        raise AssertionError(f"no process of rank {rank}")

    def finish(self) -> tuple[int, str, list[str]]:
        """Exit status, standard output, and what Echo said on standard error; torchrun says more than that."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        assert "echo_asr/" not in errors, errors  # no traceback of Echo's; torchrun shows one of its own
        return self.process.returncode, output, errors.splitlines()

    def __enter__(self) -> Launched:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate()


def updates(run: Path) -> int:
    """How many updates a run has metrics of."""
    path = run / "metrics.jsonl"
    return path.read_text().count('"train"') if path.exists() else 0
