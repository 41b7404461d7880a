"""Thetas in which F0 sets the rate of rotation.

Sources: the substitution of F0 for theta (`mean`, `frame`) and `mapped`, the Echo founders' descriptions; `integrated`
is Echo's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import VRoPEModes
from ..frequencies import INVERSE_POWER_FASTEST
from ..precision import double
from ..rotation import Rotation, wrap_phase
from ..track import REFERENCE_F0, PitchTrack

MAPPED_F0 = (50.0, 500.0)  # Hz, the range of mean F0 that `mapped` knows
MAPPED_BASE = (800.0, 10_000.0)  # the bases it is mapped to


class MeanRotation(Rotation):
    """Theta `mean`: the phase is `t (mean f / 220) m_j`, one speed an utterance."""

    def ticks(self, track: PitchTrack, offset: int = 0) -> Tensor:
        """`(B, F)` float64."""
        return super().ticks(track, offset) * (mean_f0(track) / REFERENCE_F0)


class FrameRotation(Rotation):
    """Theta `frame`: the phase is `t (f_t / 220) m_j`, literal substitution. Not relative: it drifts with `t`."""

    def ticks(self, track: PitchTrack, offset: int = 0) -> Tensor:
        """`(B, F)` float64."""
        return super().ticks(track, offset) * (double(track.f0) / REFERENCE_F0)


class IntegratedRotation(Rotation):
    """Theta `integrated`: the phase is `sum_{s < t} (f_s / 220)^a m_j`, relative along accumulated pitch; `a`, one a
    layer, is learnt."""

    def __init__(self, modes: VRoPEModes, pairs: int, radius: nn.Module | None = None) -> None:
        super().__init__(modes, pairs, radius)
        self.raw_exponent = nn.Parameter(torch.zeros(()))

    @property
    def exponent(self) -> Tensor:
        """`a`, in [-1, 2], starting at 0.5: float64, whatever the dtype of the parameter."""
        return 3.0 * torch.sigmoid(double(self.raw_exponent)) - 1.0

    def ticks(self, track: PitchTrack, offset: int = 0) -> Tensor:
        """`(B, F)` float64."""
        super().ticks(track, offset)
        return integrated_positions(track, self.exponent, self.modes.clock)


class MappedRotation(Rotation):
    """Theta `mapped`: `t` times the inverse-power set whose base is the utterance's mean F0, mapped mel-linearly from
    50 to 500 Hz onto 800 to 10000."""

    def phase(self, track: PitchTrack, offset: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Phases in radians, reduced to one turn: `(B, F, P)` of `dtype`."""
        ticks = self.ticks(track, offset)
        low, high = mel(torch.tensor(MAPPED_F0, dtype=torch.float64, device=ticks.device))
        share = (mel(mean_f0(track)) - low) / (high - low)
        base = (MAPPED_BASE[0] + share * (MAPPED_BASE[1] - MAPPED_BASE[0])).clamp(min=1.0)
        power = -torch.arange(self.pairs, dtype=torch.float64, device=ticks.device) / self.pairs
        fastest = self.modes.fastest or INVERSE_POWER_FASTEST
        return wrap_phase(ticks[..., None] * (fastest * base**power)[:, None], dtype, track.f0.device)


def mean_f0(track: PitchTrack) -> Tensor:
    """Mean F0 in Hz over the voiced frames of each utterance, 220 where none is voiced: `(B, 1)` float64."""
    weight = double(track.voicing * ~track.padding)
    total = weight.sum(1, keepdim=True)
    mean = (weight * double(track.f0)).sum(1, keepdim=True) / total.clamp(min=1e-9)
    return torch.where(total > 0, mean, REFERENCE_F0)


def integrated_positions(track: PitchTrack, exponent: Tensor, clock: str = "frame") -> Tensor:
    """Accumulated pitch, `sum_{s < t} (f_s / 220)^a` sampled at frame centres: `(B, F)` float64.

    F0 is taken as constant within a frame, and a centre between two ticks counts half of the tick before it. With
    `a = 0` it equals `positions`; a constant F0 of `c` Hz gives `(c / 220)^a` times them.
    """
    speed = (double(track.f0) / REFERENCE_F0) ** double(exponent)
    step = track.step if clock == "frame" else 1.0
    return step * (speed.cumsum(1) - speed) + (step - 1.0) / 2.0 * speed


def mel(hertz: Tensor) -> Tensor:
    """Mel scale of a frequency in Hz (O'Shaughnessy): `2595 log10(1 + f / 700)`."""
    return 2595.0 * torch.log10(1.0 + hertz / 700.0)
