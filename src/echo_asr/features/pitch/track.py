"""What all pitch trackers share: their interface, and F0 interpolated over unvoiced frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

LEAP = 0.5  # octaves between neighbouring frames, above which F0 is not interpolated
REFERENCE_F0 = 220.0  # Hz, the track of an utterance without a voiced frame, and vRoPE's default reference


class PitchTracker(Protocol):
    """Measures F0 and periodicity. `name` and `version` are part of the key of cached features."""

    name: str
    version: str

    def __call__(self, audio: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """F0 `(T,)` float32 in Hz, 0 where unvoiced, and periodicity `(T,)` float32 in 0..1.

        Args:
            audio: `(S,)` float32 at 16 kHz.
            frames: `T`; frame `t` is centred at sample `160 t`.
        """
        ...

    def batch(self, recordings: Sequence[np.ndarray], frames: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """The same of several recordings, each of so many frames."""
        return [self(audio, count) for audio, count in zip(recordings, frames, strict=True)]


def octaves_between(octaves: np.ndarray, voiced: np.ndarray, position: np.ndarray) -> np.ndarray:
    """F0 in octaves `(N,)` at positions in frames, from that of frames `(T,)` and whether they are voiced.

    Linear between two voiced neighbours; beside an unvoiced one, the value of the voiced one, and across a leap of
    more than half an octave that of the nearer one.
    """
    before = np.minimum(position.astype(np.int64), len(octaves) - 1)
    after = np.minimum(before + 1, len(octaves) - 1)
    weight = position - before
    nearer = np.where(weight < 0.5, before, after)
    blended = (1 - weight) * octaves[before] + weight * octaves[after]
    leap = np.abs(octaves[before] - octaves[after]) > LEAP
    only_before, only_after = voiced[before] & ~voiced[after], voiced[after] & ~voiced[before]
    cases = [octaves[before], octaves[after], octaves[nearer]]
    return np.select([only_before, only_after, leap], cases, blended)


def fill_track(f0: np.ndarray) -> np.ndarray:
    """Interpolate F0 `(T,)` in Hz, 0 where unvoiced, over unvoiced frames: `(T,)` float32, above 0 throughout.

    Linear in octaves between voiced frames; the first and the last voiced value are held to the ends; 220 Hz
    throughout if nothing is voiced. Voiced frames keep their value.
    """
    voiced = np.flatnonzero(f0 > 0)
    if voiced.size == 0:
        return np.full(len(f0), REFERENCE_F0, dtype=np.float32)
    filled = np.exp2(np.interp(np.arange(len(f0)), voiced, np.log2(f0[voiced].astype(np.float64))))
    return np.where(f0 > 0, f0, filled).astype(np.float32)
