"""What holds of rotation, bias and nulls whatever the modes and the voice: properties, of drawn layers and tracks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from echo_asr.vrope import (
    PitchTrack,
    VRoPEAttention,
    VRoPEModes,
    inverse_power_frequencies,
    make_radius,
    make_rotation,
    mel_frequencies,
)

MakeLayer = Callable[..., VRoPEAttention]
THETAS = ("none", "static", "mean", "frame", "integrated", "mapped", "axis")
RELATIVE = ("static", "mean", "integrated", "mapped", "axis")
BIASES = ("none", "laplace", "quadratic", "harmonic")
CHOICES = {  # of all but theta, of which each property runs with every one
    "frequencies": ("mel", "inverse_power"),
    "learn_frequencies": (False, True),
    "clock": ("frame", "encoder"),
    "reference": ("fixed", "utterance", "speaker"),
    "rotate_values": (False, True),
    "radius": ("unit", "learned", "acoustic"),
    "bias": BIASES,
    "nulls": ("none", "hard", "weight", "score"),
    "backend": ("reference", "sdpa"),
    "causal": (False, False, True),
}
FIELDS = ("f0", "voicing", "energy", "null", "padding")
WIDTH = 48  # of the layers that `make_layer` makes
PAIRS = 6
HOUR = 360_000  # ticks of 10 ms
PI = Decimal("3.14159265358979323846264338327950288419716939937510")
SEEDS = st.integers(0, 999)
HERTZ = st.floats(50.0, 600.0, width=32)
few = settings(max_examples=10, deadline=None, derandomize=True)
more = settings(few, max_examples=30)


@st.composite
def some_modes(draw: st.DrawFn, **narrower: tuple[Any, ...]) -> dict[str, Any]:
    """Any modes but theta, with fewer choices for some."""
    return {name: draw(st.sampled_from(narrower.get(name, choices))) for name, choices in CHOICES.items()}


@pytest.fixture(scope="session")
def make(make_layer: MakeLayer) -> MakeLayer:
    """`(seed, theta, modes)`: a layer of a theta and modes, less those of them that it cannot have."""

    def make(seed: int, theta: str, modes: dict[str, Any]) -> VRoPEAttention:
        modes = {**modes, "theta": theta}
        modes["learn_frequencies"] &= theta not in ("none", "mapped")
        modes["rotate_values"] = modes["rotate_values"] and theta == "axis"
        modes["causal"] &= modes["bias"] == "none"
        modes["backend"] = "reference" if modes["bias"] == "laplace" else modes["backend"]
        return make_layer(seed, **modes)

    return make


@st.composite
def some_track(
    draw: st.DrawFn, longest: int = 12, voiced: tuple[float, ...] = (0.0, 0.5, 1.0), dtype: torch.dtype = torch.float64
) -> PitchTrack:
    """Up to three utterances with a share of voiced frames and one of nulls; what lies beyond an end is noise."""
    batch, frames, seed = draw(st.integers(1, 3)), draw(st.integers(1, longest)), draw(SEEDS)
    lengths = torch.tensor([draw(st.integers(1, frames)) for _ in range(batch)])
    low, high = sorted((draw(HERTZ), draw(HERTZ)))
    share, nulls = draw(st.sampled_from(voiced)), draw(st.sampled_from((0.0, 0.3, 1.0)))
    random = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape or (batch, frames), generator=random, dtype=torch.float64).to(dtype)

    return PitchTrack(
        f0=low * (high / low) ** uniform(),
        voicing=uniform() * (uniform() < share),
        energy=uniform(),
        null=uniform() < nulls,
        padding=torch.arange(frames) >= lengths[:, None],
        step=draw(st.sampled_from((1.0, 2.0, 4.0))),
        speaker_f0=(100.0 + 200.0 * uniform(batch)) * (uniform(batch) < 0.7) if draw(st.booleans()) else None,
    )


def content(track: PitchTrack, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """`(B, F, D)`."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*track.f0.shape, WIDTH, generator=random, dtype=torch.float64).to(dtype)


def rows(track: PitchTrack, chosen: list[int], frames: int | None = None) -> PitchTrack:
    known = None if track.speaker_f0 is None else track.speaker_f0[chosen]
    return replace(track, speaker_f0=known, **{n: getattr(track, n)[chosen, :frames] for n in FIELDS})


