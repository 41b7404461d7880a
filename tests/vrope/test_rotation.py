"""Phases and radii against complex numbers and loops; what each theta does and does not see."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from echo_asr.vrope import (
    PitchTrack,
    Rotation,
    VRoPEModes,
    inverse_power_frequencies,
    mel_frequencies,
    rotate,
)

MakeTrack = Callable[..., PitchTrack]
THETAS = ("none", "static", "mean", "frame", "integrated", "mapped", "axis")
TURNING = THETAS[1:]
PAIRS = 8
NAMES = ("f0", "voicing", "energy", "null", "padding")


def rotation(pairs: int = PAIRS, **modes) -> Rotation:
    return Rotation(VRoPEModes(**modes), pairs)


def set_exponent(module: Rotation, a: float) -> None:
    share = (a + 1.0) / 3.0
    module.raw_exponent.data.fill_(math.log(share / (1.0 - share)))


def frequencies_by_hand(name: str, pairs: int) -> list[float]:
    if name == "inverse_power":
        return [10_000.0 ** (-2 * j / (2 * pairs)) for j in range(pairs)]
    top = 2595 * math.log10(1 + 8000 / 700)
    return [0.7 * (10 ** (top * j / (pairs - 1) / 2595) - 1) for j in range(pairs)]


def phases_by_hand(track: PitchTrack, theta: str, frequencies: str, clock: str, a: float = 0.5) -> np.ndarray:
    """The table of DESIGN section 4 in float64 loops, `(B, F, P)` radians, not reduced."""
    batch, frames = track.f0.shape
    ticks = int(track.step) if clock == "frame" else 1  # that one frame lasts
    timed = frequencies_by_hand(frequencies, PAIRS)
    out = np.zeros((batch, frames, PAIRS))
    for b in range(batch):
        f0, voicing = track.f0[b].tolist(), track.voicing[b].tolist()
        voiced = [(f, v) for f, v, p in zip(f0, voicing, track.padding[b].tolist(), strict=True) if v > 0 and not p]
        mean = sum(f * v for f, v in voiced) / sum(v for _, v in voiced) if voiced else 220.0
        every_tick = [f for f in f0 for _ in range(ticks)]
        for i in range(frames):
            t = i * ticks + (ticks - 1) / 2  # the centre of the frame
            if theta == "static":
                row = [t * m for m in timed]
            elif theta == "mean":
                row = [t * (mean / 220) * m for m in timed]
            elif theta == "frame":
                row = [t * (f0[i] / 220) * m for m in timed]
            elif theta == "integrated":
                whole = int(t)
                total = sum((f / 220) ** a for f in every_tick[:whole])
                total += (t - whole) * (every_tick[whole] / 220) ** a
                row = [total * m for m in timed]
            elif theta == "mapped":
                mel = [2595 * math.log10(1 + f / 700) for f in (50.0, mean, 500.0)]
                base = 800 + (mel[1] - mel[0]) / (mel[2] - mel[0]) * (10_000 - 800)
                row = [t * base ** (-j / PAIRS) for j in range(PAIRS)]
            else:
                pitched = PAIRS // 4
                speeds = [0.5 * 16.0 ** (j / (pitched - 1)) for j in range(pitched)]  # 0.5 to 8 rad an octave
                row = [math.log2(f0[i] / 220) * speed for speed in speeds]
                row += [t * m for m in frequencies_by_hand(frequencies, PAIRS - pitched)]
            out[b, i] = row
    return out


def turned(module: Rotation, track: PitchTrack) -> np.ndarray:
    """The complex numbers that a frame's pairs are multiplied by, `(B, F, P)`."""
    found = module(track)
    assert found is not None
    cosine, sine = (np.broadcast_to(x[:, 0].detach().numpy(), (*track.f0.shape, PAIRS)) for x in found)
    return cosine + 1j * sine


def circular(found: Tensor | np.ndarray, expected: Tensor | np.ndarray) -> float:
    """The largest distance of two sets of angles, in radians."""
    return float(np.abs(np.angle(np.exp(1j * (np.asarray(found) - np.asarray(expected))))).max())


def scores(module: Rotation, track: PitchTrack, query: Tensor, key: Tensor) -> Tensor:
    """Scores `(B, 1, F, F)` of rotated contents."""
    turn = module(track)
    assert turn is not None
    return rotate(query, *turn) @ rotate(key, *turn).transpose(-1, -2)


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


def test_frame_drifts_with_the_absolute_index(make_track: MakeTrack) -> None:
    content, track = torch.ones(1, 1, 24, 2 * PAIRS), make_track(frames=12)
    twice = replace(track, **{name: getattr(track, name).repeat(1, 2) for name in NAMES})
    found = scores(rotation(theta="frame"), twice, content, content)
    assert (found[..., 12:, 12:] - found[..., :12, :12]).abs().max() > 1.0


