"""Pitch tracks, layers and a fixed seed for the tests of vRoPE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from echo_asr.vrope import PitchTrack, VRoPEAttention, VRoPEModes

MakeTrack = Callable[..., PitchTrack]
MakeLayer = Callable[..., VRoPEAttention]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def make_track() -> MakeTrack:
    """A random track `(B, F)`: F0 of 80 to 400 Hz, two frames in three voiced (some of them partly), one in four null,
    no padding; keywords replace whole fields."""

    def make(batch: int = 1, frames: int = 12, seed: int = 0, **fields: Any) -> PitchTrack:
        random = torch.Generator().manual_seed(seed)

        def uniform() -> torch.Tensor:
            return torch.rand(batch, frames, generator=random)

        track = PitchTrack(
            f0=80.0 * 5.0 ** uniform(),
            voicing=(2.0 * uniform() - 0.6).clamp(0.0, 1.0),
            energy=uniform(),
            null=uniform() < 0.25,
            padding=torch.zeros(batch, frames, dtype=torch.bool),
        )
        return replace(track, **fields)

    return make


@pytest.fixture(scope="session")
def make_layer() -> MakeLayer:
    """`(seed=0, width=48, causal=False, **modes)`: a layer of two heads, every parameter away from its start."""

    def make(seed: int = 0, width: int = 48, causal: bool = False, **modes: Any) -> VRoPEAttention:
        layer = VRoPEAttention(VRoPEModes(**modes).attention(width, 2, causal))
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                spread = 0.5 if name.startswith(("rotation.", "bias.", "nulls.")) else 0.2
                parameter.add_(spread * torch.randn(parameter.shape, generator=random))
        return layer

    return make
