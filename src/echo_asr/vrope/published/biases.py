"""Pitch-similarity bias: frames of similar pitch attend to each other more.

Source: the Echo founders' description (`laplace`); `quadratic` and `harmonic` are Echo's, of low rank, so that they
fold into query and key as extra dimensions and no `F x F` matrix is ever made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..precision import precise_device
from ..track import PitchTrack

START_STRENGTH = 0.1  # s_h, in units of the score
START_SPREAD = 0.5  # c_h or tau_h, octaves


class PitchBias(nn.Module):
    """`s_h v_i v_j g(z_i - z_j)` for a head `h`, frames `i` and `j`; `z` in octaves, `v` the voicing.

    The strength `s_h`, and the spread of `g` where it has one, are softplus of a parameter. A subclass gives `g`.

    Args:
        heads: H.
    """

    name: str
    has_spread = True

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.raw_strength = nn.Parameter(torch.full((heads,), math.log(math.expm1(START_STRENGTH))))
        if self.has_spread:
            self.raw_spread = nn.Parameter(torch.full((heads,), math.log(math.expm1(START_SPREAD))))

    def similarity(self, distance: Tensor, spread: Tensor) -> Tensor:
        """`g` of distances of `z`, element by element."""
        raise NotImplementedError

    def factors(self, track: PitchTrack) -> tuple[Tensor, Tensor]:
        """Query and key factors whose product over the last axis is the bias: `(B, H, F, R)` each.

        Raises:
            ValueError: the bias has no exact factors.
        """
        raise ValueError(f"bias {self.name} has no exact factors; it needs a matrix")

    @property
    def strength(self) -> Tensor:
        """`s_h`, `(H,)`, positive."""
        return softplus(self.raw_strength)

    @property
    def spread(self) -> Tensor:
        """The spread of `g` in octaves, `(H,)`, positive; without one a value that `g` ignores."""
        return softplus(self.raw_spread) if self.has_spread else self.strength

    def values(self, track: PitchTrack) -> Tensor:
        """`z`, `(B, F)`. About 220 Hz: the bias depends on differences alone."""
        return track.z("fixed")

    def centred(self, track: PitchTrack) -> tuple[Tensor, Tensor]:
        """`z` about its voiced mean, and voicing: `(B, 1, F)` each. A centred `z` keeps the folded terms small, hence
        exact in narrow dtypes."""
        voicing = track.voicing * ~track.padding
        z = self.values(track)
        mean = (z * voicing).sum(1, keepdim=True) / voicing.sum(1, keepdim=True).clamp(min=1e-6)
        return ((z - mean) * (voicing > 0))[:, None], voicing[:, None]

    def term(self, track: PitchTrack) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """The bias of single scores, as flex attention needs it: a function of the indices of batch, head, query and
        key, each a scalar tensor."""
        z, voicing = (x[:, 0] for x in self.centred(track))
        strength, spread = self.strength, self.spread

        def bias(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            shape = self.similarity(z[batch, query] - z[batch, key], spread[head])
            return strength[head] * voicing[batch, query] * voicing[batch, key] * shape

        return bias

    def matrix(self, track: PitchTrack) -> Tensor:
        """The whole bias, `(B, H, F, F)`: the oracle of the folded forms, and the only form of `laplace`."""
        z, voicing = self.centred(track)
        shape = self.similarity(z[..., :, None] - z[..., None, :], self.spread[None, :, None, None])
        return self.strength[None, :, None, None] * voicing[..., :, None] * voicing[..., None, :] * shape

    def terms(self, track: PitchTrack, backend: str) -> dict[str, Any]:
        """The bias as the argument of `attend` that a backend takes."""
        if backend == "flex":
            return {"term": self.term(track)}
        return {"matrix": self.matrix(track)} if backend == "reference" else {"factors": self.factors(track)}


class LaplaceBias(PitchBias):
    """`g = exp(-|d| / tau_h)`: the published form; it needs a matrix, or flex attention."""

    name = "laplace"

    def similarity(self, distance: Tensor, spread: Tensor) -> Tensor:
        """`exp(-|d| / tau_h)`."""
        return torch.exp(-distance.abs() / spread)


class QuadraticBias(PitchBias):
    """`g = c_h^2 - d^2`, of rank 3."""

    name = "quadratic"

    def similarity(self, distance: Tensor, spread: Tensor) -> Tensor:
        """`c_h^2 - d^2`."""
        return spread**2 - distance**2

    def factors(self, track: PitchTrack) -> tuple[Tensor, Tensor]:
        """Query and key factors, `(B, H, F, 3)` each."""
        z, voicing = self.centred(track)
        spread = self.spread[None, :, None]
        query = torch.stack(torch.broadcast_tensors(spread**2 - z**2, torch.ones_like(z), 2.0 * z), dim=-1)
        key = torch.stack((torch.ones_like(z), -(z**2), z), dim=-1)
        return weighted(query, key, self.strength, voicing)


class HarmonicBias(PitchBias):
    """`g = cos(2 pi d)`, of rank 2: octaves attract each other."""

    name, has_spread = "harmonic", False

    def similarity(self, distance: Tensor, spread: Tensor) -> Tensor:
        """`cos(2 pi d)`."""
        return torch.cos(2.0 * math.pi * distance)

    def factors(self, track: PitchTrack) -> tuple[Tensor, Tensor]:
        """Query and key factors, `(B, H, F, 2)` each."""
        z, voicing = self.centred(track)
        phase = 2.0 * math.pi * z
        both = torch.stack((phase.cos(), phase.sin()), dim=-1)
        return weighted(both, both, self.strength, voicing)


class EnergyBias(QuadraticBias):
    """A control of `quadratic`, with its parameters and its rank: a frame's energy in place of its pitch."""

    name = "energy"

    def values(self, track: PitchTrack) -> Tensor:
        """Energy, `(B, F)`."""
        return track.energy


class RandomBias(QuadraticBias):
    """A control of `quadratic`: a value in [0, 1) that depends on the frame's index alone in place of its pitch."""

    name = "random"

    def values(self, track: PitchTrack) -> Tensor:
        """`i (sqrt(5) - 1) / 2 mod 1` of frame `i`, `(B, F)`. Near frames differ much (the golden ratio's multiples are
        spread evenly), and no recording has values of its own."""
        index = torch.arange(track.f0.shape[1], dtype=torch.float64, device=precise_device(track.f0.device))
        values = torch.remainder(index * ((math.sqrt(5.0) - 1.0) / 2.0), 1.0)
        return values.to(track.f0.dtype).to(track.f0.device).expand_as(track.f0)


def weighted(query: Tensor, key: Tensor, strength: Tensor, voicing: Tensor) -> tuple[Tensor, Tensor]:
    """Query and key factors with strength `(H,)` and voicing `(B, 1, F)` multiplied in: `(B, H, F, R)` each."""
    strength = strength[None, :, None]
    return query * (strength * voicing)[..., None], (key * voicing[..., None]).expand(-1, strength.shape[1], -1, -1)
