"""Synthetic clips without speech: silence, steady noises, hum, clicks, and tones that are steady, glide or pulse.

In training they have an empty text, so that a model learns to transcribe nothing in them. A clip is determined by kind,
duration, seed and level.

The power density of a noise of exponent `a` is proportional to `f^-a` from 20 Hz to half the sampling rate, and zero
below: white 0, pink 1 (-3.01 dB an octave), brown 2 (-6.02 dB an octave). Noises are drawn in the frequency domain as
Gaussian real and imaginary parts (Timmer and Koenig 1995, "On generating power law noise").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds, seconds_to_samples
from echo_asr.errors import EchoError

Kind = Literal[
    "silence", "white", "pink", "brown", "room", "hum", "clicks", "tone", "chord", "glide", "pulses", "mixed"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
AUDIBLE: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "silence")
OtherKind = Literal["texture", "partials", "struck", "calls"]
OTHER_KINDS: tuple[OtherKind, ...] = get_args(OtherKind)  # that no training draws
BEDS: tuple[Kind, ...] = ("white", "pink", "brown", "room", "hum", "mixed")  # kinds that are mixed with speech

EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
LOWEST = 20.0  # Hz; noises have no power below, where brown noise would wander off
ROOM_CORNER = 400.0  # Hz; the noise of a room is flat below and falls by 6.02 dB an octave far above
HUM_HARMONICS = 8  # of mains at 50 or 60 Hz, each of half the amplitude of the one before, or less
CLICKS_PER_SECOND = 3.0  # on average
CLICK_DECAY = 0.002  # seconds, time constant of a burst of white noise
TONE_RANGE = (100.0, 4000.0)  # Hz
GLIDE_SECONDS = (0.1, 2.0)  # between two frequencies of a glide
PULSE_RATE = (0.5, 8.0)  # a second
COLOUR = 12.0  # dB, deviation of the level of a random spectrum from octave to octave
SWELL_RATE = (0.3, 12.0)  # corners a second of a random envelope
SWELL = 25.0  # dB, the largest deviation of its level
MODES = (1, 6)  # frequencies at which a struck body rings
STRIKE_RATE = (0.5, 15.0)  # a second
RING_SECONDS = (0.003, 0.3)  # time constants of its decay
CALL_PITCH = (60.0, 1500.0)  # Hz, of the calls of an animal
CALL_SECONDS = (0.05, 0.8)
CALL_GAP = (0.05, 1.0)  # seconds
THROAT = (200.0, 4500.0)  # Hz, its resonances
DECAY_SECONDS = (0.02, 0.5)  # time constants of decaying envelopes, which fall by 8.7 dB in it
LOUDEST, SOFTEST = 0.0, -120.0  # dBFS
VERSION = 1  # raised when the same arguments give other samples than before, so that cached features lapse


def noise_clip(kind: Kind | OtherKind, seconds: float, seed: int, level_db: float = -40.0) -> np.ndarray:
    """Generate a clip without speech: samples `(S,)` float32 at 16 kHz, `S >= 1`.

    Args:
        kind: `silence` (digital zero), noise that is `white`, `pink`, `brown` or of a `room`, `hum` of the mains,
            `clicks` at random times, one steady `tone`, a `chord` of two to five, with overtones or without, a `glide`
            from one random frequency to the next, `pulses`, a tone or noise that is switched on and off, or two or
            three of these `mixed`, each steady, swelling or dying away; of `OTHER_KINDS` a `texture`, noise of a random
            spectrum that swells and falls at random, `partials`, tones without a common fundamental, each of which
            drifts, swells and falls by itself, `struck`, random blows on bodies that ring at a few frequencies, or
            `calls`, short voiced sounds of one throat that rise and fall in pitch, as of an animal.
        seconds: duration of the clip.
        seed: random seed. The same arguments give the same samples.
        level_db: dBFS, the root mean square of the clip; ignored for silence. A clip whose peaks would exceed
            full scale, as those of clicks may, is made softer until they do not.

    Raises:
        EchoError: an unknown kind, a duration not above 0, a negative seed, a level not from -120 to 0 dBFS.
    """
    kinds = (*KINDS, *OTHER_KINDS)
    if kind not in kinds:
        raise EchoError(f"kind is {kind!r}; expected one of: {', '.join(kinds)}")
    if not (math.isfinite(seconds) and seconds > 0):
        raise EchoError(f"seconds is {seconds!r}; expected a duration above 0")
    if seed < 0:
        raise EchoError(f"seed is {seed!r}; expected 0 or more")
    if not SOFTEST <= level_db <= LOUDEST:
        raise EchoError(f"level_db is {level_db!r}; expected {SOFTEST:g} to {LOUDEST:g} dBFS")
    size = max(1, seconds_to_samples(seconds))
    random = np.random.default_rng([seed, kinds.index(kind)])
    samples = _samples(kind, size, random)
    if kind == "silence":
        return samples.astype(np.float32)
    wanted = 10 ** (level_db / 20) / np.sqrt(np.mean(samples**2))
    return (samples * min(wanted, 1 / np.abs(samples).max())).astype(np.float32)


def noise_clips(count: int, seconds: float, first_seed: int, levels_db: Sequence[float]) -> list[np.ndarray]:
    """Clips of all kinds but silence in turn, each as of `noise_clip`.

    Args:
        first_seed: of the first clip; each other has one more than that before it.
        levels_db: of the clips of each kind, in turn.
    """
    rounds = (divmod(number, len(AUDIBLE)) for number in range(count))
    return [
        noise_clip(AUDIBLE[place], seconds, first_seed + number, levels_db[done % len(levels_db)])
        for number, (done, place) in enumerate(rounds)
    ]


def _samples(kind: Kind | OtherKind, size: int, random: np.random.Generator) -> np.ndarray:
    """Samples `(size,)` float64 at any level."""
    others = {
        "hum": _hum, "clicks": _clicks, "chord": _chord, "glide": _glide, "pulses": _pulses, "mixed": _mixed,
        "texture": _texture, "partials": _partials, "struck": _struck, "calls": _calls,
    }  # fmt: skip
    if kind in others:
        return others[kind](size, random)
    if kind == "silence":
        return np.zeros(size)
    if kind == "tone":
        return _sine(size, _frequency(random), random)
    if kind == "room":
        return _noise(size, lambda f: 1 / (1 + (f / ROOM_CORNER) ** 2), random)
    return _noise(size, lambda f: f ** -EXPONENTS[kind], random)


def _noise(size: int, density: Callable[[np.ndarray], np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose power density is `density`, a function of frequencies in Hz."""
    # At least a second, then cut: a shorter period would have few frequencies above the lowest, or none.
    period = max(size, SAMPLE_RATE)
    frequencies = np.fft.rfftfreq(period, 1 / SAMPLE_RATE)
    kept = frequencies >= LOWEST
    spectrum = np.zeros(frequencies.size, complex)
    parts = random.standard_normal((2, int(kept.sum())))
    spectrum[kept] = np.sqrt(density(frequencies[kept])) * (parts[0] + 1j * parts[1])
    return np.fft.irfft(spectrum, period)[:size]


