"""Removes mains hum (50 or 60 Hz and harmonics), which a pitch tracker would take for a voice."""

from __future__ import annotations

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds
from echo_asr.audio.resampling import resample

MAINS = (50.0, 60.0)  # Hz
STRAY = 0.2  # Hz by which the mains frequency may differ from that
HARMONICS = 8
LOW_RATE = 1600  # Hz, the sample rate at which hum is searched for
WINDOW, STEP = 160, 16  # samples at LOW_RATE: 100 ms, for a resolution of 10 Hz, every 10 ms or so
FEWEST = 20  # windows, below which nothing is removed
LOUDER = 10.0  # times the amplitude of the fundamental, beyond which a line is no harmonic of it
SILENT = 1e-4  # of a recording's peak; resampling leaves less than that in digital silence
BLOCK = 8 * SAMPLE_RATE  # samples that one estimate holds for; the last block may be twice as long
STEADY = 3.0  # amplitude of the fundamental over its spread, from which it is hum
HARMONIC_STEADY = 1.0  # the same for harmonics of a fundamental that is hum; a voice over them makes them vary more
ALWAYS = 0.3  # of its amplitude, which the fundamental exceeds in 19 windows of 20
IN_PHASE = 0.3  # mean of the phases, as unit vectors, below which nothing is steady
TAPER = np.hanning(WINDOW) * (2.0 / np.hanning(WINDOW).sum())  # scaled so that the amplitude of a sine is preserved


def remove_hum(audio: np.ndarray) -> np.ndarray:
    """Samples `(S,)` float32 at 16 kHz without the hum of the mains; the same array where there is none.

    The multiples of 50 or 60 Hz are demodulated to 0 Hz, in windows of 100 ms. The amplitude and phase of hum are the
    median over the windows, which speech, with changing phases, hardly moves. There is hum where the fundamental is
    steady and never absent; a voice at 100 or 150 Hz has no energy at 50. The mains frequency is where the fundamental
    is strongest, within 0.2 Hz, refined until its phase does not drift.
    """
    if len(audio) < (WINDOW + FEWEST * STEP + STEP) * SAMPLE_RATE // LOW_RATE:
        return audio
    starts = np.arange(max(1, len(audio) // BLOCK)) * BLOCK
    blocks = np.split(audio, starts[1:])
    cleaned = [_remove_from_block(block) for block in blocks]
    if all(one is other for one, other in zip(cleaned, blocks, strict=True)):
        return audio
    return np.concatenate(cleaned)


def _remove_from_block(audio: np.ndarray) -> np.ndarray:
    """A block without the louder of the hums of 50 and of 60 Hz, if any."""
    low = resample(audio, SAMPLE_RATE, LOW_RATE).astype(np.float64)
    begins = np.arange(0, len(low) - WINDOW + 1 - STEP, STEP)
    # Jittered: at equal steps, other tones would have a constant phase, too.
    begins += np.random.default_rng(0).integers(STEP, size=len(begins))
    windows = np.lib.stride_tricks.sliding_window_view(low, WINDOW)[begins]
    tenths = np.abs(windows).reshape(len(windows), 10, -1).max(axis=2, initial=0.0)
    active = tenths.min(axis=1) > SILENT * np.abs(low).max()  # digital silence has no hum
    if active.sum() < FEWEST:
        return audio
    windows, begins = windows[active], begins[active] / LOW_RATE
    found = [lines for mains in MAINS if (lines := _lines(windows, begins, mains))]
    if not found:
        return audio
    time = samples_to_seconds(np.arange(len(audio)))
    louder = max(found, key=lambda lines: sum(abs(phasor) ** 2 for _, phasor in lines))
    hum = sum((phasor * np.exp(2j * np.pi * frequency * time)).real for frequency, phasor in louder)
    return (audio - hum).astype(np.float32)


def _lines(windows: np.ndarray, begins: np.ndarray, mains: float) -> list[tuple[float, complex]]:
    """Frequency in Hz and complex amplitude of each steady line, if the fundamental `mains` (Hz) is among them.

    Args:
        windows: `(T, WINDOW)`.
        begins: in seconds, `(T,)`.
    """
    strays = np.linspace(-STRAY, STRAY, 41)
    own = _demodulated(windows, begins, mains)
    turns = np.exp(-2j * np.pi * strays * begins[:, None])
    if np.abs((own / np.maximum(np.abs(own), 1e-12)) @ turns).max() < IN_PHASE * len(own):
        return []  # as in most recordings, which saves the medians
    frequency = mains + strays[int(np.abs(_median(own[:, None] * turns)).argmax())]
    if not _is_hum(_demodulated(windows, begins, frequency), 1.0):
        return []
    for _ in range(3):  # refined by the drift of the phase in windows with little but hum
        own = _demodulated(windows, begins, frequency)
        level = _median(own)
        near = _near(own, level)
        slope = np.polyfit(begins[near], np.angle(own[near] / level), 1)[0]
        frequency += float(np.clip(slope / (2 * np.pi), -STRAY, STRAY))
    if abs(frequency - mains) > 2 * STRAY or not _is_hum(_demodulated(windows, begins, frequency), STEADY):
        return []
    found: list[tuple[float, complex]] = []
    for multiple in range(1, HARMONICS + 1):
        line = _demodulated(windows, begins, frequency * multiple)
        level = _median(line)
        louder = np.abs(level) > LOUDER * abs(found[0][1]) if found else False  # a steady voice, most likely
        if not louder and np.abs(level) >= HARMONIC_STEADY * np.median(np.abs(line - level)):
            found.append((frequency * multiple, complex(line[_near(line, level)].mean())))
    return found


def _is_hum(line: np.ndarray, steady: float) -> bool:
    """Whether a line `(T,)` is steady and never absent."""
    level = _median(line)
    varies = np.median(np.abs(line - level))
    return bool(np.abs(level) > max(steady * varies, 1e-9) and np.quantile(np.abs(line), 0.05) > ALWAYS * np.abs(level))


def _near(line: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The windows `(T,)` in which there is little but hum."""
    distance = np.abs(line - level)
    return distance <= 1.5 * np.median(distance)


def _demodulated(windows: np.ndarray, begins: np.ndarray, frequency: float) -> np.ndarray:
    """Complex amplitudes `(T,)` of a frequency in Hz, with phases as of time 0."""
    angle = 2 * np.pi * frequency * np.arange(WINDOW) / LOW_RATE
    real, imaginary = (windows @ (TAPER * wave) for wave in (np.cos(angle), -np.sin(angle)))
    return (real + 1j * imaginary) * np.exp(-2j * np.pi * frequency * begins)


def _median(values: np.ndarray) -> np.ndarray:
    """Median over the first dimension, of real and imaginary parts apart."""
    return np.median(values.real, axis=0) + 1j * np.median(values.imag, axis=0)
