"""Sounds without speech, for `benchmarks.silence`: families that no training of Echo draws from.

For choosing anything there is `DEVELOP`. The others were each written before they were read, and read once for a
figure; afterwards they have been looked at, so that the next figure needs others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds, seconds_to_samples

Sound = Callable[[int, np.random.Generator], np.ndarray]


def _shaped(size: int, rng: np.random.Generator, density: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Gaussian noise whose power density is a function of frequencies in Hz, with an RMS of 1."""
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    parts = rng.standard_normal((2, len(frequencies)))
    made: np.ndarray = np.fft.irfft(np.sqrt(density(frequencies)) * (parts[0] + 1j * parts[1]), size)
    return made / max(float(made.std()), 1e-12)


def _clock(size: int) -> np.ndarray:
    return samples_to_seconds(np.arange(size))


def _decaying(size: int, starts: np.ndarray, make: Callable[[int], np.ndarray], longest: float) -> np.ndarray:
    """Sounds of up to so many seconds that begin at these samples; `make` is called with the samples of each."""
    made = np.zeros(size)
    for start in starts.tolist():
        length = min(size - start, seconds_to_samples(longest))
        made[start : start + length] += make(length)
    return made


def blue(size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise that rises by 3 dB an octave."""
    return _shaped(size, rng, lambda f: f)


def band(size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of half an octave or so."""
    low = rng.uniform(200.0, 2000.0)
    return _shaped(size, rng, lambda f: 1.0 * ((f >= low) & (f <= 1.5 * low)) + 1e-9)


def fan(size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise that swells several times a second, over the tones of its blades."""
    rate = rng.uniform(3.0, 12.0)
    noise = _shaped(size, rng, lambda f: ((f > 50) & (f < 4000)) / np.maximum(f, 1.0))
    swell = 1.0 + 0.4 * np.sin(2 * np.pi * rate * _clock(size))
    tones = sum(np.sin(2 * np.pi * rate * 8 * k * _clock(size)) / k for k in range(1, 5))
    return swell * noise + 0.5 * np.asarray(tones)


def sweep(size: int, rng: np.random.Generator) -> np.ndarray:
    """A tone that rises and falls between 200 and 3000 Hz."""
    position = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(0.1, 0.5) * _clock(size) + rng.random()))
    made: np.ndarray = np.sin(2 * np.pi * np.cumsum(200.0 * 15.0**position) / SAMPLE_RATE)
    return made


def beeps(size: int, rng: np.random.Generator) -> np.ndarray:
    """A tone on and off, as of a machine."""
    on = np.mod(_clock(size) * rng.uniform(0.7, 2.0), 1.0) < 0.4
    made: np.ndarray = on * np.sin(2 * np.pi * rng.uniform(400.0, 2500.0) * _clock(size))
    return made


def knocks(size: int, rng: np.random.Generator) -> np.ndarray:
    """Dull blows that die away within a tenth of a second."""
    starts = rng.integers(0, size, max(1, round(1.5 * samples_to_seconds(size))))

    def blow(length: int) -> np.ndarray:
        made: np.ndarray = np.exp(-_clock(length) / 0.03)
        return made * np.sin(2 * np.pi * rng.uniform(80.0, 250.0) * _clock(length))

    return _decaying(size, starts, blow, 0.25)


def rain(size: int, rng: np.random.Generator) -> np.ndarray:
    """Hundreds of drops a second, each a click or a short ring, over a hiss."""
    rate = np.exp(rng.uniform(np.log(50.0), np.log(800.0)))
    drops = (rng.random(size) < rate / SAMPLE_RATE) * rng.exponential(1.0, size) * rng.choice([-1.0, 1.0], size)
    ring = np.exp(-_clock(200) / rng.uniform(0.0005, 0.003)) * np.cos(2 * np.pi * rng.uniform(800, 4000) * _clock(200))
    fallen = np.convolve(drops, ring)[:size]
    hiss = _shaped(size, rng, lambda f: (f > 500) / np.maximum(f, 1.0) ** 0.5)
    return fallen / max(float(fallen.std()), 1e-9) + rng.uniform(0.05, 0.5) * hiss


def chords(size: int, rng: np.random.Generator) -> np.ndarray:
    """Music: chords of three or four notes of a scale, struck one after the other, each note with overtones."""
    made, start, key = np.zeros(size), 0, rng.uniform(90.0, 200.0)
    bright, fade = rng.uniform(1.0, 2.5), rng.uniform(0.2, 1.5)
    while start < size:
        length = min(size - start, seconds_to_samples(rng.uniform(0.25, 1.5)))
        root, clock = int(rng.integers(7)), _clock(length)
        for step in (0, 2, 4, 6)[: int(rng.integers(3, 5))]:
            degree = root + step
            note = key * 2 ** ((0, 2, 4, 5, 7, 9, 11)[degree % 7] / 12 + degree // 7)
            for overtone in range(1, 9):
                if note * overtone < 7500:
                    made[start : start + length] += (
                        np.sin(2 * np.pi * note * overtone * clock + rng.uniform(0, 6.28))
                        * np.exp(-clock * overtone**0.5 / fade)
                        * np.minimum(1.0, clock / 0.01)
                        / overtone**bright
                    )
        start += length
    return made


def birds(size: int, rng: np.random.Generator) -> np.ndarray:
    """Whistled glides of a tenth of a second, in runs, between 1.5 and 7 kHz."""
    made, start = np.zeros(size), int(rng.integers(max(1, size // 4)))
    while start < size:
        low, span = rng.uniform(1500.0, 4500.0), rng.uniform(-1.0, 1.0)
        seconds, trill = rng.uniform(0.04, 0.25), rng.uniform(0.0, 60.0)
        for _ in range(int(rng.integers(1, 9))):
            length = min(size - start, seconds_to_samples(seconds))
            if length <= 0:
                break
            clock = _clock(length)
            pitch = np.clip(low * 2 ** (span * clock / seconds + 0.05 * np.sin(2 * np.pi * trill * clock)), 500, 7500)
            window = np.sin(np.pi * np.arange(length) / length)
            made[start : start + length] += window * np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE)
            start += length + seconds_to_samples(rng.uniform(0.02, 0.12))
        start += seconds_to_samples(rng.uniform(0.1, 1.0))
    return made if made.any() else np.sin(2 * np.pi * 3000.0 * _clock(size))


def engine(size: int, rng: np.random.Generator) -> np.ndarray:
    """Explosions 15 to 90 times a second, at a speed that drifts, through a pipe, over a rumble."""
    rate = rng.uniform(15.0, 90.0) * 2 ** (
        0.5 * np.sin(2 * np.pi * (rng.uniform(0.02, 0.5) * _clock(size) + rng.random()))
    )
    fired = np.diff(np.floor(np.cumsum(rate) / SAMPLE_RATE), prepend=0.0) * rng.uniform(0.6, 1.4, size)
    pipe = sum(
        np.exp(-_clock(1600) / rng.uniform(0.003, 0.03)) * np.sin(2 * np.pi * rng.uniform(60, 900) * _clock(1600))
        for _ in range(4)
    )
    exhaust = np.convolve(fired, np.asarray(pipe))[:size]
    rumble = _shaped(size, rng, lambda f: (f > 30) / np.maximum(f, 1.0) ** 1.5)
    return exhaust / max(float(exhaust.std()), 1e-9) + rng.uniform(0.2, 1.0) * rumble


def keyboard(size: int, rng: np.random.Generator) -> np.ndarray:
    """Keys: a click, and a softer one when the key comes up."""
    gaps = rng.gamma(3.0, rng.uniform(0.03, 0.12), 4 + round(12 * samples_to_seconds(size)))
    down = np.cumsum(gaps)
    times = np.concatenate([down, down + rng.uniform(0.06, 0.12, len(down))])
    starts = (times[times < samples_to_seconds(size)] * SAMPLE_RATE).astype(int)
    body = rng.uniform(300.0, 1500.0)

    def key(length: int) -> np.ndarray:
        clock = _clock(length)
        thud = np.sin(2 * np.pi * body * rng.uniform(0.9, 1.1) * clock) * np.exp(-clock / 0.008)
        return rng.uniform(0.3, 1.0) * (rng.standard_normal(length) * np.exp(-clock / 0.003) + thud)

    return _decaying(size, starts if len(starts) else np.zeros(1, int), key, 0.08)


def upside_down(samples: np.ndarray) -> np.ndarray:
    """Each frequency in place of that as far from 8 kHz, low ones at the top."""
    return samples * (-1.0) ** np.arange(len(samples))


def backwards(samples: np.ndarray) -> np.ndarray:
    return samples[::-1]


def crowd(speech: Sequence[np.ndarray], change: Callable[[np.ndarray], np.ndarray]) -> Sound:
    """Eight to sixteen people, of whom each recording is changed."""

    def made(size: int, rng: np.random.Generator) -> np.ndarray:
        total = np.zeros(size)
        for _ in range(int(rng.integers(8, 17))):
            row = np.concatenate([change(speech[int(i)]) for i in rng.integers(len(speech), size=3)])
            while len(row) < size:
                row = np.concatenate([row, change(speech[int(rng.integers(len(speech)))])])
            first = int(rng.integers(len(row) - size + 1))
            part = row[first : first + size].astype(float)
            total += rng.uniform(0.5, 1.0) * part / max(float(part.std()), 1e-6)
        return total

    return made


def wind(size: int, rng: np.random.Generator) -> np.ndarray:
    """Low noise that swells over seconds, and a whistle that follows it."""
    gust = 0.6 + 0.4 * np.sin(2 * np.pi * (rng.uniform(0.1, 0.6) * _clock(size) + rng.random()))
    low = _shaped(size, rng, lambda f: (f > 20) / np.maximum(f, 1.0) ** 2)
    whistle = np.sin(2 * np.pi * np.cumsum(rng.uniform(300.0, 900.0) * (0.5 + gust)) / SAMPLE_RATE)
    return gust**2 * (low + rng.uniform(0.0, 0.3) * whistle)


def applause(size: int, rng: np.random.Generator) -> np.ndarray:
    """Many hands, each with a pace and a resonance of its own."""
    made = np.zeros(size)
    for _ in range(int(rng.integers(3, 40))):
        pace, hollow = rng.uniform(0.18, 0.35), rng.uniform(600.0, 2500.0)
        times = np.arange(rng.uniform(0.0, pace), samples_to_seconds(size), pace) + rng.normal(0.0, 0.01)
        starts = np.clip(times * SAMPLE_RATE, 0, size - 1).astype(int)

        def clap(length: int, hollow: float = hollow) -> np.ndarray:
            clock = _clock(length)
            noise = rng.standard_normal(length) * np.exp(-clock / 0.004)
            return noise + np.sin(2 * np.pi * hollow * clock) * np.exp(-clock / 0.006)

        made += rng.uniform(0.3, 1.0) * _decaying(size, starts, clap, 0.05)
    return made if made.any() else rng.standard_normal(size)


def siren(size: int, rng: np.random.Generator) -> np.ndarray:
    """Two tones in turn, or one that rises and falls, with overtones, between 400 and 1600 Hz."""
    low, turn = rng.uniform(400.0, 800.0), np.sin(2 * np.pi * (rng.uniform(0.2, 3.0) * _clock(size) + rng.random()))
    turn = np.sign(turn) if rng.random() < 0.5 else turn
    phase = 2 * np.pi * np.cumsum(low * 2 ** (rng.uniform(0.2, 0.5) * (1.0 + turn))) / SAMPLE_RATE
    return np.asarray(sum(np.sin(n * phase) / n ** rng.uniform(1.0, 2.0) for n in range(1, 5)))


def bubbles(size: int, rng: np.random.Generator) -> np.ndarray:
    """Water: drops that ring at a rising pitch and die away within a few hundredths of a second."""
    starts = rng.integers(0, size, max(1, round(rng.uniform(3.0, 40.0) * samples_to_seconds(size))))

    def drop(length: int) -> np.ndarray:
        clock, pitch = _clock(length), rng.uniform(300.0, 2500.0)
        glide = np.cumsum(pitch * (1.0 + rng.uniform(0.0, 15.0) * clock)) / SAMPLE_RATE
        return rng.uniform(0.1, 1.0) * np.sin(2 * np.pi * glide) * np.exp(-clock / rng.uniform(0.005, 0.04))

    return _decaying(size, starts, drop, 0.2)


def barks(size: int, rng: np.random.Generator) -> np.ndarray:
    """A dog: short, rough, falling tones with two resonances, one to three a second."""
    gaps = rng.uniform(0.25, 1.0, 2 + round(4 * samples_to_seconds(size)))
    starts = (np.cumsum(gaps) - gaps[0]) * SAMPLE_RATE
    pitch, throat = rng.uniform(180.0, 600.0), rng.uniform(500.0, 1500.0)

    def bark(length: int) -> np.ndarray:
        clock = _clock(length)
        phase = np.cumsum(pitch * (1.3 - 2.0 * clock) + 40.0 * rng.standard_normal(length).cumsum() / 50) / SAMPLE_RATE
        source = np.mod(phase, 1.0) - 0.5 + 0.3 * rng.standard_normal(length)
        ring = np.exp(-_clock(400) / 0.004) * (
            np.sin(2 * np.pi * throat * _clock(400)) + np.sin(2 * np.pi * 2.3 * throat * _clock(400))
        )
        return np.convolve(source, ring)[:length] * np.hanning(length)

    return _decaying(size, starts[starts < size].astype(int), bark, 0.2)


def strings(size: int, rng: np.random.Generator) -> np.ndarray:
    """A bowed string: notes of a melody with vibrato, all overtones through the resonances of a body."""
    lengths = rng.uniform(0.2, 1.2, 2 + round(6 * samples_to_seconds(size)))
    steps = np.cumsum(rng.integers(-4, 5, len(lengths)))
    note = rng.uniform(150.0, 500.0) * 2 ** (np.clip(steps, -9, 9) / 12)
    at = np.minimum(np.searchsorted(np.cumsum(lengths), _clock(size)), len(lengths) - 1)
    vibrato = 2 ** (rng.uniform(0.1, 0.4) / 12 * np.sin(2 * np.pi * rng.uniform(4.0, 7.0) * _clock(size)))
    phase = np.cumsum(note[at] * vibrato) / SAMPLE_RATE
    bow = np.mod(phase, 1.0) - 0.5 + 0.02 * rng.standard_normal(size)
    spectrum, frequencies = np.fft.rfft(bow), np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    body = sum(1 / (1 + ((frequencies - one) / (0.1 * one)) ** 2) for one in rng.uniform(250.0, 3500.0, 6))
    return np.fft.irfft(spectrum * (0.05 + body), size)


def snoring(size: int, rng: np.random.Generator) -> np.ndarray:
    """Breath every few seconds: noise through two resonances that flutters 20 to 60 times a second."""
    clock, flutter = _clock(size), rng.uniform(20.0, 60.0)
    breath = np.maximum(np.sin(2 * np.pi * (rng.uniform(0.2, 0.5) * clock + rng.random())), 0.02)
    low = rng.uniform(200.0, 600.0)
    noise = _shaped(
        size, rng, lambda f: 1 / (1 + ((f - low) / 100) ** 2) + 0.3 / (1 + ((f - 3.0 * low) / 200) ** 2) + 1e-5
    )
    return breath * noise * (1.0 + 0.9 * np.sin(2 * np.pi * flutter * clock)) ** 2


def _voiced(length: int, pitch: np.ndarray | float, tract: np.ndarray) -> np.ndarray:
    """Pulses at a pitch in Hz, of each sample or of all, through a tract that rings."""
    source = np.mod(np.cumsum(np.broadcast_to(pitch, length)) / SAMPLE_RATE, 1.0) - 0.5
    return np.convolve(source, tract)[:length]


def _tract(*resonances: tuple[float, float]) -> np.ndarray:
    """What rings after a pulse, of frequencies and bandwidths in Hz."""
    clock = _clock(480)
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

    return _decaying(size, _calling(size, rng, (1.0, 2.5), 0.9), meow, rng.uniform(0.4, 0.9))


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

    return _decaying(size, _calling(size, rng, (0.22, 0.5), 0.2), quack, rng.uniform(0.1, 0.2))


def bleats(size: int, rng: np.random.Generator) -> np.ndarray:
    """A goat: a long call whose loudness and pitch tremble seven to fourteen times a second."""
    pitch, tremble = rng.uniform(180.0, 420.0), rng.uniform(7.0, 14.0)

    def bleat(length: int) -> np.ndarray:
        shaking = np.sin(2 * np.pi * tremble * _clock(length))
        tract = _tract((rng.uniform(600.0, 900.0), 100.0), (rng.uniform(1500.0, 2000.0), 150.0), (2700.0, 250.0))
        made: np.ndarray = _voiced(length, pitch * (1 + 0.06 * shaking), tract) * (1 + 0.8 * shaking)
        return made * np.hanning(length) ** 0.3

    return _decaying(size, _calling(size, rng, (0.9, 2.0), 0.8), bleat, rng.uniform(0.4, 0.8))


def frogs(size: int, rng: np.random.Generator) -> np.ndarray:
    """Croaks: trains of ten to forty pulses, each of which rings at two frequencies."""
    rate, ring = (
        rng.uniform(30.0, 90.0),
        _tract((rng.uniform(400.0, 900.0), 120.0), (rng.uniform(1400.0, 2600.0), 200.0)),
    )

    def croak(length: int) -> np.ndarray:
        pulses = np.diff(np.floor(_clock(length) * rate), prepend=-1.0) * rng.uniform(0.6, 1.0, length)
        made: np.ndarray = np.convolve(pulses, ring)[:length] * np.linspace(0.3, 1.0, length)
        return made

    return _decaying(size, _calling(size, rng, (0.5, 1.6), 0.5), croak, rng.uniform(0.2, 0.5))


def coughs(size: int, rng: np.random.Generator) -> np.ndarray:
    """A burst of air through a throat, then a short voiced end."""

    def cough(length: int) -> np.ndarray:
        clock = _clock(length)
        tract = _tract((rng.uniform(500.0, 800.0), 200.0), (rng.uniform(1200.0, 1800.0), 300.0))
        air = np.convolve(rng.standard_normal(length) * np.exp(-clock / 0.06), tract)[:length]
        end = _voiced(length, rng.uniform(90.0, 250.0), tract) * np.exp(-(((clock - 0.2) / 0.05) ** 2))
        return air / max(float(air.std()), 1e-9) + rng.uniform(0.0, 1.0) * end / max(float(end.std()), 1e-9)

    return _decaying(size, _calling(size, rng, (0.4, 2.0), 0.4), cough, 0.4)


def creaks(size: int, rng: np.random.Generator) -> np.ndarray:
    """A door: it sticks and slips 10 to 150 times a second, faster and slower, and its wood rings."""
    turn = np.sin(2 * np.pi * (rng.uniform(0.2, 1.0) * _clock(size) + rng.random()))
    rate = rng.uniform(10.0, 60.0) * 2 ** (1.3 * turn)
    slips = np.diff(np.floor(np.cumsum(rate) / SAMPLE_RATE), prepend=-1.0) * rng.uniform(0.3, 1.0, size)
    wood = _tract(*((f, rng.uniform(40.0, 200.0)) for f in rng.uniform(300.0, 3500.0, 4)))
    return np.convolve(slips, wood)[:size] + 0.003 * rng.standard_normal(size)


def drill(size: int, rng: np.random.Generator) -> np.ndarray:
    """A motor under load: gears, brushes and their whine, which sags when it bites."""
    load = 1.0 - 0.25 * (np.sin(2 * np.pi * (rng.uniform(0.2, 1.5) * _clock(size) + rng.random())) > 0)
    smooth = np.convolve(load, np.full(1600, 1 / 1600), mode="same") + 1e-3
    tract = _tract((rng.uniform(700.0, 2500.0), 300.0), (rng.uniform(2500.0, 5000.0), 400.0))
    whine = _voiced(size, rng.uniform(80.0, 350.0) * smooth, tract)
    return whine / max(float(whine.std()), 1e-9) + rng.uniform(0.1, 0.6) * _shaped(size, rng, lambda f: f + 100.0)


def kettle(size: int, rng: np.random.Generator) -> np.ndarray:
    """A whistle that rises as the steam does, with a second tone and a hiss."""
    rise = np.cumsum(rng.uniform(900.0, 2500.0) * 2 ** (rng.uniform(0.0, 0.6) * np.linspace(0.0, 1.0, size)))
    phase = 2 * np.pi * rise / SAMPLE_RATE
    steam = _shaped(size, rng, lambda f: (f > 1000.0) + 1e-6)
    swell = 1.0 + 0.2 * np.sin(2 * np.pi * rng.uniform(4.0, 12.0) * _clock(size))
    return swell * (np.sin(phase) + 0.3 * np.sin(1.5 * phase)) + rng.uniform(0.05, 0.5) * steam


DEVELOP: dict[str, Sound] = {f.__name__: f for f in (blue, band, fan, sweep, beeps, knocks)}
FIRST: dict[str, Sound] = {f.__name__: f for f in (rain, chords, birds, engine, keyboard)}
SECOND: dict[str, Sound] = {f.__name__: f for f in (wind, applause, siren, bubbles, barks, strings, snoring)}
THIRD: dict[str, Sound] = {f.__name__: f for f in (meows, quacks, bleats, frogs, coughs, creaks, drill, kettle)}


def families(judgement: str, speech: Sequence[np.ndarray]) -> dict[str, Sound]:
    """The families of `develop`, or of the `first`, `second` or `third` judgement; of speech recordings crowds are
    made."""
    return {
        "develop": DEVELOP,
        "first": {**FIRST, "crowd": crowd(speech, backwards)},
        "second": {**SECOND, "crowd": crowd(speech, upside_down)},
        "third": THIRD,
    }[judgement]