def with_leaves(
    module: VRoPEAttention, x: Tensor, track: PitchTrack, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, PitchTrack, dict[str, Tensor]]:
    """`x`, the track in `dtype`, and all that takes a gradient: they, and the parameters."""
    leaves = {"x": x, **{name: getattr(track, name).to(dtype) for name in ("f0", "voicing", "energy")}}
    leaves = {name: leaf.requires_grad_() for name, leaf in leaves.items()}
    heard = replace(track, **{name: leaf for name, leaf in leaves.items() if name != "x"})
    return leaves["x"], heard, leaves | dict(module.named_parameters())


def circular(found: Tensor, expected: Tensor) -> float:
    """The largest distance of two sets of angles, in radians."""
    return torch.remainder(found - expected + math.pi, 2.0 * math.pi).sub(math.pi).abs().max().item()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("theta", RELATIVE)
@few
@given(modes=some_modes(nulls=("hard",)), track=some_track(), before=st.integers(1, 60), seed=SEEDS)
def test_no_relative_theta_hears_when_an_utterance_begins(
    make: MakeLayer, theta: str, modes: dict[str, Any], track: PitchTrack, before: int, seed: int
) -> None:
    module, x = make(seed, theta, modes).double(), content(track, seed)
    silence = {
        "f0": torch.full((len(x), before), 77.0).double(), "voicing": torch.zeros(len(x), before).double(),
        "energy": torch.zeros(len(x), before).double(), "null": torch.ones(len(x), before).bool(),
        "padding": torch.zeros(len(x), before).bool(),
    }  # fmt: skip
    later = replace(track, **{name: torch.cat((silence[name], getattr(track, name)), 1) for name in FIELDS})
    found = module(torch.cat((torch.ones(len(x), before, WIDTH).double(), x), 1), later)
    close(found[:, before:], module(x, track))


@pytest.mark.parametrize("bias", BIASES)
@few
@given(
    modes=some_modes(radius=("unit", "learned")) | some_modes(reference=("utterance", "speaker")),
    track=some_track(),
    octaves=st.floats(-2.0, 2.0),
    seed=SEEDS,
)
def test_axis_and_bias_do_not_hear_the_key_nor_does_a_radius_about_a_median(
    make: MakeLayer, bias: str, modes: dict[str, Any], track: PitchTrack, octaves: float, seed: int
) -> None:
    track.voicing[:, 0] = 1.0  # without a voice there is no median
    module, x = make(seed, "axis", {**modes, "bias": bias}).double(), content(track, seed)
    higher = 2.0**octaves
    known = None if track.speaker_f0 is None else track.speaker_f0 * higher
    close(module(x, replace(track, f0=track.f0 * higher, speaker_f0=known)), module(x, track))


@more
@given(
    theta=st.sampled_from(("mean", "frame", "integrated")),
    frequencies=st.sampled_from(CHOICES["frequencies"]),
    clock=st.sampled_from(CHOICES["clock"]),
    f0=HERTZ,
    raw=st.floats(-8.0, 8.0),
    voicing=st.sampled_from((0.0, 0.4, 1.0)),
    step=st.integers(1, 8),
)
def test_at_constant_f0_the_direct_thetas_turn_at_one_speed(
    theta: str, frequencies: str, clock: str, f0: float, raw: float, voicing: float, step: int
) -> None:
    module, ones = (
        make_rotation(VRoPEModes(theta=theta, frequencies=frequencies, clock=clock), PAIRS),
        torch.ones(1, 50),
    )
    track = PitchTrack(f0 * ones, voicing * ones, ones, ones < 0, ones < 0, step=float(step))
    speed = f0 / 220.0 if voicing or theta == "frame" else 1.0  # the mean F0 of no voice is 220 Hz
    if theta == "integrated":
        module.raw_exponent.data.fill_(raw)
        speed = (f0 / 220.0) ** module.exponent.item()
    ticks = torch.arange(50).double() * step + (step - 1) / 2 if clock == "frame" else torch.arange(50).double()
    timed = {"mel": mel_frequencies, "inverse_power": inverse_power_frequencies}[frequencies](PAIRS)
    phase = module.phase(track, dtype=torch.float64)
    assert circular(phase, ticks[:, None] * speed * timed) < 1e-9


