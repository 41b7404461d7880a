"""Normalises the level of recordings, so that no feature depends on the gain that they were recorded with."""

from __future__ import annotations

import numpy as np

WINDOW = 800  # samples at 16 kHz, 50 ms; a Hann window of it averages any voice away
SOFTEST_SHARE = 0.1  # of the windows of a recording, in which an offset is measured
FEWEST_WINDOWS = 4  # of a recording whose offset can be distinguished from its signal
LEAST_OFFSET = 0.005  # of the peak
AGREEMENT = 0.2  # of an offset, by which the softest windows may differ from it
SILENCE_PEAK = 1e-3  # full scale, -60 dBFS; a recording whose peak lies below is silence


def peak_level(audio: np.ndarray) -> float:
    """Largest magnitude of samples `(S,)`; 0 for none."""
    return float(np.abs(audio).max(initial=0.0))


def without_offset(audio: np.ndarray) -> np.ndarray:
    """Samples `(S,)` float32 without the constant offset of a bad converter, which would count as peak.

    The offset is the mean, under a Hann window, of the softest tenth of the 50 ms windows, if these agree on it. An
    offset under 0.5 % of the peak is left, so that digital silence stays zero.
    """
    windows = audio[: len(audio) // WINDOW * WINDOW].reshape(-1, WINDOW)
    if len(windows) < FEWEST_WINDOWS:
        return audio
    spread = windows.std(axis=1)
    hann = np.hanning(WINDOW)
    means = windows[spread <= np.quantile(spread, SOFTEST_SHARE)] @ (hann / hann.sum())
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
    return (np.asarray(audio, np.float64) / peak).astype(np.float32)


def to_one_level(audio: np.ndarray) -> np.ndarray:
    """Samples `(S,)` float32 without a constant offset, over their peak."""
    return over_peak(without_offset(np.asarray(audio, np.float32)))