def _sine(size: int, frequency: float, random: np.random.Generator) -> np.ndarray:
    phase = random.uniform(0.1, 0.9) * math.pi  # so that even a single sample is not 0
    return np.sin(2 * math.pi * frequency * np.arange(size) / SAMPLE_RATE + phase)


def _frequency(random: np.random.Generator) -> float:
    return math.exp(random.uniform(*np.log(TONE_RANGE)))


def _chord(size: int, random: np.random.Generator) -> np.ndarray:
    overtones = int(random.integers(1, 6))
    parts = []
    for _ in range(int(random.integers(2, 6))):
        frequency = _frequency(random)
        parts += [_sine(size, frequency * n, random) / n for n in range(1, overtones + 1) if frequency * n < 7000]
    return np.sum(parts, axis=0)


def _glide(size: int, random: np.random.Generator) -> np.ndarray:
    """A tone whose frequency is piecewise linear, on a logarithmic scale, between random values."""
    shortest, longest = GLIDE_SECONDS
    lengths = random.uniform(shortest, longest, size=2 + int(size / SAMPLE_RATE / shortest))
    corners = np.concatenate([[0.0], np.cumsum(lengths)])
    low, high = np.log(TONE_RANGE)
    values = random.uniform(low, high, size=corners.size)
    frequency = np.exp(np.interp(samples_to_seconds(np.arange(size)), corners, values))
    phase = random.uniform(0.1, 0.9) * math.pi + 2 * math.pi * np.cumsum(frequency) / SAMPLE_RATE
    overtones = int(random.integers(1, 5))
    return np.sum([np.sin(n * phase) * (n * frequency < 7500) / n for n in range(1, overtones + 1)], axis=0)


