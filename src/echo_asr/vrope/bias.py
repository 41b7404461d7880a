"""Pitch-similarity bias: frames of similar pitch attend to each other more.

Source: the Echo founders' description (`laplace`); `quadratic` and `harmonic` are Echo's, of low rank, so that they
fold into query and key as extra dimensions and no `F x F` matrix is ever made.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .config import VRoPEModes
from .precision import precise_device
from .track import PitchTrack

START_STRENGTH = 0.1  # s_h, in units of the score
START_SPREAD = 0.5  # c_h or tau_h, octaves
QUADRATIC = ("quadratic", "energy", "random")  # of one form, on pitch and on what controls put in its place


def scattered(track: PitchTrack) -> Tensor:
    """A value in [0, 1) for each frame, from its index alone: `i (sqrt(5) - 1) / 2 mod 1` for frame `i`, `(B, F)`. Near
    frames differ much (the golden ratio's multiples are spread evenly), and no recording has values of its own."""
    index = torch.arange(track.f0.shape[1], dtype=torch.float64, device=precise_device(track.f0.device))
    values = torch.remainder(index * ((math.sqrt(5.0) - 1.0) / 2.0), 1.0)
    return values.to(track.f0.dtype).to(track.f0.device).expand_as(track.f0)


class PitchBias(nn.Module):
    """`s_h v_i v_j g(z_i - z_j)` for a head `h`, frames `i` and `j`; `z` in octaves, `v` the voicing.

    `laplace`: `g = exp(-|d| / tau_h)`; `quadratic`: `g = c_h^2 - d^2`; `harmonic`: `g = cos(2 pi d)`. The strength
    `s_h`, and the spreads `tau_h` and `c_h`, are softplus of a parameter.

    `energy` and `random` are controls of `quadratic`, with its parameters and its rank: in place of pitch they put the
    frame's energy, or a value between 0 and 1 that is scattered over the frames and the same for every recording.

    Args:
        modes: `bias` is one of these, and `reference` that of `z`.
        heads: H.
    """

    def __init__(self, modes: VRoPEModes, heads: int) -> None:
        super().__init__()
        self.modes = modes
        self.raw_strength = nn.Parameter(torch.full((heads,), math.log(math.expm1(START_STRENGTH))))
        if modes.bias != "harmonic":
            self.raw_spread = nn.Parameter(torch.full((heads,), math.log(math.expm1(START_SPREAD))))

    @property
    def strength(self) -> Tensor:
        """`s_h`, `(H,)`, positive."""
        return softplus(self.raw_strength)

    def centred(self, track: PitchTrack) -> tuple[Tensor, Tensor]:
        """`z` about its voiced mean, and voicing: `(B, 1, F)` each. The biases see differences of `z` alone; a
        centred `z` keeps the folded terms small, hence exact in narrow dtypes. A control has its values for `z`."""
        voicing = track.voicing * ~track.padding
        if self.modes.bias == "energy":
            z = track.energy
        else:
            z = scattered(track) if self.modes.bias == "random" else track.z("fixed")
        mean = (z * voicing).sum(1, keepdim=True) / voicing.sum(1, keepdim=True).clamp(min=1e-6)
        return ((z - mean) * (voicing > 0))[:, None], voicing[:, None]

    def factors(self, track: PitchTrack) -> tuple[Tensor, Tensor]:
        """Query and key factors whose product over the last axis is the bias: `(B, H, F, R)` each.

        Raises:
            ValueError: the bias has no exact factors (`laplace`).
        """
        z, voicing = self.centred(track)
        strength = self.strength[None, :, None]
        if self.modes.bias in QUADRATIC:
            spread = softplus(self.raw_spread)[None, :, None]
            query = torch.stack(torch.broadcast_tensors(spread**2 - z**2, torch.ones_like(z), 2.0 * z), dim=-1)
            key = torch.stack((torch.ones_like(z), -(z**2), z), dim=-1)
        elif self.modes.bias == "harmonic":
            turn = 2.0 * math.pi * z
            query = key = torch.stack((turn.cos(), turn.sin()), dim=-1)
        else:
            raise ValueError(f"bias {self.modes.bias} has no exact factors; it needs a matrix")
        return query * (strength * voicing)[..., None], (key * voicing[..., None]).expand(-1, strength.shape[1], -1, -1)

    def term(self, track: PitchTrack) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """The bias of single scores, as flex attention asks for it: a function of the indices of batch, head, query
        and key, each a scalar tensor."""
        z, voicing = (x[:, 0] for x in self.centred(track))
        strength, kind = self.strength, self.modes.bias
        spread = strength if kind == "harmonic" else softplus(self.raw_spread)

        def bias(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            distance = z[batch, query] - z[batch, key]
            if kind == "laplace":
                shape = torch.exp(-distance.abs() / spread[head])
            elif kind in QUADRATIC:
                shape = spread[head] ** 2 - distance**2
            else:
                shape = torch.cos(2.0 * math.pi * distance)
            return strength[head] * voicing[batch, query] * voicing[batch, key] * shape

        return bias

    def matrix(self, track: PitchTrack) -> Tensor:
        """The whole bias, `(B, H, F, F)`: the oracle of the folded forms, and the only form of `laplace`."""
        z, voicing = self.centred(track)
        strength = self.strength[None, :, None, None]
        distance = z[..., :, None] - z[..., None, :]
        if self.modes.bias == "laplace":
            shape = torch.exp(-distance.abs() / softplus(self.raw_spread)[None, :, None, None])
        elif self.modes.bias in QUADRATIC:
            shape = softplus(self.raw_spread)[None, :, None, None] ** 2 - distance**2
        else:
            shape = torch.cos(2.0 * math.pi * distance)
        return strength * voicing[..., :, None] * voicing[..., None, :] * shape
