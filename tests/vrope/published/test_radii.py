"""Radii against their formulas."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from echo_asr.vrope import PitchTrack, rotate
from tests.helpers.rotations import PAIRS, THETAS, frequencies_by_hand, rotation, turned

MakeTrack = Callable[..., PitchTrack]


@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("radius", ["learned", "acoustic"])
def test_a_radius_starts_on_the_unit_circle(make_track: MakeTrack, theta: str, radius: str) -> None:
    track = make_track(batch=2)
    module = rotation(theta=theta, radius=radius)
    np.testing.assert_allclose(np.abs(turned(module, track)), 1.0, atol=1e-6)
    if theta != "none":
        np.testing.assert_allclose(turned(module, track), turned(rotation(theta=theta), track), atol=1e-7)


def test_the_acoustic_radius_is_its_formula(make_track: MakeTrack) -> None:
    track, module = make_track(batch=2), rotation(theta="static", radius="acoustic", radius_range=0.3)
    torch.nn.init.normal_(module.radius.weight)
    torch.nn.init.normal_(module.radius.bias)
    found = np.abs(turned(module, track))
    weight, shift = module.radius.weight.tolist(), module.radius.bias.tolist()
    for b in range(2):
        for i in range(12):
            channels = [math.log2(track.f0[b, i] / 220), track.voicing[b, i].item(), track.energy[b, i].item()]
            for j in range(PAIRS):
                inner = sum(w * x for w, x in zip(weight[j], channels, strict=True)) + shift[j]
                assert found[b, i, j] == pytest.approx(1 + 0.3 * math.tanh(inner), rel=1e-5)


def test_the_learned_radius_is_one_number_a_frequency(make_track: MakeTrack) -> None:
    module = rotation(theta="integrated", radius="learned", radius_range=0.3)
    torch.nn.init.normal_(module.radius.raw)
    expected = 1 + 0.3 * np.tanh(module.radius.raw.detach().numpy())
    found = np.abs(turned(module, make_track(batch=2)))
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-6)


@pytest.mark.parametrize("voice", [80.0, 120.0, 200.0, 400.0])
def test_no_voice_saturates_the_acoustic_radius(make_track: MakeTrack, voice: float) -> None:
    module = rotation(theta="none", radius="acoustic")
    torch.nn.init.normal_(module.radius.weight, std=0.5)
    ones = torch.ones(1, 1)
    found = module.radius(make_track(frames=1, f0=voice * ones, voicing=ones, energy=ones))
    found.sum().backward()
    assert (module.radius.weight.grad[:, 1].abs() > 0.02).all()  # dead under a sigmoid of hertz


def test_a_pair_is_turned_as_polar_coordinates_say(make_track: MakeTrack) -> None:
    track, module = make_track(frames=5), rotation(theta="static", radius="learned")
    torch.nn.init.normal_(module.radius.raw)
    turn, radius = module(track), module.radius(track)
    assert turn is not None
    out = rotate(torch.ones(1, 1, 5, 2 * PAIRS), *turn).detach()
    for i in range(5):
        for j, frequency in enumerate(frequencies_by_hand("mel", PAIRS)):
            expected = (1 + 1j) * cmath.rect(radius[0, 0, j].item(), i * frequency)
            assert complex(out[0, 0, i, j], out[0, 0, i, j + PAIRS]) == pytest.approx(expected, abs=1e-5)
