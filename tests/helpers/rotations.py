"""Rotations of small layers, and what they must be by definition, in float64 loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from echo_asr.vrope import PitchTrack, Rotation, VRoPEModes, make_rotation, rotate

THETAS = ("none", "static", "mean", "frame", "integrated", "mapped", "axis")
PAIRS = 8
NAMES = ("f0", "voicing", "energy", "null", "padding")


def rotation(pairs: int = PAIRS, **modes: Any) -> Rotation:
    return make_rotation(VRoPEModes(**modes), pairs)


def frequencies_by_hand(name: str, pairs: int) -> list[float]:
    if name == "inverse_power":
        return [10_000.0 ** (-2 * j / (2 * pairs)) for j in range(pairs)]
    top = 2595 * math.log10(1 + 8000 / 700)
    return [0.7 * (10 ** (top * j / (pairs - 1) / 2595) - 1) for j in range(pairs)]


def phases_by_hand(track: PitchTrack, theta: str, frequencies: str, clock: str, a: float = 0.5) -> np.ndarray:
    """The table of DESIGN section 4 in float64 loops, `(B, F, P)` radians, not reduced."""
    batch, frames = track.f0.shape
    ticks = int(track.step) if clock == "frame" else 1  # that one frame lasts
    timed = frequencies_by_hand(frequencies, PAIRS)
    out = np.zeros((batch, frames, PAIRS))
    for b in range(batch):
        f0, voicing = track.f0[b].tolist(), track.voicing[b].tolist()
        voiced = [(f, v) for f, v, p in zip(f0, voicing, track.padding[b].tolist(), strict=True) if v > 0 and not p]
        mean = sum(f * v for f, v in voiced) / sum(v for _, v in voiced) if voiced else 220.0
        every_tick = [f for f in f0 for _ in range(ticks)]
        for i in range(frames):
            t = i * ticks + (ticks - 1) / 2  # the centre of the frame
            if theta == "static":
                row = [t * m for m in timed]
            elif theta == "mean":
                row = [t * (mean / 220) * m for m in timed]
            elif theta == "frame":
                row = [t * (f0[i] / 220) * m for m in timed]
            elif theta == "integrated":
                whole = int(t)
                total = sum((f / 220) ** a for f in every_tick[:whole])
                total += (t - whole) * (every_tick[whole] / 220) ** a
                row = [total * m for m in timed]
            elif theta == "mapped":
                mel = [2595 * math.log10(1 + f / 700) for f in (50.0, mean, 500.0)]
                base = 800 + (mel[1] - mel[0]) / (mel[2] - mel[0]) * (10_000 - 800)
                row = [t * base ** (-j / PAIRS) for j in range(PAIRS)]
            else:
                pitched = PAIRS // 4
                speeds = [0.5 * 16.0 ** (j / (pitched - 1)) for j in range(pitched)]  # 0.5 to 8 rad an octave
                row = [math.log2(f0[i] / 220) * speed for speed in speeds]
                row += [t * m for m in frequencies_by_hand(frequencies, PAIRS - pitched)]
            out[b, i] = row
    return out


def turned(module: Rotation, track: PitchTrack) -> np.ndarray:
    """The complex numbers that a frame's pairs are multiplied by, `(B, F, P)`."""
    found = module(track)
    assert found is not None
    cosine, sine = (np.broadcast_to(x[:, 0].detach().numpy(), (*track.f0.shape, PAIRS)) for x in found)
    return cosine + 1j * sine


def circular(found: Tensor | np.ndarray, expected: Tensor | np.ndarray) -> float:
    """The largest distance of two sets of angles, in radians."""
    return float(np.abs(np.angle(np.exp(1j * (np.asarray(found) - np.asarray(expected))))).max())


def scores(module: Rotation, track: PitchTrack, query: Tensor, key: Tensor) -> Tensor:
    """Scores `(B, 1, F, F)` of rotated contents."""
    turn = module(track)
    assert turn is not None
    return rotate(query, *turn) @ rotate(key, *turn).transpose(-1, -2)