def test_axis_sees_a_difference_of_pitch(make_track: MakeTrack) -> None:
    track, module, content = make_track(frames=8), rotation(theta="axis"), torch.ones(1, 1, 8, 2 * PAIRS)
    other = replace(track, f0=torch.cat((track.f0[:, :4], track.f0[:, 4:] * 1.2), dim=1))
    change = (scores(module, other, content, content) - scores(module, track, content, content)).abs()[0, 0]
    assert change[:4, :4].max() < 1e-4 and change[4:, 4:].max() < 1e-4 and change[:4, 4:].max() > 0.1


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
    torch.nn.init.normal_(module.radius_weight)
    torch.nn.init.normal_(module.radius_bias)
    found = np.abs(turned(module, track))
    weight, shift = module.radius_weight.tolist(), module.radius_bias.tolist()
    for b in range(2):
        for i in range(12):
            heard = [math.log2(track.f0[b, i] / 220), track.voicing[b, i].item(), track.energy[b, i].item()]
            for j in range(PAIRS):
                inner = sum(w * x for w, x in zip(weight[j], heard, strict=True)) + shift[j]
                assert found[b, i, j] == pytest.approx(1 + 0.3 * math.tanh(inner), rel=1e-5)


def test_the_learned_radius_is_one_number_a_frequency(make_track: MakeTrack) -> None:
    module = rotation(theta="integrated", radius="learned", radius_range=0.3)
    torch.nn.init.normal_(module.raw_radius)
    expected = 1 + 0.3 * np.tanh(module.raw_radius.detach().numpy())
    found = np.abs(turned(module, make_track(batch=2)))
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-6)


@pytest.mark.parametrize("voice", [80.0, 120.0, 200.0, 400.0])
def test_no_voice_saturates_the_acoustic_radius(make_track: MakeTrack, voice: float) -> None:
    module = rotation(theta="none", radius="acoustic")
    torch.nn.init.normal_(module.radius_weight, std=0.5)
    ones = torch.ones(1, 1)
    found = module.radius(make_track(frames=1, f0=voice * ones, voicing=ones, energy=ones))
    assert found is not None
    found.sum().backward()
    assert (module.radius_weight.grad[:, 1].abs() > 0.02).all()  # dead under a sigmoid of hertz


def test_all_off_turns_nothing(make_track: MakeTrack) -> None:
    assert rotation(theta="none")(make_track()) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("theta", ["static", "mean", "frame", "integrated", "mapped", "axis"])
def test_a_model_in_another_dtype_turns_as_before(make_track: MakeTrack, theta: str, dtype: torch.dtype) -> None:
    track, module = make_track(frames=500, step=4.0), rotation(theta=theta)
    before = module.phase(track)
    after = module.to(dtype).phase(track)
    assert before is not None and after is not None
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
    assert whole is not None and rest is not None
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
    assert phase is not None
    phase.sum().backward()
    learned = {name: p for name, p in module.named_parameters() if "frequencies" in name}
    assert len(learned) == (2 if theta == "axis" else 1)
    assert sum(p.numel() for p in learned.values()) == PAIRS
    assert all(p.grad is not None and (p.grad != 0).all() for p in learned.values())


def test_a_pair_is_turned_as_polar_coordinates_say(make_track: MakeTrack) -> None:
    track, module = make_track(frames=5), rotation(theta="static", radius="learned")
    torch.nn.init.normal_(module.raw_radius)
    turn, radius = module(track), module.radius(track)
    assert turn is not None and radius is not None
    out = rotate(torch.ones(1, 1, 5, 2 * PAIRS), *turn).detach()
    for i in range(5):
        for j, frequency in enumerate(frequencies_by_hand("mel", PAIRS)):
            expected = (1 + 1j) * cmath.rect(radius[0, 0, j].item(), i * frequency)
            assert complex(out[0, 0, i, j], out[0, 0, i, j + PAIRS]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("clock", ["frame", "encoder"])
def test_what_is_remembered_is_what_would_be_made(make_track: MakeTrack, clock: str) -> None:
    """Also first asked for in inference mode, and then trained with."""
    module, track = rotation(theta="static", radius="learned", clock=clock), make_track(frames=70, step=2.0)
    for offset in (0, 3, 500, 0):
        with torch.inference_mode():
            module(track, offset)
        turns, phase = module(track, offset), module.phase(track, offset)
        assert turns is not None and phase is not None
        for found, expected in zip(turns, (phase.cos(), phase.sin()), strict=True):
            assert torch.equal(found[:, 0], expected) and not found.is_inference()
    turns[0].sum().backward()
    assert module.raw_radius.grad.any()
    doubled = module(track, 0, torch.float64)
    assert doubled is not None and doubled[0].dtype == torch.float64
    assert torch.equal(doubled[0][:, 0], module.phase(track, 0, torch.float64).cos())
