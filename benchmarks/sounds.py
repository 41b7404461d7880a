"""Sounds without speech, for `benchmarks.silence`: families that no training of Echo draws from.

For choosing anything there is `DEVELOP`. The others, and those of `benchmarks.sounds_near_speech`, were each written
before they were read, and read once for a figure; afterwards they have been looked at, so that the next figure needs
others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds, seconds_to_samples

Sound = Callable[[int, np.random.Generator], np.ndarray]


def shaped(size: int, rng: np.random.Generator, density: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Gaussian noise whose power density is a function of frequencies in Hz, with an RMS of 1."""
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    parts = rng.standard_normal((2, len(frequencies)))
    made: np.ndarray = np.fft.irfft(np.sqrt(density(frequencies)) * (parts[0] + 1j * parts[1]), size)
    return made / max(float(made.std()), 1e-12)


def times_of(size: int) -> np.ndarray:
    """The time of each sample, in seconds."""
    return samples_to_seconds(np.arange(size))


def decaying(size: int, starts: np.ndarray, make: Callable[[int], np.ndarray], longest: float) -> np.ndarray:
    """Sounds of up to so many seconds that begin at these samples; `make` is called with the samples of each."""
    made = np.zeros(size)
    for start in starts.tolist():
        length = min(size - start, seconds_to_samples(longest))
        made[start : start + length] += make(length)
    return made


