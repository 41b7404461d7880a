"""Phases against complex numbers and loops; what each theta depends on, and what not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from echo_asr.vrope import PitchTrack, VRoPEAttention, VRoPEModes, inverse_power_frequencies, mel_frequencies, rotate
from echo_asr.vrope.rotation import AxisRotation
from tests.helpers.rotations import (
    NAMES,
    PAIRS,
    THETAS,
    circular,
    frequencies_by_hand,
    phases_by_hand,
    rotation,
    scores,
    turned,
)

MakeTrack = Callable[..., PitchTrack]
TURNING = THETAS[1:]


@pytest.mark.parametrize("pairs", [2, 5, 32])
def test_the_frequency_sets_are_their_formulas(pairs: int) -> None:
    np.testing.assert_allclose(mel_frequencies(pairs), frequencies_by_hand("mel", pairs), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        inverse_power_frequencies(pairs), frequencies_by_hand("inverse_power", pairs), rtol=1e-12
    )


@pytest.mark.parametrize("fastest", [0.5, 3.0, 20.0])
def test_a_set_may_be_given_its_fastest_pair(fastest: float, make_track: MakeTrack) -> None:
    """The mel set keeps its formula and RoPE's its ratios; phases follow."""
    mel = mel_frequencies(7, fastest=fastest)
    mels = np.log1p(mel.numpy() / 0.7)
    assert mel[0] == 0 and mel[-1].item() == pytest.approx(fastest, rel=1e-12)
    np.testing.assert_allclose(np.diff(mels), mels[-1] / 6, rtol=1e-9)
    torch.testing.assert_close(inverse_power_frequencies(7, fastest=fastest), fastest * inverse_power_frequencies(7))
    track = make_track(frames=6)
    for frequencies, expected in (("mel", mel_frequencies), ("inverse_power", inverse_power_frequencies)):
        phase = rotation(theta="static", frequencies=frequencies, fastest=fastest).phase(track)
        by_hand = np.arange(6)[:, None] * expected(PAIRS, fastest=fastest).numpy()
        assert circular(phase[0].double(), by_hand) < 1e-5
    slow, fast = (rotation(theta="mapped", fastest=f).phase(track)[0, 1].double() for f in (0.0, 1.5))
    assert circular(fast, 1.5 * slow) < 1e-5, "after one tick, in which no pair turns past half a circle"


def test_mel_runs_from_rest_to_eight_radians_and_a_third_of_it_aliases() -> None:
    frequencies = mel_frequencies(300)
    assert frequencies[0] == 0 and frequencies[-1].item() == pytest.approx(8.0, rel=1e-12)
    assert 0.28 < (frequencies > math.pi).double().mean() < 0.38


@pytest.mark.parametrize("theta", TURNING)
@pytest.mark.parametrize("frequencies", ["mel", "inverse_power"])
@pytest.mark.parametrize(("clock", "step"), [("frame", 1), ("frame", 2), ("frame", 4), ("encoder", 4)])
def test_phases_are_the_table_of_the_design(
    make_track: MakeTrack, theta: str, frequencies: str, clock: str, step: int
) -> None:
    track = make_track(batch=3, frames=11, step=float(step))
    track.padding[1, 7:] = True
    track.voicing[2] = 0.0
    module = rotation(theta=theta, frequencies=frequencies, clock=clock)
    expected = np.exp(1j * phases_by_hand(track, theta, frequencies, clock))
    np.testing.assert_allclose(turned(module, track), expected, atol=1e-5)


def test_the_reference_of_axis_may_be_the_utterance(make_track: MakeTrack) -> None:
    track = make_track(frames=11)
    module = rotation(theta="axis", reference="utterance")
    speeds = np.array([0.5, 8.0])
    expected = np.exp(1j * track.z("utterance").numpy()[..., None] * speeds)
    np.testing.assert_allclose(turned(module, track)[..., :2], expected, atol=1e-5)


def test_static_with_the_inverse_power_set_is_rope(make_track: MakeTrack) -> None:
    query, key = torch.randn(2, 3, 13, 2 * PAIRS), torch.randn(2, 3, 13, 2 * PAIRS)
    turn = rotation(theta="static", frequencies="inverse_power")(make_track(frames=13))
    assert turn is not None
    found = rotate(query, *turn) @ rotate(key, *turn).transpose(-1, -2)
    expected = torch.zeros_like(found, dtype=torch.float64)
    for i in range(13):  # Su et al. 2021, equation 16: the key turned by the distance in 2 x 2 blocks
        for j in range(13):
            turned_key = torch.empty_like(key[:, :, j], dtype=torch.float64)
            for p in range(PAIRS):
                angle = (j - i) * 10_000.0 ** (-2 * p / (2 * PAIRS))
                block = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
                turned_key[..., [p, p + PAIRS]] = key[:, :, j, [p, p + PAIRS]].double() @ block.double().T
            expected[:, :, i, j] = (query[:, :, i].double() * turned_key).sum(-1)
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=1e-5)


