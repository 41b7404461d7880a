"""Radii of the rotation other than 1.

Source: the Echo founders' description, whose radius was a sigmoid of F0 in hertz, saturated for every voice; here it is
bounded in `(1 - rho, 1 + rho)`, starts at 1 and sees octaves.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..track import CHANNELS, PitchTrack


class LearnedRadius(nn.Module):
    """`1 + rho tanh(w)`, a number a pair: a control, which the projections could absorb.

    Args:
        pairs: P.
        radius_range: rho.
    """

    def __init__(self, pairs: int, radius_range: float) -> None:
        super().__init__()
        self.radius_range = radius_range
        self.raw = nn.Parameter(torch.zeros(pairs))

    def forward(self, track: PitchTrack) -> Tensor:
        """`(1, 1, P)`."""
        return 1.0 + self.radius_range * torch.tanh(self.raw)[None, None]


class AcousticRadius(nn.Module):
    """`1 + rho tanh(W [z, v, e] + b)` of pitch, voicing and energy.

    Args:
        pairs: P.
        radius_range: rho.
        reference: that `z` is relative to, as in `VRoPEModes`.
    """

    def __init__(self, pairs: int, radius_range: float, reference: str = "fixed") -> None:
        super().__init__()
        self.radius_range, self.reference = radius_range, reference
        self.weight = nn.Parameter(torch.zeros(pairs, CHANNELS))
        self.bias = nn.Parameter(torch.zeros(pairs))

    def forward(self, track: PitchTrack) -> Tensor:
        """`(B, F, P)`."""
        weighted = (track.channels(self.reference)[..., None, :] * self.weight).sum(-1) + self.bias
        return 1.0 + self.radius_range * torch.tanh(weighted)
