"""Clips without speech: silence, steady noises, hum, clicks and a tone.

Recognising them as no speech is learnt: they go into training with an empty text. They are made from a seed, so that
a training set or a test names them by kind and seed alone.

A noise of colour `a` has a power density proportional to `f^-a` between 20 Hz and half the sampling rate, and none
outside: white 0, pink 1 (-3.01 dB an octave), brown 2 (-6.02 dB an octave). It is drawn in the frequency domain,
after Timmer and Koenig (1995): independent Gaussian real and imaginary parts, scaled by `f^(-a/2)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from echo_asr.audio import SAMPLE_RATE
from echo_asr.errors import EchoError

Kind = Literal["silence", "white", "pink", "brown", "room", "hum", "clicks", "tone"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LOWEST = 20.0  # Hz, under which noises have no power, as brown noise would otherwise drift away
COLOURS = {"white": 0.0, "pink": 1.0, "brown": 2.0}  # exponent of 1/f of the power density
ROOM_SHELF = 400.0  # Hz, above which the noise of a room falls off by 6 dB an octave (fans, traffic through walls)
HUM_HARMONICS = 8  # of 50 or 60 Hz mains
CLICKS_A_SECOND = 3.0  # on average
CLICK_DECAY = 0.002  # seconds, time constant
TONE_RANGE = (100.0, 4000.0)  # Hz


def noise_clip(kind: Kind, seconds: float, seed: int, level_db: float = -40.0) -> np.ndarray:
    """Samples `(S,)` float32 at 16 kHz, full scale at +-1, of a sound that is not speech.

    Args:
        kind: `silence` (digital zero), `white`, `pink` or `brown` noise, `room` (the flat rumble of a quiet room
            that falls off above 400 Hz), mains `hum` (50 or 60 Hz and overtones), `clicks`, or a steady `tone`.
        seconds: duration; at least one sample.
        seed: of all that is random; the same arguments give the same samples.
        level_db: dBFS, the root mean square of the clip (ignored for silence). Where peaks would clip, as those of
            clicks can, the level is lowered until they do not.

    Raises:
        EchoError: an unknown kind, a duration that is not above 0, or a level that is not from -120 to 0 dBFS.
    """
    if kind not in KINDS:
        raise EchoError(f"kind is {kind!r}; expected one of: {', '.join(KINDS)}")
    if not (math.isfinite(seconds) and seconds > 0):
        raise EchoError(f"seconds is {seconds}; expected a duration above 0")
    if not -120.0 <= level_db <= 0.0:
        raise EchoError(f"level_db is {level_db}; expected -120 to 0 dBFS")
    size = max(1, round(seconds * SAMPLE_RATE))
    if kind == "silence":
        return np.zeros(size, np.float32)
    random = np.random.default_rng([seed, KINDS.index(kind)])
    if kind in COLOURS:
        exponent = COLOURS[kind]
        samples = _shaped_noise(size, lambda f: f ** (-exponent / 2), random)
    elif kind == "room":
        samples = _shaped_noise(size, lambda f: 1 / np.sqrt(1 + (f / ROOM_SHELF) ** 2), random)
    elif kind == "hum":
        samples = _hum(size, random)
    elif kind == "clicks":
        samples = _clicks(size, random)
    else:
        samples = _sine(size, math.exp(random.uniform(*np.log(TONE_RANGE))), random)
    gain = 10 ** (level_db / 20) / max(float(np.sqrt(np.mean(samples**2))), 1e-12)
    return (samples * min(gain, 1 / float(np.abs(samples).max()))).astype(np.float32)