def test_rotate_is_complex_multiplication(make_track: MakeTrack) -> None:
    x, factor = torch.randn(2, 3, 5, 2 * PAIRS, dtype=torch.float64), torch.randn(2, 1, 5, PAIRS, 2).double()
    out = rotate(x, factor[..., 0], factor[..., 1])
    expected = torch.complex(*x.chunk(2, dim=-1)) * torch.view_as_complex(factor)
    torch.testing.assert_close(torch.complex(*out.chunk(2, dim=-1)), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_rotate_keeps_the_dtype_and_the_length_of_every_pair(make_track: MakeTrack, dtype: torch.dtype) -> None:
    x, turn = torch.randn(1, 2, 12, 2 * PAIRS, dtype=dtype), rotation(theta="integrated")(make_track())
    assert turn is not None
    out = rotate(x, *turn)
    assert out.dtype == dtype
    before, after = (torch.hypot(*y.double().chunk(2, dim=-1)) for y in (x, out))
    torch.testing.assert_close(after, before, rtol=4 * max(1e-7, torch.finfo(dtype).eps), atol=1e-6)


def test_axis_sees_a_difference_of_pitch(make_track: MakeTrack) -> None:
    track, module, content = make_track(frames=8), rotation(theta="axis"), torch.ones(1, 1, 8, 2 * PAIRS)
    other = replace(track, f0=torch.cat((track.f0[:, :4], track.f0[:, 4:] * 1.2), dim=1))
    change = (scores(module, other, content, content) - scores(module, track, content, content)).abs()[0, 0]
    assert change[:4, :4].max() < 1e-4 and change[4:, 4:].max() < 1e-4 and change[:4, 4:].max() > 0.1


def test_all_off_turns_nothing(make_track: MakeTrack) -> None:
    assert rotation(theta="none")(make_track()) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("theta", ["static", "mean", "frame", "integrated", "mapped", "axis"])
def test_a_model_in_another_dtype_turns_as_before(make_track: MakeTrack, theta: str, dtype: torch.dtype) -> None:
    track, module = make_track(frames=500, step=4.0), rotation(theta=theta)
    before = module.phase(track)
    after = module.to(dtype).phase(track)
    assert torch.equal(after, before)


@pytest.mark.parametrize("theta", TURNING)
def test_an_offset_continues_static_and_nothing_else(make_track: MakeTrack, theta: str) -> None:
    track, module = make_track(frames=9, step=2.0), rotation(theta=theta)
    short = PitchTrack(*(getattr(track, n)[:, 4:] for n in NAMES), step=2.0)
    if theta != "static":
        with pytest.raises(ValueError, match=f"theta {theta} needs the whole utterance and cannot continue"):
            module.phase(short, offset=4)
        return
    whole, rest = module.phase(track), module.phase(short, offset=4)
    torch.testing.assert_close(rest, whole[:, 4:])


@pytest.mark.parametrize("frequencies", ["mel", "inverse_power"])
@pytest.mark.parametrize("theta", ["static", "mean", "frame", "integrated", "axis"])
def test_learned_frequencies_start_at_the_set_and_learn(make_track: MakeTrack, theta: str, frequencies: str) -> None:
    track = make_track(batch=2, frames=9)
    module = rotation(theta=theta, frequencies=frequencies, learn_frequencies=True)
    fixed = rotation(theta=theta, frequencies=frequencies)
    np.testing.assert_allclose(turned(module, track), turned(fixed, track), atol=1e-5)
    assert not [name for name, _ in fixed.named_parameters() if "frequencies" in name]
    phase = module.phase(track)
    phase.sum().backward()
    learned = {name: p for name, p in module.named_parameters() if "frequencies" in name}
    assert len(learned) == (2 if theta == "axis" else 1)
    assert sum(p.numel() for p in learned.values()) == PAIRS
    assert all(p.grad is not None and (p.grad != 0).all() for p in learned.values())


@pytest.mark.parametrize("clock", ["frame", "encoder"])
def test_what_is_remembered_is_what_would_be_made(make_track: MakeTrack, clock: str) -> None:
    """Also first asked for in inference mode, and then trained with."""
    module, track = rotation(theta="static", radius="learned", clock=clock), make_track(frames=70, step=2.0)
    for offset in (0, 3, 500, 0):
        with torch.inference_mode():
            module(track, offset)
        turns, phase = module(track, offset), module.phase(track, offset)
        assert turns is not None
        for found, expected in zip(turns, (phase.cos(), phase.sin()), strict=True):
            assert torch.equal(found[:, 0], expected) and not found.is_inference()
    turns[0].sum().backward()
    assert module.radius.raw.grad.any()
    doubled = module(track, 0, torch.float64)
    assert doubled is not None and doubled[0].dtype == torch.float64
    assert torch.equal(doubled[0][:, 0], module.phase(track, 0, torch.float64).cos())


def test_layers_with_equal_turns_share_them(make_track: MakeTrack, monkeypatch: pytest.MonkeyPatch) -> None:
    modes, x = VRoPEModes().attention(32, 2), torch.randn(3, 10, 32)
    layers = [VRoPEAttention(modes) for _ in range(3)]
    alone = [layer(x, make_track(3, 10)) for layer in layers]
    computed: list[str] = []
    phase = AxisRotation.pitch_phase
    monkeypatch.setattr(AxisRotation, "pitch_phase", lambda *given: computed.append("") or phase(*given))
    track = make_track(3, 10)
    for layer, expected in zip(layers, alone, strict=True):
        torch.testing.assert_close(layer(x, track), expected, rtol=0, atol=0)
    assert len(computed) == 2, "once for scores, once for values"
    layers[0](x, replace(track, f0=track.f0 * 1.1))
    assert len(computed) == 4, "another track has turns of its own"
    with torch.inference_mode():
        layers[0](x, track)
    layers[1](x, track).sum().backward()


@pytest.mark.parametrize(
    "options", [{"learn_frequencies": True}, {"radius": "learned"}, {"theta": "integrated"}], ids=str
)
def test_layers_that_learn_their_turns_share_none(options: dict[str, Any], make_track: MakeTrack) -> None:
    track = make_track(3, 10)
    layer = VRoPEAttention(VRoPEModes(**options).attention(32, 2))
    first = layer(torch.ones(3, 10, 32), track)
    assert not track.remembered
    with torch.no_grad():
        for parameter in layer.rotation.parameters():
            parameter.mul_(1.5).add_(0.1)
    assert not torch.equal(layer(torch.ones(3, 10, 32), track), first)
