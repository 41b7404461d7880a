"""Random voices by formants, and random F0 contours: of men, women, children, falsetto and creak, that speak, sing,
glide, breathe and fall silent."""

from __future__ import annotations

import numpy as np

from echo_asr.research.tracker.pulses import FREQUENCIES, Speech

LOWEST, HIGHEST = 41.0, 790.0  # Hz
REGISTERS = ((55.0, 100.0), (80.0, 180.0), (140.0, 320.0), (220.0, 500.0), (400.0, 760.0))  # Hz, of median F0
REGISTER_SHARES = (0.16, 0.26, 0.28, 0.18, 0.12)
VOWEL = ((250.0, 900.0), (700.0, 2500.0), (1900.0, 3200.0), (3000.0, 4200.0), (3900.0, 5200.0))  # Hz, formants
STEPS_PER_SECOND = 200
HELD, STILL = 0.5, 0.35  # share of the speakers whose formants hold still within a sound, and of these whose F0 does


def random_contour(steps: int, rng: np.random.Generator, still: bool = False) -> np.ndarray:
    """F0 in Hz `(steps,)` about a middle: level, a walk, vibrato, or leaps and glides; or still, on one note."""
    middle = float(np.exp(rng.uniform(*np.log(REGISTERS[rng.choice(len(REGISTERS), p=REGISTER_SHARES)]))))
    if still:
        return np.full(steps, np.clip(middle, LOWEST, HIGHEST))
    time = np.arange(steps) / STEPS_PER_SECOND
    corners = max(3, int(time[-1] * rng.uniform(1.0, 9.0)) + 2)
    spread = rng.choice([0.3, 1.5, 3.0, 5.0])  # semitones
    walk = np.interp(time, np.sort(rng.uniform(0, time[-1], corners)), spread * rng.standard_normal(corners))
    width = int(rng.integers(3, 25))
    walk = np.convolve(np.pad(walk, width, mode="edge"), np.ones(width) / width, mode="same")[width:-width]
    declining = rng.uniform(-3.0, 1.0) * time
    vibrato = 0.0 if rng.random() < 0.8 else rng.uniform(0.2, 1.0) * np.sin(2 * np.pi * rng.uniform(4.0, 7.0) * time)
    return np.clip(middle * 2.0 ** ((walk + declining + vibrato) / 12.0), LOWEST, HIGHEST)


def random_voice(steps: int, rng: np.random.Generator) -> Speech:
    """A speaker who says random sounds for so many steps of 5 ms."""
    held = rng.random() < HELD
    still = held and rng.random() < STILL
    f0 = random_contour(steps, rng, still)
    size = np.clip((np.median(f0) / 170.0) ** 0.25 * rng.uniform(0.85, 1.2), 0.75, 1.5)  # of formants
    bounds, place = [0], 0
    while place < steps:
        place += int(rng.uniform(8, 120 if held else 60))
        bounds.append(min(place, steps))
    count = len(bounds) - 1
    kinds = rng.choice(["vowel", "voiced noise", "noise", "silence"], count, p=(0.6, 0.1, 0.17, 0.13))
    targets = size * np.stack([rng.uniform(low, high, count) for low, high in VOWEL], axis=1)
    nasal = rng.random(count) < 0.2
    if held:
        formants = _smooth(np.repeat(targets, np.diff(bounds), axis=0), int(rng.uniform(3, 15)))
    else:
        middles = (np.array(bounds[:-1]) + np.array(bounds[1:])) / 2
        formants = np.stack([np.interp(np.arange(steps), middles, column) for column in targets.T], axis=1)
    widths = rng.uniform(0.03, 0.1) * formants + rng.uniform(30.0, 90.0)
    level, voiced, breath = np.zeros(steps), np.zeros(steps), np.zeros(steps)
    noise = np.zeros((steps, len(FREQUENCIES)))
    usual_breath = 10 ** (rng.uniform(-40, -4 if rng.random() < 0.3 else -15) / 20)
    for begin, end, kind, low in zip(bounds, bounds[1:], kinds, nasal, strict=False):
        part = slice(begin, end)
        level[part] = 10 ** (rng.uniform(-20 if low else -10, 0) / 20)
        if kind in ("vowel", "voiced noise"):
            voiced[part] = 1.0
            breath[part] = usual_breath
            widths[part] *= 2.0 if low else 1.0
        if kind in ("noise", "voiced noise"):
            centre, share = rng.uniform(1500.0, 7000.0), rng.uniform(0.15, 0.8)
            shape = np.exp(-0.5 * ((FREQUENCIES - centre) / (share * centre)) ** 2)
            fade = np.hanning(end - begin + 2)[1:-1] if rng.random() < 0.7 else np.exp(-np.arange(end - begin) / 3.0)
            noise[part] += 10 ** (rng.uniform(-30, -8) / 20) * fade[:, None] * shape
    ramp = int(rng.integers(2, 8))
    strength = np.convolve(level * voiced, np.hanning(ramp + 2)[1:-1] / np.hanning(ramp + 2).sum(), mode="same")
    tract = _tract(formants, widths, f0, rng)
    jitter = np.full(steps, 0.0 if still else rng.choice([0.0, 0.003, 0.01, 0.02]))
    shimmer = np.full(steps, 0.0 if still else rng.choice([0.0, 0.03, 0.1]))
    alternation, creak, sure = np.zeros(steps), np.zeros(steps), np.ones(steps)
    if rng.random() < 0.35:
        _add_creak(f0, tract, jitter, shimmer, alternation, creak, sure, rng)
    tilt = np.clip(FREQUENCIES / 2000.0, 0.2, 1.5)
    noise += (strength * breath)[:, None] * tract * tilt
    noise += 10 ** (rng.uniform(-90, -55) / 20)
    sure *= np.where((strength > 0.003) & (strength < 0.1), 0.2, 1.0)
    return Speech(f0, strength, tract, noise, creak, jitter, shimmer, alternation, sure)


