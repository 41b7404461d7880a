"""Small recordings, and folders of them in the forms that people have."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when those libraries are imported: no test asks the network
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
RATE = 16_000  # Hz


def tone(seconds: float, hertz: float = 200.0, channels: int = 1) -> np.ndarray:
    """`(S, channels)`; a channel's tone is an octave above that of the one before."""
    time = np.arange(round(seconds * RATE)) / RATE
    return np.stack([0.2 * np.sin(2 * np.pi * hertz * 2**c * time) for c in range(channels)], axis=1)


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """`(name, content="")`: write a text file, or a recording of so many seconds, into the test's folder."""

    def write(name: str, content: str | float = "", **signal: float) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="")
        else:
            soundfile.write(path, tone(content, **signal), RATE)  # type: ignore[arg-type]
        return path

    return write
