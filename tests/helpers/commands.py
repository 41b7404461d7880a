"""Commands as people give them: in this process, and in one of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import echo_asr
from echo_asr.cli import main

PACKAGE_ROOT = Path(echo_asr.__file__).parents[1]


class Place:
    """The words `{model}`, `{corpus}`, ... of a command line, and a folder in which nothing may be left behind."""

    def __init__(self, folder: Path, **named: Path) -> None:
        self.folder, self.named = folder, {**named, "here": folder}

    def fill(self, words: str) -> list[str]:
        return [word.format(**self.named) for word in words.split()]

    def contents(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


def run(words: Sequence[str], capsys: Any) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command."""
    capsys.readouterr()
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    output, errors = capsys.readouterr()
    return status, output, errors


def echo(*words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONUNBUFFERED", None)  # most people's output is buffered
    return subprocess.run(
        [sys.executable, "-m", "echo_asr", *words],
        env=environment, stderr=subprocess.PIPE, text=True, timeout=120, **options,
    )  # fmt: skip
