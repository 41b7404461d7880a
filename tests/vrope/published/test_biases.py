"""The pitch bias against its definition, and its folded form against the whole matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from echo_asr.vrope import PitchBias, PitchTrack, make_bias

MakeTrack = Callable[..., PitchTrack]
HEADS = 3
EVERY = ("laplace", "quadratic", "harmonic", "energy", "random")
FOLDED = ("quadratic", "harmonic", "energy", "random")
OF_PITCH = ("laplace", "quadratic", "harmonic")


def pitch_bias(kind: str) -> PitchBias:
    bias = make_bias(kind, HEADS)
    assert bias is not None
    for parameter in bias.parameters():
        torch.nn.init.normal_(parameter)
    return bias


def by_hand(bias: PitchBias, track: PitchTrack) -> Tensor:
    """`s_h v_i v_j g(z_i - z_j)` of DESIGN section 4 in float64 loops, `(B, H, F, F)`."""

    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    batch, frames = track.f0.shape
    out = torch.zeros(batch, HEADS, frames, frames, dtype=torch.float64)
    for b in range(batch):
        z = [math.log2(f / 220.0) for f in track.f0[b].tolist()]
        if bias.name == "energy":
            z = track.energy[b].tolist()
        if bias.name == "random":
            z = [i * 2 / (1 + math.sqrt(5)) % 1 for i in range(frames)]
        v = [0.0 if p else v for v, p in zip(track.voicing[b].tolist(), track.padding[b].tolist(), strict=True)]
        for h in range(HEADS):
            strength = softplus(bias.raw_strength[h].item())
            spread = softplus(bias.raw_spread[h].item()) if bias.name != "harmonic" else 0.0
            for i in range(frames):
                for j in range(frames):
                    distance = z[i] - z[j]
                    shape = {
                        "laplace": lambda d=distance, s=spread: math.exp(-abs(d) / s),
                        "quadratic": lambda d=distance, s=spread: s**2 - d**2,
                        "harmonic": lambda d=distance: math.cos(2 * math.pi * d),
                    }["quadratic" if bias.name in ("energy", "random") else bias.name]()
                    out[b, h, i, j] = strength * v[i] * v[j] * shape
    return out


@pytest.fixture
def track(make_track: MakeTrack) -> PitchTrack:
    track = make_track(batch=3, frames=9)
    track.padding[1, 6:] = True
    track.voicing[2] = 0.0
    return track


@pytest.mark.parametrize("kind", EVERY)
def test_the_matrix_is_the_definition(track: PitchTrack, kind: str) -> None:
    bias = pitch_bias(kind)
    torch.testing.assert_close(bias.matrix(track).double(), by_hand(bias, track), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(("kind", "rank"), [("quadratic", 3), ("harmonic", 2), ("energy", 3), ("random", 3)])
def test_folded_factors_make_the_same_matrix(track: PitchTrack, kind: str, rank: int) -> None:
    bias = pitch_bias(kind).double()
    exact = replace(track, f0=track.f0.double(), voicing=track.voicing.double(), energy=track.energy.double())
    query, key = bias.factors(exact)
    assert query.shape == key.shape == (3, HEADS, 9, rank)
    torch.testing.assert_close(query @ key.transpose(-1, -2), bias.matrix(exact), atol=1e-12, rtol=1e-12)


def test_laplace_says_that_it_needs_a_matrix(track: PitchTrack) -> None:
    with pytest.raises(ValueError, match="bias laplace has no exact factors; it needs a matrix"):
        pitch_bias("laplace").factors(track)


@pytest.mark.parametrize("kind", EVERY)
def test_unvoiced_and_padded_frames_neither_give_nor_receive(track: PitchTrack, kind: str) -> None:
    silent = (track.voicing == 0) | track.padding
    matrix = pitch_bias(kind).matrix(track).abs().sum(1)
    assert matrix.masked_select(silent[:, :, None]).sum() == 0
    assert matrix.masked_select(silent[:, None, :]).sum() == 0
    assert (matrix.masked_select(~silent[:, :, None] & ~silent[:, None, :]) > 0).all()


@pytest.mark.parametrize("kind", FOLDED)
@pytest.mark.parametrize("interval", [2.0, 0.5, 1.26])
def test_a_higher_voice_does_not_make_the_folded_terms_larger(track: PitchTrack, kind: str, interval: float) -> None:
    """So that narrow dtypes lose nothing."""
    bias, other = pitch_bias(kind), replace(track, f0=track.f0 * interval)
    for one, same in zip(bias.factors(other), bias.factors(track), strict=True):
        torch.testing.assert_close(one, same, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", OF_PITCH)
def test_equal_pitch_attracts_most_and_each_head_has_a_strength(make_track: MakeTrack, kind: str) -> None:
    f0 = torch.tensor([[200.0, 200.0, 220.0, 280.0, 400.0]])  # equal, then 1.7, 5.8 and 12 semitones away
    bias = pitch_bias(kind)
    row = bias.matrix(make_track(frames=5, f0=f0, voicing=torch.ones(1, 5)))[0, :, 0]
    torch.testing.assert_close(row[:, 0], row[:, 1])
    assert (row[:, 1] > row[:, 2]).all() and (row[:, 2] > row[:, 3]).all()
    if kind == "harmonic":  # an octave is as good as the same pitch
        torch.testing.assert_close(row[:, 4], row[:, 0])
        torch.testing.assert_close(row[:, 0], bias.strength)
    else:
        assert (row[:, 3] > row[:, 4]).all()


@pytest.mark.parametrize("kind", EVERY)
def test_strength_starts_at_a_tenth_and_spread_at_half_an_octave(kind: str) -> None:
    bias = make_bias(kind, HEADS)
    assert bias is not None
    torch.testing.assert_close(bias.strength, torch.full((HEADS,), 0.1))
    if kind != "harmonic":
        torch.testing.assert_close(torch.nn.functional.softplus(bias.raw_spread), torch.full((HEADS,), 0.5))
    bias.raw_strength.data.fill_(-20.0)
    assert (bias.strength > 0).all()


@pytest.mark.parametrize("kind", ["energy", "random"])
def test_controls_are_deaf_to_pitch_and_as_large_as_what_they_control(track: PitchTrack, kind: str) -> None:
    bias, other = pitch_bias(kind), replace(track, f0=track.f0.flip(1) * 1.3)
    assert torch.equal(bias.matrix(other), bias.matrix(track))
    shapes = [[p.shape for p in pitch_bias(each).parameters()] for each in (kind, "quadratic")]
    assert shapes[0] == shapes[1]