@more
@given(
    radius=st.sampled_from(("learned", "acoustic")),
    rho=st.floats(0.01, 0.99),
    size=st.floats(0.1, 1e6),
    track=some_track(dtype=torch.float32),
    seed=SEEDS,
)
def test_a_radius_never_leaves_its_range(radius: str, rho: float, size: float, track: PitchTrack, seed: int) -> None:
    module, random = (
        make_radius(VRoPEModes(radius=radius, radius_range=rho), PAIRS),
        torch.Generator().manual_seed(seed),
    )
    assert module is not None
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(size * torch.randn(parameter.shape, generator=random))
    found = module(track)
    assert found.min() >= 1 - rho - 1e-6 and found.max() <= 1 + rho + 1e-6


@pytest.mark.parametrize("theta", THETAS)
@few
@given(modes=some_modes(nulls=("weight",), rotate_values=(False,)), track=some_track(), seed=SEEDS)
def test_weight_multiplies_the_attention_weight_of_a_null_by_gamma(
    make: MakeLayer, theta: str, modes: dict[str, Any], track: PitchTrack, seed: int
) -> None:
    """The weights are what attention makes of the identity as values. Where all is null, all is as it was."""
    module, (batch, frames) = make(seed, theta, modes).double(), track.f0.shape
    module.nulls.raw_gamma.data.mul_(5.0)
    random = torch.Generator().manual_seed(seed)
    shape = (2, batch, 2, frames, module.config.content_width)
    query, key = torch.randn(shape, generator=random, dtype=torch.float64).unbind()
    identity = torch.eye(frames).double().expand(batch, 2, -1, -1)
    before = module.modulate(query, key, identity, replace(track, null=torch.zeros_like(track.null)))
    gamma = module.nulls.log_gamma.exp()
    assert gamma[0] != gamma[1]  # each head has its own
    kept = before * torch.where(track.null[:, None, None], gamma[:, None, None], 1.0)
    close(module.modulate(query, key, identity, track), kept / kept.sum(-1, keepdim=True))


@pytest.mark.parametrize("theta", THETAS)
@few
@given(
    modes=some_modes(nulls=("hard",)),
    track=some_track(),
    first=st.integers(1, 12),
    dtype=st.sampled_from((torch.float64, torch.float32, torch.bfloat16)),
    seed=SEEDS,
)
def test_a_query_all_of_whose_keys_are_masked_gets_exactly_nothing_and_teaches_nothing(
    make: MakeLayer, theta: str, modes: dict[str, Any], track: PitchTrack, first: int, dtype: torch.dtype, seed: int
) -> None:
    module, wide = make(seed, theta, modes).to(dtype), torch.promote_types(dtype, torch.float32)
    causal = module.config.causal
    track.null[0, : first if causal else None] = True
    x, track, leaves = with_leaves(module, content(track, seed, dtype), track, wide)
    out = module(x, track)
    hidden = track.null if causal else track.null | track.padding
    blind = (~hidden).cumsum(1) == 0 if causal else hidden.all(1)[:, None].expand_as(hidden)
    assert blind.any() and (out[blind] == module.output.bias).all()
    del leaves["output.bias"]
    taught = torch.autograd.grad(out[blind].sum(), list(leaves.values()), retain_graph=True, allow_unused=True)
    assert [n for n, gradient in zip(leaves, taught, strict=True) if gradient is not None and gradient.any()] == []
    of_all = torch.autograd.grad(out.square().sum(), list(leaves.values()), allow_unused=True)
    assert all(found.isfinite().all() for found in (out, *of_all) if found is not None)


@pytest.mark.parametrize("theta", THETAS)
@few
@given(modes=some_modes(), track=some_track(), seed=SEEDS)
def test_the_rest_of_the_batch_and_padding_change_nothing(
    make: MakeLayer, theta: str, modes: dict[str, Any], track: PitchTrack, seed: int
) -> None:
    module, x = make(seed, theta, modes).double(), content(track, seed)
    together = module(x, track)
    for row, length in enumerate((~track.padding).sum(1).tolist()):
        close(together[row, :length], module(x[row : row + 1, :length], rows(track, [row], length))[0])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).tolist()
    close(module(x[order], rows(track, order)), together[order])


@pytest.mark.parametrize("theta", THETAS)
@few
@given(
    modes=some_modes(), track=some_track(voiced=(0.0,), dtype=torch.float32) | some_track(1, dtype=torch.float32),
    seed=SEEDS,
)  # fmt: skip
def test_without_a_voice_and_of_a_single_frame_all_is_finite(
    make: MakeLayer, theta: str, modes: dict[str, Any], track: PitchTrack, seed: int
) -> None:
    module = make(seed, theta, modes)
    x, track, leaves = with_leaves(module, content(track, seed, torch.float32), track)
    out = module(x, track)
    gradients = torch.autograd.grad(out.square().sum(), list(leaves.values()), allow_unused=True)
    for name, value in dict(zip(leaves, gradients, strict=True), out=out).items():
        assert (value is None and name in FIELDS) or (value is not None and value.isfinite().all()), name


