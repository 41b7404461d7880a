"""Bounds of the sample rate and the length of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np

from echo_asr.errors import EchoError

LOWEST_RATE, HIGHEST_RATE = 1_000, 1_000_000  # Hz; below no speech is left, and bats are recorded at 500 kHz
LONGEST_CLIP = 2 * 3600.0  # seconds that are held in memory at once; longer recordings are streamed
LONGEST_RECORDING = 7 * 86_400.0  # seconds, of a time stamp
BLOCK = 1 << 20  # samples of all channels together that are read at a time


def checked_rate(rate: Any) -> int:
    """The sample rate of an array, in Hz.

    Raises:
        EchoError: it is not a whole number within the bounds.
    """
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or rate <= 0:
        raise EchoError(f"sampling_rate: expected a positive whole number of Hz, got {rate!r}")
    refuse_rate("sampling_rate", int(rate))
    return int(rate)


def refuse_rate(name: str, rate: int) -> None:
    """Refuse a rate at which no speech is recorded: from 1 Hz, resampling would make 16,000 samples of each.

    Raises:
        EchoError: it is out of bounds.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        what = f"states a sample rate of {rate} Hz; expected {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        raise EchoError(f"{name}: {what}: correct its header, or convert it again")


def refuse_length(name: str, seconds: float) -> None:
    """Refuse a clip that is too long to be held in memory.

    Raises:
        EchoError: it lasts more than two hours.
    """
    if seconds > LONGEST_CLIP:
        what = f"lasts more than {LONGEST_CLIP / 3600:.0f} hours, too long to be loaded at once"
        raise EchoError(f"{name}: {what}; cut it into utterances, or transcribe it, which reads it bit by bit")