def _smooth(rows: np.ndarray, width: int) -> np.ndarray:
    """Means over so many steps before and after each, of rows `(N, 5)`."""
    padded = np.pad(rows, ((width, width), (0, 0)), mode="edge")
    means: np.ndarray = np.lib.stride_tricks.sliding_window_view(padded, 2 * width + 1, axis=0).mean(axis=-1)
    return means


def _tract(formants: np.ndarray, widths: np.ndarray, f0: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Magnitudes `(N, K)` of formants over a glottal flow's spectrum, with a power of about 1."""
    total = np.ones((len(formants), len(FREQUENCIES)))
    for centre, width in zip(formants.T, widths.T, strict=True):
        ratio = FREQUENCIES / centre[:, None]
        total /= np.sqrt((1.0 - ratio**2) ** 2 + (ratio * (width / centre)[:, None]) ** 2)
    opening = rng.uniform(0.7, 2.0) * f0[:, None]  # Hz, the glottal formant
    flow = FREQUENCIES / opening
    tilt = 1.0 / np.sqrt(1.0 + (FREQUENCIES / np.exp(rng.uniform(np.log(500.0), np.log(6000.0)))) ** 2)
    total *= flow / (1.0 + flow**2) * tilt**0.8 + 1e-4
    if rng.random() < 0.2:  # weak fundamental, or a strong one
        total *= ((FREQUENCIES + 30.0) / (FREQUENCIES + 300.0)) ** rng.uniform(-0.7, 2.0)
    return total / np.sqrt((total**2).mean(axis=1, keepdims=True) + 1e-12)


def _add_creak(
    f0: np.ndarray, tract: np.ndarray, jitter: np.ndarray, shimmer: np.ndarray, alternation: np.ndarray,
    creak: np.ndarray, sure: np.ndarray, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Make parts of a voice creaky: low and irregular, or with every other pulse softer; written into the arrays."""
    steps = len(f0)
    for _ in range(int(rng.integers(1, 4))):
        length = int(rng.uniform(16, 100))
        begin = int(rng.integers(0, max(1, steps - length)))
        part = slice(begin, begin + length)
        creak[part] = 1.0
        if rng.random() < 0.7:
            f0[part] = np.clip(rng.uniform(40.0, 85.0) * np.linspace(1.15, 0.9, length)[: len(f0[part])], 40.0, 90.0)
            jitter[part] = rng.uniform(0.01, 0.18)
            shimmer[part] = rng.uniform(0.0, 0.4)
            sure[part] = np.where(jitter[part] > 0.06, 0.3, 1.0)
        else:  # period doubling: which F0 is right is not defined
            alternation[part] = rng.uniform(0.3, 0.8)
            jitter[part] = np.maximum(jitter[part], 0.02)
            sure[part] = 0.0