def _pulses(size: int, random: np.random.Generator) -> np.ndarray:
    """A tone or noise that is on for a part of each period, from the beginning of the clip."""
    steady = _sine(size, _frequency(random), random)
    signal = steady if random.random() < 0.7 else random.standard_normal(size)
    phase = np.mod(samples_to_seconds(np.arange(size)) * random.uniform(*PULSE_RATE), 1.0)
    return signal * (phase < random.uniform(0.1, 0.7))


def _mixed(size: int, random: np.random.Generator) -> np.ndarray:
    """Two or three other kinds, each up to 20 dB below the loudest and with an envelope of its own."""
    total = np.zeros(size)
    for kind in random.choice([kind for kind in AUDIBLE if kind != "mixed"], int(random.integers(2, 4))):
        signal = _samples(kind, size, random)
        strength = 10 ** (random.uniform(-20, 0) / 20) / np.sqrt(np.mean(signal**2))
        total += strength * signal * _envelope(size, random)
    return total


def _envelope(size: int, random: np.random.Generator) -> np.ndarray:
    """An amplitude envelope `(size,)`: constant, oscillating, or decaying again and again."""
    seconds, rate = samples_to_seconds(np.arange(size)), random.uniform(*PULSE_RATE)
    which = int(random.integers(3))
    if which == 0:
        return np.ones(size)
    if which == 1:
        return 1.0 + random.uniform(0.2, 0.95) * np.sin(2 * math.pi * (rate * seconds + random.random()))
    return np.exp(-np.mod(seconds, 1 / rate) / random.uniform(*DECAY_SECONDS))


def _texture(size: int, random: np.random.Generator) -> np.ndarray:
    """Noise whose level is random in each octave and wanders in time."""
    octaves = np.arange(math.log2(LOWEST), math.log2(SAMPLE_RATE / 2) + 1)
    levels = random.normal(0.0, COLOUR, octaves.size)
    noise = _noise(size, lambda f: 10 ** (np.interp(np.log2(f), octaves, levels) / 10), random)
    return noise * _wandering(size, random)


def _wandering(size: int, random: np.random.Generator) -> np.ndarray:
    """An amplitude envelope `(size,)` whose level is piecewise linear between random values."""
    rate = math.exp(random.uniform(*np.log(SWELL_RATE)))
    corners = np.cumsum(random.exponential(1 / rate, 3 + int(2 * rate * samples_to_seconds(size))))
    levels = random.normal(0.0, random.uniform(0.0, SWELL), corners.size)
    return 10 ** (np.interp(samples_to_seconds(np.arange(size)), corners, np.clip(levels, -60.0, 20.0)) / 20)


def _partials(size: int, random: np.random.Generator) -> np.ndarray:
    """Tones whose frequencies have nothing to do with each other."""
    total = np.zeros(size)
    for _ in range(int(random.integers(1, 9))):
        turn = np.linspace(0.0, random.normal(0.0, 0.3), size)  # octaves
        frequency = np.minimum(_frequency(random) * 2.0**turn, 7500.0)
        phase = random.uniform(0.1, 0.9) * math.pi + 2 * math.pi * np.cumsum(frequency) / SAMPLE_RATE
        total += 10 ** (random.uniform(-20, 0) / 20) * np.sin(phase) * _wandering(size, random)
    return total


