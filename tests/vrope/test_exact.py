"""Whole layers in every combination of modes: finite differences, and each backend and dtype against float64."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.func import functional_call

from echo_asr.vrope import PitchTrack, VRoPEAttention
from tests.helpers.slow import slow

MakeTrack = Callable[..., PitchTrack]
MakeLayer = Callable[..., VRoPEAttention]
THETAS = ("none", "static", "mean", "frame", "integrated", "mapped", "axis")
RADII = ("unit", "learned", "acoustic")
BIASES = ("none", "laplace", "quadratic", "harmonic")
NULLS = ("none", "hard", "weight", "score")
VOICE = ("f0", "voicing", "energy")
# Relative errors of the output, of a gradient, and of raw_gamma's: a sum in which a thousand times as much cancels, and
# bfloat16 rounds ln gamma by up to 3%.
TOLERANCE = {
    torch.float64: (1e-14, 1e-13, 1e-12),
    torch.float32: (1e-6, 1e-5, 1e-4),
    torch.bfloat16: (0.01, 0.03, 0.08),
}


def combinations(theta: str, nulls: str) -> Iterator[dict[str, Any]]:
    """All layers of a theta and a mode of nulls; causal ones, which have no bias, of the thetas that need no pitch."""
    learn = theta not in ("none", "mapped")  # these have no set to train
    for radius, bias, causal in itertools.product(RADII, BIASES, (False, True)):
        if not causal or (bias == "none" and theta in ("none", "static")):
            for values in (False, True) if theta == "axis" else (False,):
                yield {
                    "theta": theta, "nulls": nulls, "radius": radius, "bias": bias, "causal": causal,
                    "learn_frequencies": learn, "rotate_values": values,
                }  # fmt: skip


EVERY = [modes for pair in itertools.product(THETAS, NULLS) for modes in combinations(*pair)]


def named(modes: dict[str, Any]) -> str:
    return (
        "-".join(str(modes[x]) for x in ("theta", "rotate_values", "radius", "bias", "nulls"))
        + "-causal" * modes["causal"]
    )


def cast(track: PitchTrack, dtype: torch.dtype) -> PitchTrack:
    return replace(track, **{name: getattr(track, name).to(dtype) for name in VOICE})


def outputs_and_gradients(
    module: VRoPEAttention, x: Tensor, track: PitchTrack, probe: Tensor
) -> dict[str, Tensor | None]:
    """The output, and the gradients of `x`, the track and every parameter; None where one has no say."""
    inputs = {"x": x, **{name: getattr(track, name) for name in VOICE}}
    inputs = {name: value.detach().clone().requires_grad_() for name, value in inputs.items()}
    out = module(inputs["x"], replace(track, **{name: inputs[name] for name in VOICE}))
    leaves = inputs | dict(module.named_parameters())
    gradients = torch.autograd.grad((out * probe).sum(), list(leaves.values()), allow_unused=True)
    return {"out": out.detach(), **dict(zip(leaves, gradients, strict=True))}


@pytest.mark.parametrize("modes", [slow(m) if n % 3 else m for n, m in enumerate(EVERY)], ids=named)  # 209 of 214 pairs
def test_gradients_are_those_of_finite_differences(
    modes: dict[str, Any], make_track: MakeTrack, make_layer: MakeLayer
) -> None:
    module, track = make_layer(width=32, **modes).double(), cast(make_track(2, 5, step=4.0), torch.float64)
    track.padding[1, 3:] = True
    track.null[:, 1] = True
    inputs = {"x": torch.randn(2, 5, 32).double(), **{name: getattr(track, name) for name in VOICE}}
    inputs["voicing"] = 0.2 + 0.8 * inputs["voicing"]  # at 0 it has a slope on one side alone
    own = {name: parameter.detach() for name, parameter in module.named_parameters()}
    maps = [name for name in own if name.split(".")[0] in ("query", "key", "value", "output")]
    leaves = inputs | own
    leaves["maps"] = torch.cat([leaves.pop(name).flatten() for name in maps])  # one leaf, as each costs two passes

    def attend(*values: Tensor) -> Tensor:
        given = dict(zip(leaves, values, strict=True))
        parts = given.pop("maps").split([own[name].numel() for name in maps])
        given |= {name: part.view_as(own[name]) for name, part in zip(maps, parts, strict=True)}
        heard = replace(track, **{name: given.pop(name) for name in VOICE})
        return functional_call(module, given, (given.pop("x"), heard))

    assert gradcheck(
        attend,
        [leaf.requires_grad_() for leaf in leaves.values()],
        atol=1e-7,
        fast_mode=True,
        check_undefined_grad=False,
    )


@pytest.fixture
def track(make_track: MakeTrack) -> PitchTrack:
    """Three utterances; the second is padded, the third has no voice."""
    track = make_track(batch=3, frames=12, step=4.0)
    track.padding[1, 7:] = True
    track.null[1, 6:9] = True  # what is padding need not be null
    track.null[1, 9:] = False
    track.voicing[2] = 0.0
    return track


def asked_for(backend: str) -> Callable[[torch.device], tuple[str, str]]:
    return lambda device: (backend, "asked for by this test")


@pytest.mark.parametrize(
    ("theta", "nulls"),
    [(theta, nulls) if theta == "axis" or nulls in ("none", "weight") else slow(theta, nulls)
     for theta in THETAS for nulls in NULLS],
)  # fmt: skip
def test_every_backend_and_dtype_is_the_reference_in_float64_to_rounding(
    theta: str, nulls: str, track: PitchTrack, make_layer: MakeLayer
) -> None:
    """From the same inputs and parameters, which are numbers of every dtype. A gradient that happens to sum to almost
    nothing says little of its rounding, so that an error is relative to all layers of a theta and a mode of nulls."""
    x, probe = torch.randn(2, 3, 12, 48).bfloat16().unbind()
    errors = defaultdict(list)
    for modes in combinations(theta, nulls):
        module, found = make_layer(seed=2, **modes).bfloat16(), {}
        backends = ("reference",) if modes["bias"] == "laplace" else ("reference", "sdpa")
        for dtype, backend in itertools.product((torch.bfloat16, torch.float32, torch.float64), backends):
            module.to(dtype).choose_backend = asked_for(backend)
            heard = cast(track, torch.promote_types(dtype, torch.float32))
            found[backend, dtype] = outputs_and_gradients(module, x.to(dtype), heard, probe.to(dtype))
        expected = found.pop(("reference", torch.float64))
        assert all(expected[name].any() for name, _ in module.named_parameters()), named(modes)
        for (backend, dtype), name in itertools.product(found, expected):
            one, right = found[backend, dtype][name], expected[name]
            assert (one is None) == (right is None), (named(modes), name)
            if one is not None:
                assert name in VOICE or one.dtype == dtype, name
                errors[backend, dtype, name].append(((one.double() - right).norm(), right.norm(), named(modes)))
    for (backend, dtype, name), terms in errors.items():
        wrong, size = (math.hypot(*column) for column in list(zip(*terms, strict=True))[:2])
        bound = TOLERANCE[dtype][{"out": 0, "nulls.raw_gamma": 2}.get(name, 1)]
        said = f"{name} of {backend} in {dtype} is {wrong / max(size, 1e-300):.1e} out, of {max(terms)[2]} most"
        assert wrong <= bound * size, said


@pytest.mark.skipif(not torch.cuda.is_available(), reason="flex attention learns on CUDA alone, and there is none here")
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("nulls", NULLS)
def test_flex_is_the_reference_in_float64(nulls: str, bias: str, track: PitchTrack, make_layer: MakeLayer) -> None:
    module = make_layer(theta="integrated", radius="acoustic", bias=bias, nulls=nulls, backend="flex")
    there = replace(track, **{name: getattr(track, name).cuda() for name in (*VOICE, "null", "padding")})
    x, probe = torch.randn(2, 3, 12, 48).unbind()
    flexible = outputs_and_gradients(module.cuda(), x.cuda(), there, probe.cuda())
    exact = module.cpu().double()
    exact.choose_backend = asked_for("reference")
    for name, right in outputs_and_gradients(exact, x.double(), cast(track, torch.float64), probe.double()).items():
        found = flexible[name]
        if right is None or found is None:
            assert right is None and found is None, name
        else:
            scale = max(1.0, right.abs().max().item())
            torch.testing.assert_close(found.cpu().double(), right, atol=1e-3 * scale, rtol=1e-2)