@pytest.mark.parametrize("theta", THETAS)
@few
@given(modes=some_modes(), track=some_track(dtype=torch.float32), late=st.integers(1, 10_000), seed=SEEDS)
def test_autocast_leaves_the_phases_bit_equal(
    make: MakeLayer, theta: str, modes: dict[str, Any], track: PitchTrack, late: int, seed: int
) -> None:
    module, x, track = make(seed, theta, modes), content(track, seed, torch.float32), replace(track, step=float(late))
    turns: list[Any] = []
    module.rotation.register_forward_hook(lambda _, given, turn: turns.append(turn))
    module(x, track)
    with torch.autocast("cpu", torch.bfloat16):
        module(x, replace(track))  # another object, which remembers no turns
    for plain, narrow in zip(*(turn or () for turn in turns), strict=True):
        assert narrow.dtype == torch.float32 and torch.equal(narrow, plain)


def exact_frequencies(name: str, pairs: int) -> list[Decimal]:
    if name == "mel":
        return [Decimal("0.7") * ((Decimal(87) / 7) ** (Decimal(j) / (pairs - 1)) - 1) for j in range(pairs)]
    return [Decimal(10_000) ** (Decimal(-j) / pairs) for j in range(pairs)]


@more
@given(
    theta=st.sampled_from(("static", "mean", "frame", "integrated")),
    frequencies=st.sampled_from(CHOICES["frequencies"]),
    f0=st.lists(HERTZ, min_size=1, max_size=8),
    step=st.integers(1, HOUR // 8),
    offset=st.integers(0, HOUR // 16),
)
def test_within_an_hour_phases_are_exact(theta: str, frequencies: str, f0: list[float], step: int, offset: int) -> None:
    """In fifty decimals; `a` of `integrated` is a half."""
    heard, step, offset = torch.tensor([f0]), step if theta != "static" else 16, offset * (theta == "static")
    track = PitchTrack(heard, torch.ones_like(heard), heard, heard < 0, heard < 0, step=float(step))
    module = make_rotation(VRoPEModes(theta=theta, frequencies=frequencies), PAIRS)
    phase = module.phase(track, offset)
    assert phase.dtype == torch.float32
    with localcontext() as context:
        context.prec = 50
        speeds, half = [Decimal(hertz) / 220 for hertz in f0], Decimal(step - 1) / 2
        for index, speed in enumerate(speeds):
            tick = (index + offset) * step + half
            turned = {
                "static": tick,
                "mean": tick * sum(speeds) / len(speeds),
                "frame": tick * speed,
                "integrated": step * sum(s.sqrt() for s in speeds[:index]) + half * speed.sqrt(),
            }[theta]
            expected = [float(turned * frequency % (2 * PI)) for frequency in exact_frequencies(frequencies, PAIRS)]
            assert circular(phase[0, index].double(), torch.tensor(expected).double()) < 1e-6, index


@pytest.mark.parametrize("theta", ["mean", "integrated"])
def test_the_phases_of_an_hour_of_frames_add_up_exactly(theta: str) -> None:
    heard = torch.full((1, HOUR + 1), 220.0)
    heard[0, ::2] = 55.0  # of which the square root is exact
    heard[0, -1] = 220.0
    track = PitchTrack(heard, torch.ones_like(heard), heard, heard < 0, heard < 0)
    with torch.no_grad():
        phase = make_rotation(VRoPEModes(theta=theta), PAIRS).phase(track)
    with localcontext() as context:
        context.prec = 50
        mean = (Decimal(55) / 220 * (HOUR // 2) + HOUR // 2 + 1) / (HOUR + 1)
        for tick in (1, HOUR - 1, HOUR):
            turned = tick * mean if theta == "mean" else Decimal((tick + 1) // 2) / 2 + tick // 2
            expected = [float(turned * frequency % (2 * PI)) for frequency in exact_frequencies("mel", PAIRS)]
            assert circular(phase[0, tick].double(), torch.tensor(expected).double()) < 1e-6, tick