def blue(size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise that rises by 3 dB an octave."""
    return shaped(size, rng, lambda f: f)


def band(size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of half an octave or so."""
    low = rng.uniform(200.0, 2000.0)
    return shaped(size, rng, lambda f: 1.0 * ((f >= low) & (f <= 1.5 * low)) + 1e-9)


def fan(size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise that swells several times a second, over the tones of its blades."""
    rate = rng.uniform(3.0, 12.0)
    noise = shaped(size, rng, lambda f: ((f > 50) & (f < 4000)) / np.maximum(f, 1.0))
    swell = 1.0 + 0.4 * np.sin(2 * np.pi * rate * times_of(size))
    tones = sum(np.sin(2 * np.pi * rate * 8 * k * times_of(size)) / k for k in range(1, 5))
    return swell * noise + 0.5 * np.asarray(tones)


def sweep(size: int, rng: np.random.Generator) -> np.ndarray:
    """A tone that rises and falls between 200 and 3000 Hz."""
    position = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(0.1, 0.5) * times_of(size) + rng.random()))
    made: np.ndarray = np.sin(2 * np.pi * np.cumsum(200.0 * 15.0**position) / SAMPLE_RATE)
    return made


def beeps(size: int, rng: np.random.Generator) -> np.ndarray:
    """A tone on and off, as of a machine."""
    on = np.mod(times_of(size) * rng.uniform(0.7, 2.0), 1.0) < 0.4
    made: np.ndarray = on * np.sin(2 * np.pi * rng.uniform(400.0, 2500.0) * times_of(size))
    return made


def knocks(size: int, rng: np.random.Generator) -> np.ndarray:
    """Dull blows that die away within a tenth of a second."""
    starts = rng.integers(0, size, max(1, round(1.5 * samples_to_seconds(size))))

    def blow(length: int) -> np.ndarray:
        made: np.ndarray = np.exp(-times_of(length) / 0.03)
        return made * np.sin(2 * np.pi * rng.uniform(80.0, 250.0) * times_of(length))

    return decaying(size, starts, blow, 0.25)


def rain(size: int, rng: np.random.Generator) -> np.ndarray:
    """Hundreds of drops a second, each a click or a short ring, over a hiss."""
    rate = np.exp(rng.uniform(np.log(50.0), np.log(800.0)))
    drops = (rng.random(size) < rate / SAMPLE_RATE) * rng.exponential(1.0, size) * rng.choice([-1.0, 1.0], size)
    at = times_of(200)
    ring = np.exp(-at / rng.uniform(0.0005, 0.003)) * np.cos(2 * np.pi * rng.uniform(800, 4000) * at)
    fallen = np.convolve(drops, ring)[:size]
    hiss = shaped(size, rng, lambda f: (f > 500) / np.maximum(f, 1.0) ** 0.5)
    return fallen / max(float(fallen.std()), 1e-9) + rng.uniform(0.05, 0.5) * hiss


def chords(size: int, rng: np.random.Generator) -> np.ndarray:
    """Music: chords of three or four notes of a scale, struck one after the other, each note with overtones."""
    made, start, key = np.zeros(size), 0, rng.uniform(90.0, 200.0)
    bright, fade = rng.uniform(1.0, 2.5), rng.uniform(0.2, 1.5)
    while start < size:
        length = min(size - start, seconds_to_samples(rng.uniform(0.25, 1.5)))
        root, clock = int(rng.integers(7)), times_of(length)
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
            clock = times_of(length)
            pitch = np.clip(low * 2 ** (span * clock / seconds + 0.05 * np.sin(2 * np.pi * trill * clock)), 500, 7500)
            window = np.sin(np.pi * np.arange(length) / length)
            made[start : start + length] += window * np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE)
            start += length + seconds_to_samples(rng.uniform(0.02, 0.12))
        start += seconds_to_samples(rng.uniform(0.1, 1.0))
    return made if made.any() else np.sin(2 * np.pi * 3000.0 * times_of(size))


def engine(size: int, rng: np.random.Generator) -> np.ndarray:
    """Explosions 15 to 90 times a second, at a speed that drifts, through a pipe, over a rumble."""
    rate = rng.uniform(15.0, 90.0) * 2 ** (
        0.5 * np.sin(2 * np.pi * (rng.uniform(0.02, 0.5) * times_of(size) + rng.random()))
    )
    fired = np.diff(np.floor(np.cumsum(rate) / SAMPLE_RATE), prepend=0.0) * rng.uniform(0.6, 1.4, size)
    pipe = sum(
        np.exp(-times_of(1600) / rng.uniform(0.003, 0.03)) * np.sin(2 * np.pi * rng.uniform(60, 900) * times_of(1600))
        for _ in range(4)
    )
    exhaust = np.convolve(fired, np.asarray(pipe))[:size]
    rumble = shaped(size, rng, lambda f: (f > 30) / np.maximum(f, 1.0) ** 1.5)
    return exhaust / max(float(exhaust.std()), 1e-9) + rng.uniform(0.2, 1.0) * rumble


def keyboard(size: int, rng: np.random.Generator) -> np.ndarray:
    """Keys: a click, and a softer one when the key comes up."""
    gaps = rng.gamma(3.0, rng.uniform(0.03, 0.12), 4 + round(12 * samples_to_seconds(size)))
    down = np.cumsum(gaps)
    times = np.concatenate([down, down + rng.uniform(0.06, 0.12, len(down))])
    starts = (times[times < samples_to_seconds(size)] * SAMPLE_RATE).astype(int)
    body = rng.uniform(300.0, 1500.0)

    def key(length: int) -> np.ndarray:
        clock = times_of(length)
        thud = np.sin(2 * np.pi * body * rng.uniform(0.9, 1.1) * clock) * np.exp(-clock / 0.008)
        return rng.uniform(0.3, 1.0) * (rng.standard_normal(length) * np.exp(-clock / 0.003) + thud)

    return decaying(size, starts if len(starts) else np.zeros(1, int), key, 0.08)


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
    gust = 0.6 + 0.4 * np.sin(2 * np.pi * (rng.uniform(0.1, 0.6) * times_of(size) + rng.random()))
    low = shaped(size, rng, lambda f: (f > 20) / np.maximum(f, 1.0) ** 2)
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
            clock = times_of(length)
            noise = rng.standard_normal(length) * np.exp(-clock / 0.004)
            return noise + np.sin(2 * np.pi * hollow * clock) * np.exp(-clock / 0.006)

        made += rng.uniform(0.3, 1.0) * decaying(size, starts, clap, 0.05)
    return made if made.any() else rng.standard_normal(size)


def siren(size: int, rng: np.random.Generator) -> np.ndarray:
    """Two tones in turn, or one that rises and falls, with overtones, between 400 and 1600 Hz."""
    low, turn = rng.uniform(400.0, 800.0), np.sin(2 * np.pi * (rng.uniform(0.2, 3.0) * times_of(size) + rng.random()))
    turn = np.sign(turn) if rng.random() < 0.5 else turn
    phase = 2 * np.pi * np.cumsum(low * 2 ** (rng.uniform(0.2, 0.5) * (1.0 + turn))) / SAMPLE_RATE
    return np.asarray(sum(np.sin(n * phase) / n ** rng.uniform(1.0, 2.0) for n in range(1, 5)))


def bubbles(size: int, rng: np.random.Generator) -> np.ndarray:
    """Water: drops that ring at a rising pitch and die away within a few hundredths of a second."""
    starts = rng.integers(0, size, max(1, round(rng.uniform(3.0, 40.0) * samples_to_seconds(size))))

    def drop(length: int) -> np.ndarray:
        clock, pitch = times_of(length), rng.uniform(300.0, 2500.0)
        glide = np.cumsum(pitch * (1.0 + rng.uniform(0.0, 15.0) * clock)) / SAMPLE_RATE
        return rng.uniform(0.1, 1.0) * np.sin(2 * np.pi * glide) * np.exp(-clock / rng.uniform(0.005, 0.04))

    return decaying(size, starts, drop, 0.2)


def barks(size: int, rng: np.random.Generator) -> np.ndarray:
    """A dog: short, rough, falling tones with two resonances, one to three a second."""
    gaps = rng.uniform(0.25, 1.0, 2 + round(4 * samples_to_seconds(size)))
    starts = (np.cumsum(gaps) - gaps[0]) * SAMPLE_RATE
    pitch, throat = rng.uniform(180.0, 600.0), rng.uniform(500.0, 1500.0)

    def bark(length: int) -> np.ndarray:
        clock = times_of(length)
        phase = np.cumsum(pitch * (1.3 - 2.0 * clock) + 40.0 * rng.standard_normal(length).cumsum() / 50) / SAMPLE_RATE
        source = np.mod(phase, 1.0) - 0.5 + 0.3 * rng.standard_normal(length)
        ring = np.exp(-times_of(400) / 0.004) * (
            np.sin(2 * np.pi * throat * times_of(400)) + np.sin(2 * np.pi * 2.3 * throat * times_of(400))
        )
        return np.convolve(source, ring)[:length] * np.hanning(length)

    return decaying(size, starts[starts < size].astype(int), bark, 0.2)


def strings(size: int, rng: np.random.Generator) -> np.ndarray:
    """A bowed string: notes of a melody with vibrato, all overtones through the resonances of a body."""
    lengths = rng.uniform(0.2, 1.2, 2 + round(6 * samples_to_seconds(size)))
    steps = np.cumsum(rng.integers(-4, 5, len(lengths)))
    note = rng.uniform(150.0, 500.0) * 2 ** (np.clip(steps, -9, 9) / 12)
    at = np.minimum(np.searchsorted(np.cumsum(lengths), times_of(size)), len(lengths) - 1)
    vibrato = 2 ** (rng.uniform(0.1, 0.4) / 12 * np.sin(2 * np.pi * rng.uniform(4.0, 7.0) * times_of(size)))
    phase = np.cumsum(note[at] * vibrato) / SAMPLE_RATE
    bow = np.mod(phase, 1.0) - 0.5 + 0.02 * rng.standard_normal(size)
    spectrum, frequencies = np.fft.rfft(bow), np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    body = sum(1 / (1 + ((frequencies - one) / (0.1 * one)) ** 2) for one in rng.uniform(250.0, 3500.0, 6))
    return np.fft.irfft(spectrum * (0.05 + body), size)


def snoring(size: int, rng: np.random.Generator) -> np.ndarray:
    """Breath every few seconds: noise through two resonances that flutters 20 to 60 times a second."""
    clock, flutter = times_of(size), rng.uniform(20.0, 60.0)
    breath = np.maximum(np.sin(2 * np.pi * (rng.uniform(0.2, 0.5) * clock + rng.random())), 0.02)
    low = rng.uniform(200.0, 600.0)
    noise = shaped(
        size, rng, lambda f: 1 / (1 + ((f - low) / 100) ** 2) + 0.3 / (1 + ((f - 3.0 * low) / 200) ** 2) + 1e-5
    )
    return breath * noise * (1.0 + 0.9 * np.sin(2 * np.pi * flutter * clock)) ** 2


DEVELOP: dict[str, Sound] = {f.__name__: f for f in (blue, band, fan, sweep, beeps, knocks)}
FIRST: dict[str, Sound] = {f.__name__: f for f in (rain, chords, birds, engine, keyboard)}
SECOND: dict[str, Sound] = {f.__name__: f for f in (wind, applause, siren, bubbles, barks, strings, snoring)}
