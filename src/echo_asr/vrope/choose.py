"""From the names in a configuration to the objects that an attention layer is made of."""

from __future__ import annotations

from torch import nn

from .config import VRoPEModes
from .published.biases import EnergyBias, HarmonicBias, LaplaceBias, PitchBias, QuadraticBias, RandomBias
from .published.nulls import HardNulls, NullKeys, ScoreNulls, WeightNulls
from .published.radii import AcousticRadius, LearnedRadius
from .published.thetas import FrameRotation, IntegratedRotation, MappedRotation, MeanRotation
from .rotation import AxisRotation, NoRotation, Rotation, StaticRotation

ROTATIONS: dict[str, type[Rotation]] = {
    "axis": AxisRotation,
    "static": StaticRotation,
    "none": NoRotation,
    "mean": MeanRotation,
    "frame": FrameRotation,
    "integrated": IntegratedRotation,
    "mapped": MappedRotation,
}
BIASES: dict[str, type[PitchBias]] = {
    one.name: one for one in (LaplaceBias, QuadraticBias, HarmonicBias, EnergyBias, RandomBias)
}
NULLS: dict[str, type[NullKeys]] = {one.mode: one for one in (NullKeys, HardNulls, WeightNulls, ScoreNulls)}


def make_rotation(modes: VRoPEModes, pairs: int) -> Rotation:
    """The rotation of `pairs` complex pairs, by theta and radius."""
    return ROTATIONS[modes.theta](modes, pairs, make_radius(modes, pairs))


def make_radius(modes: VRoPEModes, pairs: int) -> nn.Module | None:
    """The radius of `pairs` complex pairs; None for the unit circle."""
    if modes.radius == "learned":
        return LearnedRadius(pairs, modes.radius_range)
    return AcousticRadius(pairs, modes.radius_range, modes.reference) if modes.radius == "acoustic" else None


def make_bias(kind: str, heads: int) -> PitchBias | None:
    """The pitch bias of a kind; None for `none`."""
    return None if kind == "none" else BIASES[kind](heads)


def make_nulls(mode: str, heads: int) -> NullKeys:
    """The null keys of a mode."""
    return NULLS[mode](heads)
