"""Thetas in which F0 sets the rate; what holds for every theta is in `tests/vrope/test_rotation.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from echo_asr.vrope import PitchTrack, Rotation
from tests.helpers.rotations import NAMES, PAIRS, phases_by_hand, rotation, scores, turned

MakeTrack = Callable[..., PitchTrack]


def set_exponent(module: Rotation, a: float) -> None:
    share = (a + 1.0) / 3.0
    module.raw_exponent.data.fill_(math.log(share / (1.0 - share)))


@pytest.mark.parametrize("a", [-0.9, 0.0, 1.0, 1.9])
def test_integrated_follows_its_exponent(make_track: MakeTrack, a: float) -> None:
    track, module = make_track(batch=2, frames=9, step=4.0), rotation(theta="integrated")
    set_exponent(module, a)
    assert module.exponent.item() == pytest.approx(a, abs=1e-6)
    expected = np.exp(1j * phases_by_hand(track, "integrated", "mel", "frame", a=module.exponent.item()))
    np.testing.assert_allclose(turned(module, track), expected, atol=2e-5)


def test_the_exponent_starts_at_a_half_and_stays_between_minus_one_and_two() -> None:
    module = rotation(theta="integrated")
    assert module.exponent == 0.5
    for raw, bound in ((-1e4, -1.0), (1e4, 2.0)):
        module.raw_exponent.data.fill_(raw)
        assert module.exponent == bound


def test_frame_drifts_with_the_absolute_index(make_track: MakeTrack) -> None:
    content, track = torch.ones(1, 1, 24, 2 * PAIRS), make_track(frames=12)
    twice = replace(track, **{name: getattr(track, name).repeat(1, 2) for name in NAMES})
    found = scores(rotation(theta="frame"), twice, content, content)
    assert (found[..., 12:, 12:] - found[..., :12, :12]).abs().max() > 1.0
