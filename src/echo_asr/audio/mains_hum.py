"""The hum of the mains, found and taken away before pitch is measured, for which it passes otherwise."""

from __future__ import annotations

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds
from echo_asr.audio.resampling import resample

MAINS = (50.0, 60.0)  # Hz
STRAY = 0.2  # Hz, how far the mains may be from that
HARMONICS = 8
LOW_RATE = 1600  # Hz, at which the lines are looked for
WINDOW, STEP = 160, 16  # samples of it: 100 ms, for a resolution of 10 Hz, every 10 ms or so
FEWEST = 20  # windows, below which nothing is looked for
LOUDER = 10.0  # times the mains' own line, beyond which another is none of its harmonics
SILENT = 1e-4  # of a recording's peak; resampling leaves less than that where there was nothing
BLOCK = 8 * SAMPLE_RATE  # samples that one estimate holds for; the last block may be twice as long
STEADY = 3.0  # a line's level over how much it varies, from which it is hum
HEARD = 1.0  # the same for harmonics, once the mains' own line is: under a voice they vary more, and are there
ALWAYS = 0.3  # of its level, which the mains' own line passes in 19 windows of 20
TAPER = np.hanning(WINDOW) * (2.0 / np.hanning(WINDOW).sum())  # brings a line's amplitude out as it is


def remove_hum(audio: np.ndarray) -> np.ndarray:
    """Samples `(S,)` float32 at 16 kHz without the hum of the mains; the same array where there is none.

    The lines at multiples of 50 or 60 Hz are brought down to 0 Hz, in windows of 100 ms. What stands still there is
    hum: its amplitude and phase are the median over the windows, which speech, coming and going at phases of its own,
    hardly moves. There is hum where the mains' own line is steady and never gone: a voice at 100 or 150 Hz has none at
    50. The mains are where their line is strongest, within 0.2 Hz, and then where its phase does not move.
    """
    if len(audio) < (WINDOW + FEWEST * STEP + STEP) * SAMPLE_RATE // LOW_RATE:
        return audio
    starts = np.arange(max(1, len(audio) // BLOCK)) * BLOCK
    blocks = np.split(audio, starts[1:])
    cleaned = [_without(block) for block in blocks]
    if all(one is other for one, other in zip(cleaned, blocks, strict=True)):
        return audio
    return np.concatenate(cleaned)


def _without(audio: np.ndarray) -> np.ndarray:
    """A block without the louder of the hums of either mains, if any."""
    low = resample(audio, SAMPLE_RATE, LOW_RATE).astype(np.float64)
    begins = np.arange(0, len(low) - WINDOW + 1 - STEP, STEP)
    # At a steady pace other tones would stand still, too.
    begins += np.random.default_rng(0).integers(STEP, size=len(begins))
    windows = np.lib.stride_tricks.sliding_window_view(low, WINDOW)[begins]
    tenths = np.abs(windows).reshape(len(windows), 10, -1).max(axis=2, initial=0.0)
    sounding = tenths.min(axis=1) > SILENT * np.abs(low).max()  # digital silence has no hum
    if sounding.sum() < FEWEST:
        return audio
    windows, begins = windows[sounding], begins[sounding] / LOW_RATE
    found = [lines for mains in MAINS if (lines := _lines(windows, begins, mains))]
    if not found:
        return audio
    time = samples_to_seconds(np.arange(len(audio)))
    louder = max(found, key=lambda lines: sum(abs(phasor) ** 2 for _, phasor in lines))
    hum = sum((phasor * np.exp(2j * np.pi * frequency * time)).real for frequency, phasor in louder)
    cleaned: np.ndarray = (audio - hum).astype(np.float32)
    return cleaned


def _lines(windows: np.ndarray, begins: np.ndarray, mains: float) -> list[tuple[float, complex]]:
    """Frequency in Hz and complex amplitude of each steady line, if the mains' own is among them.

    Args:
        windows: `(T, WINDOW)`.
        begins: in seconds, `(T,)`.
    """
    strays = np.linspace(-STRAY, STRAY, 41)
    own = _brought_down(windows, begins, mains)
    turned = own[:, None] * np.exp(-2j * np.pi * strays * begins[:, None])
    frequency = mains + strays[int(np.abs(_median(turned)).argmax())]
    if not _is_hum(_brought_down(windows, begins, frequency), 1.0):
        return []
    for _ in range(3):  # finer: by how the phase moves where nothing else is heard
        own = _brought_down(windows, begins, frequency)
        level = _median(own)
        near = _near(own, level)
        slope = np.polyfit(begins[near], np.angle(own[near] / level), 1)[0]
        frequency += float(np.clip(slope / (2 * np.pi), -STRAY, STRAY))
    if abs(frequency - mains) > 2 * STRAY or not _is_hum(_brought_down(windows, begins, frequency), STEADY):
        return []
    found: list[tuple[float, complex]] = []
    for multiple in range(1, HARMONICS + 1):
        line = _brought_down(windows, begins, frequency * multiple)
        level = _median(line)
        louder = np.abs(level) > LOUDER * abs(found[0][1]) if found else False  # a steady voice, most likely
        if not louder and np.abs(level) >= HEARD * np.median(np.abs(line - level)):
            found.append((frequency * multiple, complex(line[_near(line, level)].mean())))
    return found


def _is_hum(line: np.ndarray, steady: float) -> bool:
    """Whether a line `(T,)` is steady and never gone."""
    level = _median(line)
    varies = np.median(np.abs(line - level))
    return bool(np.abs(level) > max(steady * varies, 1e-9) and np.quantile(np.abs(line), 0.05) > ALWAYS * np.abs(level))


def _near(line: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Where `(T,)` little but the hum is heard."""
    distance = np.abs(line - level)
    near: np.ndarray = distance <= 1.5 * np.median(distance)
    return near


def _brought_down(windows: np.ndarray, begins: np.ndarray, frequency: float) -> np.ndarray:
    """Complex amplitudes `(T,)` of a frequency in Hz, with phases as of time 0."""
    angle = 2 * np.pi * frequency * np.arange(WINDOW) / LOW_RATE
    real, imaginary = (windows @ (TAPER * wave) for wave in (np.cos(angle), -np.sin(angle)))
    amplitudes: np.ndarray = (real + 1j * imaginary) * np.exp(-2j * np.pi * frequency * begins)
    return amplitudes


def _median(values: np.ndarray) -> np.ndarray:
    """Of complex values over the first dimension, part by part."""
    median: np.ndarray = np.median(values.real, axis=0) + 1j * np.median(values.imag, axis=0)
    return median
