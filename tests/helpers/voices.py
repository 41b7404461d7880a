"""Synthetic voices whose F0 is known."""

import numpy as np
from scipy.signal import lfilter

from echo_asr.audio.convert import SAMPLE_RATE

FORMANTS = ((600, 80), (1200, 100), (2500, 150))  # Hz: frequency, bandwidth


def voice(f0: np.ndarray, voiced: np.ndarray, noise_db: float | None = None, seed: int = 0) -> np.ndarray:
    """Glottal pulses of F0 `(S,)` Hz through formants where `voiced` `(S,)`, faint hiss elsewhere; `(S,)`.

    `noise_db` is the ratio of the voiced power to that of white noise over all of it, in dB.
    """
    rng = np.random.default_rng(seed)
    cycles = np.floor(np.cumsum(f0) / SAMPLE_RATE)
    source = np.zeros(len(f0))
    source[1:][np.diff(cycles) > 0] = 1.0
    source = lfilter([1, -1], np.convolve([1, -0.96], [1, -0.9]), source * voiced)
    for hz, width in FORMANTS:
        radius = np.exp(-np.pi * width / SAMPLE_RATE)
        source = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE), radius**2], source)
    audio = 0.3 * source / np.abs(source).max() + 0.003 * rng.standard_normal(len(f0)) * (1 - voiced)
    if noise_db is not None:
        level = np.sqrt(np.mean(audio[voiced > 0] ** 2)) * 10 ** (-noise_db / 20)
        audio = audio + level * rng.standard_normal(len(audio))
    return audio.astype(np.float32)


def syllables(base: float, seconds: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """F0 `(S,)` in Hz gliding over 0.8 octaves about `base`, and voicing `(S,)` on and off twice a second."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return base * 2 ** (0.4 * np.sin(2 * np.pi * 0.7 * time + base)), (time % 0.5 < 0.32).astype(float)
