"""Samples at 16 kHz, frames of 10 ms, and seconds: conversions between them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

SAMPLE_RATE = 16_000  # Hz, of all audio once it is loaded
HOP = 160  # samples a frame, 10 ms; frame `t` is centred at sample `160 t`
FRAMES_PER_SECOND = SAMPLE_RATE // HOP

Number = TypeVar("Number", float, np.ndarray)


def frames_to_seconds(frames: Number) -> Number:
    """Seconds that so many frames last; not rounded."""
    return frames / FRAMES_PER_SECOND


def seconds_to_frames(seconds: Number) -> Number:
    """Frames in so many seconds; not rounded."""
    return seconds * FRAMES_PER_SECOND


def samples_to_seconds(samples: Number) -> Number:
    """Seconds that so many samples last; not rounded."""
    return samples / SAMPLE_RATE


def seconds_to_samples(seconds: float) -> int:
    """Samples in so many seconds, rounded to the nearest."""
    return round(seconds * SAMPLE_RATE)


def samples_to_frames(samples: int) -> int:
    """Frames of so many samples, rounded up: the last frame may be part silence."""
    return -(-samples // HOP)
