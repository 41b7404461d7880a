"""Which voice modulation an attention layer uses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin, get_type_hints

Theta = Literal["none", "static", "mean", "frame", "integrated", "mapped", "axis"]
Radius = Literal["unit", "learned", "acoustic"]
Bias = Literal["none", "laplace", "quadratic", "harmonic", "energy", "random"]
Nulls = Literal["none", "hard", "weight", "score"]
Backend = Literal["auto", "reference", "sdpa", "flex"]

BIAS_RANK = {"none": 0, "laplace": 0, "quadratic": 3, "harmonic": 2, "energy": 3, "random": 3}
"""Dimensions that a bias takes out of a head when it is folded into query and key; `laplace` needs a matrix."""


@dataclass(frozen=True)
class VRoPEModes:
    """The choices that make up voice-modulated rotary position encoding; when to use which is in `docs/options.md`.

    Raises:
        ValueError: a value out of its range; the message names the field.
    """

    theta: Theta = "axis"  # how the phase of a frame depends on time and F0
    rotate_values: bool = True  # rotate values by pitch too; only theta axis has a pitch to rotate them by
    reference: Literal["fixed", "utterance", "speaker"] = "fixed"  # z is relative to 220 Hz, or to a median voiced F0
    frequencies: Literal["mel", "inverse_power"] = "mel"  # the set of rotary frequencies, rad per clock tick
    learn_frequencies: bool = False  # train the rotary frequencies of each layer
    clock: Literal["frame", "encoder"] = "frame"  # ticks of the clock: 10 ms frames, or encoder frames
    fastest: float = 0.0  # rad per tick of the fastest pair; 0: the set's own, 8 of mel and 1 of inverse_power
    backend: Backend = "auto"  # how attention is computed
    # The founders' proposals, which the studies found to add nothing; see `vrope/published`.
    radius: Radius = "unit"  # magnitude of the rotation
    radius_range: float = 0.5  # rho: an acoustic radius stays in (1 - rho, 1 + rho)
    bias: Bias = "none"  # pitch-similarity bias of the scores
    nulls: Nulls = "none"  # what silence and the zero token weigh as keys

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(VRoPEModes).items():
            choices, value = get_args(kind) if get_origin(kind) is Literal else (), getattr(self, name)
            if kind is bool and not isinstance(value, bool):
                raise ValueError(f"{name} must be true or false, got {value!r}")
            if choices and value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        if not 0.0 < self.radius_range < 1.0:
            raise ValueError(f"radius_range must lie between 0 and 1 (exclusive), got {self.radius_range}")
        if not 0.0 <= self.fastest <= 100.0:
            raise ValueError(f"fastest must lie in [0, 100] rad per tick, got {self.fastest}")
        if self.fastest and self.theta == "none":
            raise ValueError("fastest has no set to scale under theta none; take another theta")
        if self.learn_frequencies and self.theta in ("none", "mapped"):
            raise ValueError(f"learn_frequencies has no set to train under theta {self.theta}; take another theta")
        if self.backend == "sdpa" and self.bias == "laplace":
            raise ValueError("backend sdpa cannot fold bias laplace; take backend auto, or bias quadratic")

    def attention(self, width: int, heads: int, causal: bool = False) -> VRoPEConfig:
        """The configuration of one layer of `width` features and `heads` heads with these modes."""
        modes = {field.name: getattr(self, field.name) for field in fields(VRoPEModes)}
        return VRoPEConfig(**modes, width=width, heads=heads, causal=causal)


@dataclass(frozen=True)
class VRoPEConfig(VRoPEModes):
    """One attention layer: the modes, and its dimensions.

    Raises:
        ValueError: dimensions that do not divide, or heads too narrow for the folded terms.
    """

    width: int = 64  # D, features in and out
    heads: int = 4  # H
    causal: bool = False  # a query attends to no later key

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads < 1 or self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        if self.head_width % 8:
            raise ValueError(f"width / heads must be a multiple of 8, got {self.width} / {self.heads}")
        if self.content_width < 8:
            raise ValueError(f"heads of width {self.head_width} leave fewer than 8 content dimensions; widen them")
        if self.causal and self.bias != "none":
            raise ValueError(f"bias {self.bias} belongs to encoder self-attention; a causal layer takes bias none")

    @property
    def head_width(self) -> int:
        """K, dimensions of a head."""
        return self.width // self.heads

    @property
    def folded_width(self) -> int:
        """Dimensions of a head that carry the folded bias and null weights, an even number."""
        used = BIAS_RANK[self.bias] + (self.nulls in ("hard", "weight"))
        return used + used % 2

    @property
    def content_width(self) -> int:
        """Dimensions of a head that carry content: what query and key are projected to and rotated in."""
        return self.head_width - self.folded_width
