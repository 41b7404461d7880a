"""Sound of exactly known F0: glottal pulses and noise, each through spectra that change with time.

Shapes: `N` steps of 5 ms, `K` = 513 frequencies from 0 to 8000 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE

STEP = 80  # samples, 5 ms
SIZE = 1024  # samples of the response to a pulse, 64 ms
FREQUENCIES = np.linspace(0.0, SAMPLE_RATE / 2, SIZE // 2 + 1)  # Hz
SHORT = 256  # samples of a transform of noise


@dataclass
class Speech:
    """What is synthesised, and what is known of it. All arrays have `N` rows.

    Attributes:
        f0: Hz, also where nothing is voiced.
        voiced: 0 to 1, the strength of the pulses.
        tract: magnitudes `(N, K)` of the filter of the pulses.
        noise: magnitudes `(N, K)` of the noise.
        creak: whether the voice is creaky.
        jitter: of the times of pulses, share of a period (standard deviation).
        shimmer: of their amplitudes, share (standard deviation).
        alternation: share by which every other pulse is softer.
        sure: 0 to 1, how much `f0` and `voiced` are to be trusted.
    """

    f0: np.ndarray
    voiced: np.ndarray
    tract: np.ndarray
    noise: np.ndarray
    creak: np.ndarray
    jitter: np.ndarray
    shimmer: np.ndarray
    alternation: np.ndarray
    sure: np.ndarray


def minimum_phase(magnitude: np.ndarray) -> np.ndarray:
    """The complex spectra `(N, K)` of least delay that have these magnitudes."""
    cepstrum = np.fft.irfft(np.log(np.maximum(magnitude, 1e-6)), SIZE)
    cepstrum[:, 1 : SIZE // 2] *= 2.0
    cepstrum[:, SIZE // 2 + 1 :] = 0.0
    return np.exp(np.fft.rfft(cepstrum, SIZE))


def synthesise(speech: Speech, rng: np.random.Generator) -> np.ndarray:
    """Samples `(80 N,)` float32; step `n` is centred at sample `80 n`. Pulses have the power of white noise."""
    steps = len(speech.f0)
    total = np.zeros(steps * STEP + SIZE)
    times = _pulse_times(speech)
    at = np.minimum((times / STEP).astype(int), steps - 1)
    period = SAMPLE_RATE / speech.f0[at]
    times = times + period * np.clip(speech.jitter[at] * rng.standard_normal(len(times)), -0.45, 0.45)
    keep = (times >= 0) & (times < steps * STEP - 1)
    times, at, period = times[keep], at[keep], period[keep]
    size = (
        np.sqrt(period) * speech.voiced[at] * np.maximum(1.0 + speech.shimmer[at] * rng.standard_normal(len(at)), 0.1)
    )
    size = size * (1.0 - speech.alternation[at] * (np.arange(len(at)) % 2))
    whole = np.floor(times).astype(int)
    if len(at):
        phase = np.exp(-1j * np.pi * (times - whole)[:, None] * np.linspace(0.0, 1.0, SIZE // 2 + 1))
        response = np.fft.irfft(minimum_phase(speech.tract)[at] * phase * size[:, None], SIZE)
        for start, one in zip(whole.tolist(), response, strict=True):
            total[start : start + SIZE] += one
    return (total[: steps * STEP] + _noise(speech.noise, rng)).astype(np.float32)


def _pulse_times(speech: Speech) -> np.ndarray:
    """Times of glottal closure in samples, where there is a voice: where the sum of F0 passes whole numbers."""
    place = np.arange(len(speech.f0) * STEP) / STEP
    known = np.arange(len(speech.f0))
    cycles = np.cumsum(np.interp(place, known, speech.f0)) / SAMPLE_RATE
    before = np.flatnonzero(np.diff(np.floor(cycles)) > 0)
    times = before + (np.floor(cycles[before + 1]) - cycles[before]) / (cycles[before + 1] - cycles[before])
    return times[np.interp(times / STEP, known, speech.voiced) > 0.01]


def _noise(magnitude: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White noise of power 1 through the filters, windows of 10 ms overlapped."""
    steps = len(magnitude)
    white = rng.standard_normal((steps, 2 * STEP)) * np.sin(np.pi * (np.arange(2 * STEP) + 0.5) / (2 * STEP))
    shaped = np.fft.irfft(np.fft.rfft(white, SHORT) * magnitude[:, :: SIZE // SHORT], SHORT)
    total = np.zeros((steps + 4) * STEP)
    for part in range(0, SHORT, STEP):  # 80 samples of every window at a time
        one = shaped[:, part : part + STEP]
        row = np.zeros((steps, STEP))
        row[:, : one.shape[1]] = one
        begin = part  # windows begin 80 samples before their centre
        total[begin : begin + steps * STEP] += row.reshape(-1)
    return total[STEP : STEP + steps * STEP]
