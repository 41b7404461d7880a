"""Sounds without speech that are nearer to a voice than others, for the third judgement of `benchmarks.silence`."""

from __future__ import annotations

import numpy as np

from benchmarks.sounds import Sound, decaying, shaped, times_of
from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds, seconds_to_samples


def _voiced(length: int, pitch: np.ndarray | float, tract: np.ndarray) -> np.ndarray:
    """Pulses at a pitch in Hz, of each sample or of all, through a tract that rings."""
    source = np.mod(np.cumsum(np.broadcast_to(pitch, length)) / SAMPLE_RATE, 1.0) - 0.5
    return np.convolve(source, tract)[:length]


def _tract(*resonances: tuple[float, float]) -> np.ndarray:
    """What rings after a pulse, of frequencies and bandwidths in Hz."""
    clock = times_of(480)
    return np.asarray(sum(np.sin(2 * np.pi * f * clock) * np.exp(-np.pi * width * clock) for f, width in resonances))


def _calling(size: int, rng: np.random.Generator, gaps: tuple[float, float], longest: float) -> np.ndarray:
    """The samples at which calls begin that may last so many seconds; the first at once."""
    between = rng.uniform(*gaps, 2 + round(samples_to_seconds(size) / gaps[0]))
    starts = (np.cumsum(between) - between[0]) * SAMPLE_RATE
    kept: np.ndarray = starts[starts < max(1, size - seconds_to_samples(longest) // 4)].astype(int)
    return kept if len(kept) else np.zeros(1, int)


def meows(size: int, rng: np.random.Generator) -> np.ndarray:
    """A cat: half a second or more, whose mouth opens and closes while its pitch rises and falls."""
    low = rng.uniform(350.0, 750.0)

    def meow(length: int) -> np.ndarray:
        at = np.linspace(0.0, 1.0, length)
        pitch = low * (1.0 + rng.uniform(0.1, 0.6) * np.sin(np.pi * at ** rng.uniform(0.6, 1.5)))
        closed, opened = (_voiced(length, pitch, _tract((f, 150.0), (3 * f, 300.0))) for f in (500.0, 1300.0))
        mouth = np.sin(np.pi * at) ** 2
        made: np.ndarray = (closed * (1 - mouth) + opened * mouth) * np.hanning(length) ** 0.5
        return made

    return decaying(size, _calling(size, rng, (1.0, 2.5), 0.9), meow, rng.uniform(0.4, 0.9))


def quacks(size: int, rng: np.random.Generator) -> np.ndarray:
    """A duck: a run of short nasal calls, each softer than the one before."""
    pitch, nose, number = rng.uniform(150.0, 320.0), rng.uniform(1000.0, 1800.0), 0

    def quack(length: int) -> np.ndarray:
        nonlocal number
        number += 1
        tract = _tract((nose, 120.0), (1.9 * nose, 200.0), (400.0, 300.0))
        falling = np.linspace(1.15, 0.85, length) * pitch
        made: np.ndarray = _voiced(length, falling, tract) * np.hanning(length) / 1.1 ** (number % 8)
        return made

    return decaying(size, _calling(size, rng, (0.22, 0.5), 0.2), quack, rng.uniform(0.1, 0.2))


def bleats(size: int, rng: np.random.Generator) -> np.ndarray:
    """A goat: a long call whose loudness and pitch tremble seven to fourteen times a second."""
    pitch, tremble = rng.uniform(180.0, 420.0), rng.uniform(7.0, 14.0)

    def bleat(length: int) -> np.ndarray:
        shaking = np.sin(2 * np.pi * tremble * times_of(length))
        tract = _tract((rng.uniform(600.0, 900.0), 100.0), (rng.uniform(1500.0, 2000.0), 150.0), (2700.0, 250.0))
        made: np.ndarray = _voiced(length, pitch * (1 + 0.06 * shaking), tract) * (1 + 0.8 * shaking)
        return made * np.hanning(length) ** 0.3

    return decaying(size, _calling(size, rng, (0.9, 2.0), 0.8), bleat, rng.uniform(0.4, 0.8))


def frogs(size: int, rng: np.random.Generator) -> np.ndarray:
    """Croaks: trains of ten to forty pulses, each of which rings at two frequencies."""
    rate, ring = (
        rng.uniform(30.0, 90.0),
        _tract((rng.uniform(400.0, 900.0), 120.0), (rng.uniform(1400.0, 2600.0), 200.0)),
    )

    def croak(length: int) -> np.ndarray:
        pulses = np.diff(np.floor(times_of(length) * rate), prepend=-1.0) * rng.uniform(0.6, 1.0, length)
        made: np.ndarray = np.convolve(pulses, ring)[:length] * np.linspace(0.3, 1.0, length)
        return made

    return decaying(size, _calling(size, rng, (0.5, 1.6), 0.5), croak, rng.uniform(0.2, 0.5))


def coughs(size: int, rng: np.random.Generator) -> np.ndarray:
    """A burst of air through a throat, then a short voiced end."""

    def cough(length: int) -> np.ndarray:
        clock = times_of(length)
        tract = _tract((rng.uniform(500.0, 800.0), 200.0), (rng.uniform(1200.0, 1800.0), 300.0))
        air = np.convolve(rng.standard_normal(length) * np.exp(-clock / 0.06), tract)[:length]
        end = _voiced(length, rng.uniform(90.0, 250.0), tract) * np.exp(-(((clock - 0.2) / 0.05) ** 2))
        return air / max(float(air.std()), 1e-9) + rng.uniform(0.0, 1.0) * end / max(float(end.std()), 1e-9)

    return decaying(size, _calling(size, rng, (0.4, 2.0), 0.4), cough, 0.4)


def creaks(size: int, rng: np.random.Generator) -> np.ndarray:
    """A door: it sticks and slips 10 to 150 times a second, faster and slower, and its wood rings."""
    turn = np.sin(2 * np.pi * (rng.uniform(0.2, 1.0) * times_of(size) + rng.random()))
    rate = rng.uniform(10.0, 60.0) * 2 ** (1.3 * turn)
    slips = np.diff(np.floor(np.cumsum(rate) / SAMPLE_RATE), prepend=-1.0) * rng.uniform(0.3, 1.0, size)
    wood = _tract(*((f, rng.uniform(40.0, 200.0)) for f in rng.uniform(300.0, 3500.0, 4)))
    return np.convolve(slips, wood)[:size] + 0.003 * rng.standard_normal(size)


def drill(size: int, rng: np.random.Generator) -> np.ndarray:
    """A motor under load: gears, brushes and their whine, which sags when it bites."""
    load = 1.0 - 0.25 * (np.sin(2 * np.pi * (rng.uniform(0.2, 1.5) * times_of(size) + rng.random())) > 0)
    smooth = np.convolve(load, np.full(1600, 1 / 1600), mode="same") + 1e-3
    tract = _tract((rng.uniform(700.0, 2500.0), 300.0), (rng.uniform(2500.0, 5000.0), 400.0))
    whine = _voiced(size, rng.uniform(80.0, 350.0) * smooth, tract)
    return whine / max(float(whine.std()), 1e-9) + rng.uniform(0.1, 0.6) * shaped(size, rng, lambda f: f + 100.0)


def kettle(size: int, rng: np.random.Generator) -> np.ndarray:
    """A whistle that rises as the steam does, with a second tone and a hiss."""
    rise = np.cumsum(rng.uniform(900.0, 2500.0) * 2 ** (rng.uniform(0.0, 0.6) * np.linspace(0.0, 1.0, size)))
    phase = 2 * np.pi * rise / SAMPLE_RATE
    steam = shaped(size, rng, lambda f: (f > 1000.0) + 1e-6)
    swell = 1.0 + 0.2 * np.sin(2 * np.pi * rng.uniform(4.0, 12.0) * times_of(size))
    return swell * (np.sin(phase) + 0.3 * np.sin(1.5 * phase)) + rng.uniform(0.05, 0.5) * steam


THIRD: dict[str, Sound] = {f.__name__: f for f in (meows, quacks, bleats, frogs, coughs, creaks, drill, kettle)}
