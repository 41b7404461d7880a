"""The sets of rotary frequencies, in radians per tick of the clock or per octave, always in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .config import VRoPEModes

INVERSE_POWER_FASTEST, MEL_FASTEST = 1.0, 8.0  # rad per tick of the fastest pair
AXIS_RANGE = (0.5, 8.0)  # rad per octave, slowest and fastest pitch pair


def mel_frequencies(pairs: int, device: torch.device | None = None, fastest: float = MEL_FASTEST) -> Tensor:
    """Echo's set, mel-spaced from 0 to `fastest` radians per 10 ms tick at 220 Hz: `(P,)` float64.

    `m_j = 0.7 (10^(u_j / 2595) - 1)` with `u` evenly spaced from 0 to `2595 log10(1 + fastest / 0.7)`.

    Example:
        >>> mel_frequencies(4).numpy().round(3)
        array([0.   , 0.921, 3.056, 8.   ])
    """
    top = 2595.0 * math.log10(1.0 + fastest / 0.7)
    return 0.7 * (10.0 ** (torch.linspace(0.0, top, pairs, dtype=torch.float64, device=device) / 2595.0) - 1.0)


def inverse_power_frequencies(
    pairs: int, base: float = 10_000.0, device: torch.device | None = None, fastest: float = INVERSE_POWER_FASTEST
) -> Tensor:
    """RoPE's set `base^(-j / P)`, `j = 0 .. P - 1`, in radians per tick, times `fastest`: `(P,)` float64."""
    return fastest * base ** (-torch.arange(pairs, dtype=torch.float64, device=device) / pairs)


def octave_frequencies(pairs: int, device: torch.device | None = None) -> Tensor:
    """The pitch pairs of theta `axis`: 0.5 to 8 radians per octave, evenly spaced in logarithm, `(P,)` float64."""
    low, high = (math.log(x) for x in AXIS_RANGE)
    return torch.linspace(low, high, pairs, dtype=torch.float64, device=device).exp()


def time_frequencies(modes: VRoPEModes, pairs: int, device: torch.device | None = None) -> Tensor:
    """The set by which pairs turn with time, before any training: `(pairs,)` float64, radians per tick."""
    mel_spaced = modes.frequencies == "mel"
    fastest = modes.fastest or (MEL_FASTEST if mel_spaced else INVERSE_POWER_FASTEST)
    make = mel_frequencies if mel_spaced else inverse_power_frequencies
    return make(pairs, device=device, fastest=fastest)
