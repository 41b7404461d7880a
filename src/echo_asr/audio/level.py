"""One level for every recording, so that nothing measured in it depends on the gain that it was recorded with."""

from __future__ import annotations

import numpy as np

STRETCH = 800  # samples at 16 kHz, 50 ms, of which a window lets no voice through
SOFTEST_SHARE = 0.1  # of a recording, in which an offset is looked for
FEWEST_STRETCHES = 4  # in a recording with an offset that can be told from its sound
LEAST_OFFSET = 0.005  # of the peak
AGREEMENT = 0.2  # of an offset, by which the softest stretches may differ from it
SILENCE_PEAK = 1e-3  # full scale, -60 dBFS; a recording whose peak lies below is silence


def peak_level(audio: np.ndarray) -> float:
    """Largest magnitude of samples `(S,)`; 0 for none."""
    return float(np.abs(audio).max(initial=0.0))


def without_offset(audio: np.ndarray) -> np.ndarray:
    """Samples `(S,)` float32 without the constant offset of a bad converter, which is no sound and would count as peak.

    It is the mean, under a Hann window, of the softest tenth of the stretches of 50 ms, where little else is, if these
    agree on it. One under 0.5 % of the peak is left, so that digital silence stays zero.
    """
    stretches = audio[: len(audio) // STRETCH * STRETCH].reshape(-1, STRETCH)
    if len(stretches) < FEWEST_STRETCHES:
        return audio
    spread = stretches.std(axis=1)
    window = np.hanning(STRETCH)
    means = stretches[spread <= np.quantile(spread, SOFTEST_SHARE)] @ (window / window.sum())
    offset = float(means.mean())
    if abs(offset) < LEAST_OFFSET * peak_level(audio) or np.abs(means - offset).max() > AGREEMENT * abs(offset):
        return audio
    return (audio - offset).astype(np.float32)


def over_peak(audio: np.ndarray) -> np.ndarray:
    """Samples `(S,)` float32 over their peak, which is then 1; zeros where there is nothing but zeros.

    Divided in float64, so that a recording and the same one at another gain differ by their own rounding alone.
    """
    peak = peak_level(audio)
    if not peak:
        return np.zeros(len(audio), np.float32)
    levelled: np.ndarray = (np.asarray(audio, np.float64) / peak).astype(np.float32)
    return levelled


def to_one_level(audio: np.ndarray) -> np.ndarray:
    """Samples `(S,)` float32 without a constant offset, over their peak."""
    return over_peak(without_offset(np.asarray(audio, np.float32)))
