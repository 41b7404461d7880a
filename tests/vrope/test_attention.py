"""The attention layer: its definition, plain RoPE when all is off, the choice of a backend, and the cache."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from echo_asr.vrope import (
    KeyValueCache,
    PitchTrack,
    VRoPEAttention,
    VRoPEConfig,
    merge_heads,
    octave_frequencies,
    split_heads,
)

MakeTrack = Callable[..., PitchTrack]
THETAS = ("none", "static", "mean", "frame", "integrated", "mapped", "axis")
RADII = ("unit", "learned", "acoustic")
BIASES = ("none", "laplace", "quadratic", "harmonic", "energy", "random")
NULLS = ("none", "hard", "weight", "score")
NAMES = ("f0", "voicing", "energy", "null", "padding")
RICH = {"radius": "acoustic", "bias": "quadratic", "nulls": "weight"}
VOICED = [("unit", "laplace", "fixed"), ("learned", "quadratic", "utterance"), ("acoustic", "harmonic", "fixed")]
WIDTH, HEADS = 48, 2


def layer(**modes) -> VRoPEAttention:
    """A layer whose parameters are all away from their start."""
    torch.manual_seed(1)
    module = VRoPEAttention(VRoPEConfig(width=WIDTH, heads=HEADS, **modes))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "radius" in name or (parameter.ndim < 2 and "frequencies" not in name):
                parameter.add_(0.5 * torch.randn_like(parameter))
    return module


def cut(track: PitchTrack, rows: slice | list[int], frames: slice) -> PitchTrack:
    return replace(track, **{name: getattr(track, name)[rows][:, frames] for name in NAMES})


@pytest.fixture
def track(make_track: MakeTrack) -> PitchTrack:
    """Three utterances; the second is padded, the third has no voice."""
    track = make_track(batch=3, frames=10, step=4.0)
    track.padding[1, 6:] = True
    track.null[1, 6:8] = True  # what is padding need not be null
    track.null[1, 8:] = False
    track.voicing[2] = 0.0
    track.null[:, 0] = False
    return track


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 10, WIDTH)


def naive(module: VRoPEAttention, x: Tensor, track: PitchTrack) -> Tensor:
    """The layer in float64, head by head, with complex numbers and every score by itself."""
    config, rotation, rows = module.config, module.rotation, []
    phase, radius = rotation.phase(track), None if rotation.radius is None else rotation.radius(track)
    bias = module.bias.matrix(track).double() if module.bias is not None else None
    batch, frames, width = x.shape[0], x.shape[1], config.content_width

    def heard(weights: Tensor, value: Tensor, b: int) -> Tensor:
        """What each frame hears: the pitch pairs of the values as far round as their pitch is above its own."""
        out, pairs = weights @ value, rotation.pitch_pairs
        if config.rotate_values:
            z = track.z(config.reference)[b].double()
            above = torch.exp(1j * (z[None, :, None] - z[:, None, None]) * octave_frequencies(pairs))
            pair = torch.complex(value[:, :pairs], value[:, pairs : 2 * pairs])
            turned = (weights[..., None] * above * pair[None]).sum(1)
            out = torch.cat((turned.real, turned.imag, out[:, 2 * pairs :]), -1)
        return out

    for b in range(batch):
        heads = []
        for h in range(config.heads):

            def head(project: torch.nn.Linear, size: int, b: int = b, h: int = h) -> Tensor:
                return x[b].double() @ project.weight.double()[h * size : (h + 1) * size].T

            query, key = head(module.query, width), head(module.key, width)
            value = head(module.value, config.head_width)
            turn = torch.ones(frames, width // 2, dtype=torch.complex128)
            turn = turn * torch.exp(1j * phase.double())[b % phase.shape[0]]
            if radius is not None:
                turn = turn * radius.double()[b % radius.shape[0]]
            query, key = (torch.complex(*y.chunk(2, dim=-1)) * turn for y in (query, key))
            scores = torch.full((frames, frames), float("-inf"), dtype=torch.float64)
            for i, j in itertools.product(range(frames), repeat=2):
                null = bool(track.null[b, j])
                if track.padding[b, j] or (config.nulls == "hard" and null):
                    continue
                score = (query[i] * key[j].conj()).sum().real / width**0.5
                if config.nulls == "score" and null:
                    score = score * module.nulls.log_gamma[h].double().exp()
                if bias is not None:
                    score = score + bias[b, h, i, j]
                if config.nulls == "weight" and null:
                    score = score + module.nulls.log_gamma[h].double()
                scores[i, j] = score
            heads.append(heard(scores.softmax(-1), value, b))
        rows.append(torch.cat(heads, -1) @ module.output.weight.double().T + module.output.bias.double())
    return torch.stack(rows)


@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize(("theta", "radius", "bias"), list(zip(THETAS, RADII * 3, BIASES[:4] * 2, strict=False)))
def test_the_layer_is_its_definition(
    track: PitchTrack, x: Tensor, theta: str, radius: str, bias: str, nulls: str
) -> None:
    module = layer(theta=theta, radius=radius, bias=bias, nulls=nulls)
    torch.testing.assert_close(module(x, track).double(), naive(module, x, track), atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize(("radius", "bias", "reference"), VOICED)
def test_so_it_is_where_values_turn(
    track: PitchTrack, x: Tensor, radius: str, bias: str, reference: str, nulls: str
) -> None:
    module = layer(theta="axis", rotate_values=True, radius=radius, bias=bias, nulls=nulls, reference=reference)
    torch.testing.assert_close(module(x, track).double(), naive(module, x, track), atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("theta", THETAS)
def test_reading_the_identity_gives_the_weights_which_values_that_rotate_do_not_change(
    track: PitchTrack, x: Tensor, theta: str
) -> None:
    """Rows sum to 1, and with values as they are their means are what the layer projects."""
    module = layer(theta=theta, nulls="weight")
    weights = module.read(x, torch.eye(10).expand(3, HEADS, -1, -1), track)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, HEADS, 10))
    assert (weights >= 0.0).all() and not weights[1, :, :, 6:].any()
    still = VRoPEAttention(replace(module.config, rotate_values=False))
    still.load_state_dict(module.state_dict())
    mixed = weights @ split_heads(module.value(x), HEADS)
    torch.testing.assert_close(module.output(merge_heads(mixed)), still(x, track), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_all_switched_off_is_a_plain_rope_transformers_attention(
    x: Tensor, causal: bool, make_track: MakeTrack
) -> None:
    module = layer(theta="static", frequencies="inverse_power", causal=causal)
    assert {name for name, _ in module.named_parameters()} == {
        "query.weight", "key.weight", "value.weight", "output.weight", "output.bias"
    }  # fmt: skip
    width = WIDTH // HEADS

    def heads(project: torch.nn.Linear) -> Tensor:
        return (x @ project.weight.T).reshape(3, 10, HEADS, width).transpose(1, 2)

    def rope(y: Tensor) -> Tensor:  # "rotate half", as in the common implementations
        angle = torch.outer(torch.arange(10.0), 10_000.0 ** (-torch.arange(0, width, 2) / width)).repeat(1, 2)
        half = torch.cat((-y[..., width // 2 :], y[..., : width // 2]), -1)
        return y * angle.cos() + half * angle.sin()

    scores = rope(heads(module.query)) @ rope(heads(module.key)).transpose(-1, -2) / width**0.5
    if causal:
        scores = scores.masked_fill(torch.ones(10, 10).triu(1).bool(), float("-inf"))
    mixed = (scores.softmax(-1) @ heads(module.value)).transpose(1, 2).flatten(2)
    expected = torch.nn.functional.linear(mixed, module.output.weight, module.output.bias)
    torch.testing.assert_close(module(x, make_track(batch=3, frames=10)), expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_auto_folds_what_can_be_folded_and_says_why(bias: str, device: str) -> None:
    chosen, reason = layer(bias=bias).choose_backend(torch.device(device))
    assert chosen == ({"cpu": "reference", "cuda": "flex"}[device] if bias == "laplace" else "sdpa")
    assert ("laplace" in reason) == (bias == "laplace")


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(("bias", "nulls"), list(zip(BIASES * 2, 2 * (NULLS + NULLS[::-1]), strict=False)))
def test_flex_is_the_reference(
    track: PitchTrack, x: Tensor, bias: str, nulls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward and uncompiled, which is all that runs without a GPU: what is checked is the score that it is given."""
    modes = {"theta": "integrated", "radius": "acoustic", "bias": bias, "nulls": nulls}
    reference, flexible = layer(**modes, backend="reference"), layer(**modes, backend="flex")
    monkeypatch.setattr(flexible, "choose_backend", lambda device: ("flex", "for this test"))
    with torch.no_grad():
        torch.testing.assert_close(flexible(x, track), reference(x, track), atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("bias", BIASES)
def test_axis_hears_a_melody_from_its_inversion(track: PitchTrack, x: Tensor, bias: str) -> None:
    module, inverted = layer(theta="axis", bias=bias, nulls="weight"), replace(track, f0=220.0**2 / track.f0)
    assert (module(x, inverted) - module(x, track)).abs().max() > 1e-3


@pytest.mark.parametrize("theta", THETAS)
def test_the_voice_is_heard_where_it_should_be(track: PitchTrack, x: Tensor, theta: str) -> None:
    module = layer(theta=theta)
    glide = replace(track, f0=track.f0 * torch.linspace(1.0, 2.0, 10))
    changed = (module(x, glide)[:2] - module(x, track)[:2]).abs().max() > 1e-3
    assert changed == (theta not in ("none", "static"))


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize("pieces", [[1] * 10, [4, 1, 3, 2], [10]], ids=str)
def test_piece_by_piece_with_a_cache_equals_the_whole(
    track: PitchTrack, x: Tensor, radius: str, nulls: str, backend: str, pieces: list[int]
) -> None:
    module = layer(theta="static", radius=radius, nulls=nulls, causal=True, backend=backend)
    cache, found, start = KeyValueCache(), [], 0
    for length in pieces:
        piece = slice(start, start + length)
        found.append(module(x[:, piece], cut(track, slice(None), piece), cache))
        start += length
        assert cache.length == start
    torch.testing.assert_close(torch.cat(found, 1), module(x, track), atol=2e-6, rtol=1e-5)


def test_a_cache_follows_the_rows_that_a_search_keeps(track: PitchTrack, x: Tensor) -> None:
    module, rows = layer(theta="static", nulls="weight", causal=True), torch.tensor([2, 0, 0, 1])
    cache = KeyValueCache()
    cache.select(rows)  # empty: nothing to do
    module(x[:, :6], cut(track, slice(None), slice(6)), cache)
    cache.select(rows)
    kept = cut(track, rows.tolist(), slice(None))
    found = module(x[rows, 6:], cut(kept, slice(None), slice(6, None)), cache)
    torch.testing.assert_close(found, module(x[rows], kept)[:, 6:], atol=2e-6, rtol=1e-5)


def test_a_cache_needs_a_causal_layer(track: PitchTrack, x: Tensor) -> None:
    with pytest.raises(ValueError, match="a cache needs a causal layer"):
        layer()(x, track, KeyValueCache())


def test_a_cache_cannot_continue_a_theta_of_the_whole_utterance(track: PitchTrack, x: Tensor) -> None:
    module, cache = layer(theta="integrated", causal=True), KeyValueCache()
    module(x[:, :4], cut(track, slice(None), slice(4)), cache)
    with pytest.raises(ValueError, match="theta integrated needs the whole utterance"):
        module(x[:, 4:], cut(track, slice(None), slice(4, None)), cache)


@pytest.mark.parametrize("nulls", NULLS)
def test_a_future_position_changes_nothing_earlier(track: PitchTrack, x: Tensor, nulls: str) -> None:
    module, other = layer(theta="static", radius="acoustic", nulls=nulls, causal=True), x.clone()
    other[:, 5:] += 10.0
    changed = replace(track, null=track.null.clone(), energy=track.energy.clone())
    changed.null[:, 5:] ^= True
    changed.energy[:, 5:] *= 0.5
    out = module(x, track)
    torch.testing.assert_close(module(other, changed)[:, :5], out[:, :5], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("theta", THETAS)
def test_autocast_stays_close_even_late(make_track: MakeTrack, theta: str) -> None:
    frames = 300
    track, x = make_track(frames=frames, step=4.0), 3.0 * torch.randn(1, frames, WIDTH)
    module = layer(theta=theta, **RICH)
    plain = module(x, track)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = module(x, track)
    assert narrow.dtype == torch.bfloat16
    error = (narrow.float() - plain).square().mean().sqrt() / (plain - plain.mean(1, keepdim=True)).std()
    assert error < 0.03  # phases rounded to bfloat16 make it about one


def test_the_state_rebuilds_the_layer(track: PitchTrack, x: Tensor) -> None:
    modes = {"theta": "integrated", "learn_frequencies": True, **RICH}
    first, second = layer(**modes), VRoPEAttention(VRoPEConfig(width=WIDTH, heads=HEADS, **modes))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert torch.equal(second(x, track), first(x, track))
