"""One level for every recording, so that nothing measured in it depends on the gain that it was recorded with."""

from __future__ import annotations

import numpy as np

SILENCE_PEAK = 1e-3  # full scale, -60 dBFS; a recording whose peak lies below is silence


def peak_level(audio: np.ndarray) -> float:
    """Largest magnitude of samples `(S,)`; 0 for none."""
    return float(np.abs(audio).max(initial=0.0))


def to_one_level(audio: np.ndarray) -> np.ndarray:
    """Samples `(S,)` float32 over their peak, which is then 1; zeros where there is nothing but zeros.

    Divided in float64, so that a recording and the same one at another gain differ by their own rounding alone.
    """
    peak = peak_level(audio)
    if not peak:
        return np.zeros(len(audio), np.float32)
    levelled: np.ndarray = (np.asarray(audio, np.float64) / peak).astype(np.float32)
    return levelled
