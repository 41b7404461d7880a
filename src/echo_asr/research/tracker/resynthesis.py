"""Recordings of speech with another F0 that is then known: by linear prediction, and by PSOLA.

Shapes: `S` samples at 16 kHz, `N` steps of 5 ms, `K` = 513 frequencies from 0 to 8000 Hz.
"""

from __future__ import annotations

import numpy as np

from echo_asr.audio.convert import HOP, samples_to_frames
from echo_asr.audio.level import to_one_level
from echo_asr.data.psola import change_f0
from echo_asr.features.pitch.autocorrelation import AutocorrelationTracker
from echo_asr.features.pitch.track import fill_track
from echo_asr.research.tracker.pulses import FREQUENCIES, STEP, Speech
from echo_asr.research.tracker.voices import HIGHEST, LOWEST, random_contour

ORDER = 18  # of linear prediction
WINDOW = 480  # samples, 30 ms
SHORTEST = 6  # steps of a voice, below which it counts as noise
EDGE = 3  # steps about a change of voicing, in which PSOLA's voicing is not known


def lpc_speech(audio: np.ndarray, rng: np.random.Generator) -> Speech:
    """The sounds of a recording with another F0, vocal tract, speed and breath."""
    audio = to_one_level(audio).astype(np.float64)
    f0, voiced = _measured(audio)
    magnitude = _prediction_spectra(audio)
    steps = len(magnitude)
    speed = rng.uniform(0.7, 1.4)
    source = np.minimum(np.arange(0, steps, speed), steps - 1)
    magnitude, voiced = magnitude[source.astype(int)], voiced[source.astype(int)]
    own = np.interp(source, np.arange(steps), f0)
    if rng.random() < 0.6:
        middle = np.exp(rng.uniform(np.log(60.0), np.log(520.0)))
        f0 = np.clip(own * middle / np.median(own), LOWEST, HIGHEST)
    else:
        f0 = random_contour(len(own), rng)
    longer = np.clip((np.median(f0) / np.median(own)) ** 0.3 * rng.uniform(0.85, 1.15), 0.75, 1.35)
    warped = np.minimum(FREQUENCIES / longer, FREQUENCIES[-1]) / FREQUENCIES[1]
    low = np.minimum(warped.astype(int), len(FREQUENCIES) - 2)
    part = warped - low
    magnitude = magnitude[:, low] * (1.0 - part) + magnitude[:, low + 1] * part
    strength = np.convolve(voiced.astype(np.float64), [0.25, 0.5, 0.25], mode="same")
    corner = rng.uniform(2500.0, 7000.0)  # Hz, from which noise is as strong as the voice
    breath = 10 ** (rng.uniform(-30, -8) / 20) + 0.7 / (1.0 + (corner / np.maximum(FREQUENCIES, 1.0)) ** 4)
    noise = magnitude * ((1.0 - strength)[:, None] + strength[:, None] * breath)
    count = len(f0)
    # The tract takes the level; the strength of pulses is that of the voice alone.
    level = np.sqrt((magnitude**2).mean(axis=1))
    faint = (strength > 0) & (level < 10 ** (-50 / 20) * level.max())
    sure = np.where(faint, 0.0, 1.0)
    jitter = np.full(count, rng.choice([0.0, 0.003, 0.01]))
    shimmer = np.full(count, rng.choice([0.0, 0.03, 0.1]))
    return Speech(f0, strength, magnitude, noise, np.zeros(count), jitter, shimmer, np.zeros(count), sure)


def moved_speech(audio: np.ndarray, semitones: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A recording moved in F0 by PSOLA, or as it is: samples `(S,)`, and F0, voicing and how sure they are `(N,)`."""
    audio = to_one_level(audio)
    f0, voiced = _measured(audio.astype(np.float64))
    ratio = 2.0 ** (semitones / 12.0)
    changed = change_f0(audio, lambda found: np.clip(found * ratio, LOWEST, HIGHEST)) if semitones else audio
    change = np.abs(np.diff(voiced.astype(float), prepend=voiced[0]))
    near = np.convolve(change, np.ones(2 * EDGE + 1), mode="same") > 0
    return changed, np.clip(f0 * ratio, LOWEST, HIGHEST), voiced.astype(np.float64), np.where(near, 0.0, 1.0)


def _measured(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F0 `(N,)`, filled where unvoiced, and voicing `(N,)` without very short voices."""
    frames = samples_to_frames(len(audio))
    found = AutocorrelationTracker()(audio.astype(np.float32), frames)[0]
    steps = len(audio) // STEP
    place = np.arange(steps) * STEP / HOP
    voiced = found[np.minimum(np.round(place).astype(int), frames - 1)] > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(int), [0]])))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin < SHORTEST:
            voiced[begin:end] = False
    return np.interp(place, np.arange(frames), fill_track(found)).astype(np.float64), voiced


def _prediction_spectra(audio: np.ndarray) -> np.ndarray:
    """Magnitudes `(N, K)` of all-pole filters (Levinson and Durbin), such that white noise through them has the
    spectrum of the recording."""
    steps = len(audio) // STEP
    padded = np.pad(np.append(audio[0], audio[1:] - 0.9 * audio[:-1]), WINDOW)
    starts = np.arange(steps) * STEP + WINDOW - WINDOW // 2
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[starts] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, 1024)) ** 2
    correlation = np.fft.irfft(power)[:, : ORDER + 1] / (np.hanning(WINDOW) ** 2).sum()
    correlation[:, 0] = correlation[:, 0] * (1.0 + 1e-5) + 1e-9
    correlation *= np.exp(-0.5 * (2 * np.pi * 40.0 * np.arange(ORDER + 1) / 16000) ** 2)
    error, coefficients = correlation[:, 0].copy(), np.zeros((steps, ORDER + 1))
    coefficients[:, 0] = 1.0
    for order in range(1, ORDER + 1):
        reflected = -(coefficients[:, :order] * correlation[:, order:0:-1]).sum(axis=1) / error
        coefficients[:, 1 : order + 1] += reflected[:, None] * coefficients[:, order - 1 :: -1][:, :order]
        error *= 1.0 - reflected**2
    emphasis = np.abs(np.fft.rfft([1.0, -0.9], 1024))
    return np.sqrt(error)[:, None] / (np.abs(np.fft.rfft(coefficients, 1024)) * emphasis)