def _struck(size: int, random: np.random.Generator) -> np.ndarray:
    """Bodies that are struck at the times of a Poisson process, at least once; each rings at frequencies of its own."""
    length = min(size, round(6 * RING_SECONDS[1] * SAMPLE_RATE))
    seconds = samples_to_seconds(np.arange(length))
    bodies = []
    for _ in range(int(random.integers(1, 4))):
        shortest, longest = np.log(RING_SECONDS)
        decays = np.exp(random.uniform(shortest, longest, int(random.integers(MODES[0], MODES[1] + 1))))
        tones = (_sine(length, _frequency(random), random) * np.exp(-seconds / decay) for decay in decays)
        burst = random.uniform(0.0, 1.0) * random.standard_normal(length) * np.exp(-seconds / decays.min())
        bodies.append(np.sum(list(tones), axis=0) + burst)
    samples = np.zeros(size)
    rate = math.exp(random.uniform(*np.log(STRIKE_RATE)))
    for _ in range(max(1, random.poisson(rate * samples_to_seconds(size)))):
        start, body = int(random.integers(size)), bodies[int(random.integers(len(bodies)))]
        samples[start : start + length] += 10 ** (random.uniform(-20, 0) / 20) * body[: size - start]
    return samples


def _calls(size: int, random: np.random.Generator) -> np.ndarray:
    """Rough pulses at a pitch that rises or falls, through resonances of one throat; at least one call."""
    longest, shortest = CALL_SECONDS[1], CALL_SECONDS[0]
    pitch, usual = (math.exp(random.uniform(*np.log(bounds))) for bounds in (CALL_PITCH, CALL_SECONDS))
    ring = samples_to_seconds(np.arange(round(0.03 * SAMPLE_RATE)))
    throat = np.zeros(ring.size)
    for _ in range(int(random.integers(1, 5))):
        frequency, decay = math.exp(random.uniform(*np.log(THROAT))), random.uniform(0.001, 0.008)
        throat += random.uniform(0.2, 1.0) * np.sin(2 * math.pi * frequency * ring) * np.exp(-ring / decay)
    roughness, bend, breath = random.uniform(0.0, 0.3), random.normal(0.0, 0.5), random.uniform(0.0, 1.0)
    samples, start = 1e-4 * random.standard_normal(size), int(random.integers(max(1, size // 2)))
    while start < size:
        seconds = float(np.clip(usual * 2 ** random.normal(0.0, 0.4), shortest, longest))
        length = round(seconds * SAMPLE_RATE)
        at = np.linspace(-1.0, 1.0, length)
        octaves = bend * at + random.normal(0.0, 0.3) * (1.0 - at**2)
        octaves += roughness * np.interp(at, np.linspace(-1, 1, 80), random.standard_normal(80))
        phase = np.cumsum(np.minimum(pitch * 2.0**octaves, 3000.0)) / SAMPLE_RATE
        source = np.mod(phase, 1.0) - 0.5 + breath * 0.3 * random.standard_normal(length)
        attack = np.minimum(1.0, (1.0 + at) / random.uniform(0.05, 1.0)) * (1.0 - at) ** random.uniform(0.3, 2.0)
        call = np.convolve(source, throat)[:length] * attack
        samples[start : start + length] += call[: size - start]
        start += length + round(random.uniform(*CALL_GAP) * SAMPLE_RATE)
    return samples


def _hum(size: int, random: np.random.Generator) -> np.ndarray:
    mains = random.choice([50.0, 60.0])  # Hz
    amplitudes = np.cumprod(np.concatenate([[1.0], random.uniform(0.1, 0.5, HUM_HARMONICS - 1)]))
    harmonics = (a * _sine(size, mains * (n + 1), random) for n, a in enumerate(amplitudes))
    return np.sum(list(harmonics), axis=0)


def _clicks(size: int, random: np.random.Generator) -> np.ndarray:
    """Decaying bursts of noise at the times of a Poisson process; at least one."""
    samples = np.zeros(size)
    decay = CLICK_DECAY * SAMPLE_RATE  # samples
    burst = np.exp(-np.arange(round(8 * decay)) / decay)
    for _ in range(max(1, random.poisson(CLICKS_PER_SECOND * size / SAMPLE_RATE))):
        start = int(random.integers(size))
        strength = 10 ** (random.uniform(-12, 0) / 20)
        click = strength * burst * random.standard_normal(burst.size)
        samples[start : start + click.size] += click[: size - start]
    return samples
