"""Pitch adapters in an attention of one's own, with torch alone."""

import copy
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from echo_asr.vrope import PitchAdapters, PitchAttention, PitchTrack, adapt, octave_frequencies

MakeTrack = Callable[..., PitchTrack]
WIDTH, HEADS = 32, 2


class Attention(nn.Module):
    """Plain self-attention; with `key_heads`, groups of heads share keys and values."""

    def __init__(self, key_heads: int = HEADS) -> None:
        super().__init__()
        self.num_heads, self.key_heads = HEADS, key_heads
        self.q_proj, self.out_proj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.k_proj, self.v_proj = (nn.Linear(WIDTH, WIDTH * key_heads // HEADS) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        query = self.q_proj(x).unflatten(2, (HEADS, -1)).transpose(1, 2)
        key, value = (p(x).unflatten(2, (self.key_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        out = nn.functional.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, attention: Callable[[], nn.Module] = Attention) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(WIDTH), attention()
        self.feed_forward = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU())

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.norm(x), mask)
        return x + self.feed_forward(x)


class Encoder(nn.Module):
    def __init__(self, attention: Callable[[], nn.Module] = Attention, layers: int = 2) -> None:
        super().__init__()
        self.front = nn.ModuleList([nn.Linear(WIDTH, WIDTH)])
        self.layers = nn.ModuleList(Layer(attention) for _ in range(layers))
        self.checkpoint: Callable[..., Tensor] | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.front[0](x)
        for layer in self.layers:
            x = layer(x, mask) if self.checkpoint is None else self.checkpoint(layer, x, mask)
        return x


def trained(encoder: Encoder, spread: float = 0.3, **options: Any) -> PitchAdapters:
    """Adapters whose parameters are away from their start."""
    adapters = adapt(encoder, **options)
    with torch.no_grad():
        for parameter in adapters.parameters():
            parameter.normal_(std=spread)
    return adapters


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("key_heads", [1, 2])
def test_nothing_changes_before_training(dtype: torch.dtype, key_heads: int, make_track: MakeTrack) -> None:
    encoder, x = Encoder(lambda: Attention(key_heads)).to(dtype), torch.randn(3, 9, WIDTH, dtype=dtype)
    mask = torch.ones(3, 1, 9, 9, dtype=torch.bool)
    mask[1, ..., 5:] = False
    before = encoder(x, mask)
    with adapt(encoder).pitch(make_track(3, 9)):
        assert torch.equal(encoder(x, mask), before)


def test_nothing_changes_in_a_mixture_of_precisions(make_track: MakeTrack) -> None:
    encoder, x = Encoder(), torch.randn(2, 9, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        before = encoder(x)
        with adapt(encoder).pitch(make_track(2, 9)):
            assert torch.equal(encoder(x), before)


@pytest.mark.parametrize("key_heads", [1, 2])
def test_attention_is_what_the_equations_say(key_heads: int, make_track: MakeTrack) -> None:
    """Against complex numbers, one query at a time."""
    encoder, x = Encoder(lambda: Attention(key_heads), layers=1).double(), torch.randn(1, 6, WIDTH).double()
    track, width, pairs = make_track(1, 6), WIDTH // HEADS, 2
    adapters = trained(encoder)
    attention: Any = encoder.layers[0].attention
    scales, angles = adapters.state_dict(), track.z()[0].double()[:, None] * octave_frequencies(pairs)  # (N, P)

    def turn(heads: Tensor, angle: Tensor) -> Tensor:
        """`(N, K)` by `(N, P)`; pair j is the dimensions j and j + P."""
        turned = torch.complex(heads[:, :pairs], heads[:, pairs : 2 * pairs]) * torch.exp(1j * angle)
        return torch.cat((turned.real, turned.imag, heads[:, 2 * pairs :]), dim=-1)

    query = attention.q_proj(x)[0].view(6, HEADS, width)
    key, value = (p(x)[0].view(6, key_heads, width) for p in (attention.k_proj, attention.v_proj))
    read = torch.zeros(6, HEADS, width).double()
    for state in range(6):
        for head in range(HEADS):
            shared = head * key_heads // HEADS
            higher = angles - angles[state]  # how much higher the others are is all that counts
            scores = turn(key[:, shared], scales["layers.0.score"][shared] * higher) @ query[state, head] / width**0.5
            values = turn(value[:, shared], scales["layers.0.value"][shared] * higher)
            read[state, head] = scores.softmax(0) @ values
    with adapters.pitch(track):
        torch.testing.assert_close(attention(x)[0], attention.out_proj(read.flatten(1)))


def test_the_first_layer_gets_the_channels_of_pitch(make_track: MakeTrack) -> None:
    encoder, x, track = Encoder(), torch.randn(2, 9, WIDTH), make_track(2, 9)
    track.padding[1, 6:] = True
    periodicity = torch.rand(2, 9)
    untouched = copy.deepcopy(encoder)
    adapters = adapt(encoder)
    weight = dict(adapters.named_parameters())["input.weight"]
    nn.init.normal_(weight)
    channels = torch.stack((track.z() * track.voicing, track.voicing, track.energy, periodicity), dim=-1)
    added = torch.where(track.padding[..., None], 0.0, channels @ weight.T)
    with adapters.pitch(track, periodicity):
        out = encoder(x)
    x = untouched.front[0](x) + added
    for layer in untouched.layers:
        x = layer(x)
    torch.testing.assert_close(out, x)
    first: Any = encoder.layers[0]
    with adapters.pitch(track, periodicity):
        assert torch.equal(first(x=x), first(x))  # however the layer is called


def test_two_updates_reach_every_parameter_and_nothing_else(make_track: MakeTrack) -> None:
    encoder, x, wanted = Encoder().requires_grad_(False), torch.randn(2, 9, WIDTH), torch.randn(2, 9, WIDTH)
    untouched = copy.deepcopy(encoder.state_dict())
    adapters = adapt(encoder)
    optimizer = torch.optim.Adam(adapters.parameters(), lr=0.1)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        with adapters.pitch(make_track(2, 9)):
            loss = (encoder(x) - wanted).square().mean()
        loss.backward()
        losses.append(loss.item())
        for name, parameter in adapters.named_parameters():
            assert parameter.grad is not None and (parameter.grad != 0).all(), name
        optimizer.step()
    assert losses[1] < losses[0]
    assert all(torch.equal(encoder.state_dict()[name], tensor) for name, tensor in untouched.items())
    assert {p for p in encoder.parameters() if p.requires_grad} == set(adapters.parameters())


def test_its_tensors_alone_go_from_one_encoder_to_another(make_track: MakeTrack) -> None:
    encoder, x, track = Encoder(), torch.randn(2, 9, WIDTH), make_track(2, 9)
    other, names = copy.deepcopy(encoder), set(encoder.state_dict())
    state = trained(encoder).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "input.weight": (WIDTH, 4),
        **{f"layers.{layer}.{part}": (HEADS,) for layer in (0, 1) for part in ("score", "value")},
    }
    assert names < set(encoder.state_dict())  # the names of the encoder's own tensors stay
    assert len(set(encoder.state_dict()) - names) == len(state)
    adapters = adapt(other)
    adapters.load_state_dict(copy.deepcopy(state))
    whole = Encoder()
    again = adapt(whole)
    whole.load_state_dict(encoder.state_dict())
    outputs = []
    for handle, module in ((adapters, other), (again, whole)):
        with handle.pitch(track):
            outputs.append(module(x))
    assert torch.equal(*outputs)
    adapters.strip()
    assert not torch.equal(outputs[0], other(x))


def test_tensors_of_another_encoder_are_refused() -> None:
    state = adapt(Encoder(layers=3)).state_dict()
    adapters = adapt(Encoder())
    with pytest.raises(ValueError, match=r"layers.2.score, layers.2.value \(of 2\) do not fit"):
        adapters.load_state_dict(state)
    state = adapters.state_dict() | {"input.weight": torch.ones(7, 4)}
    with pytest.raises(ValueError, match=r"input.weight \(of 1\) do not fit"):
        adapters.load_state_dict(state)
    assert not any(tensor.any() for tensor in adapters.state_dict().values())


def test_it_can_be_taken_out_again_and_hooks_nothing(make_track: MakeTrack) -> None:
    encoder, x = Encoder(), torch.randn(2, 9, WIDTH)
    kinds, names, before = [type(m) for m in encoder.modules()], list(encoder.state_dict()), encoder(x)
    adapters = trained(encoder)
    assert isinstance(encoder.layers[0].attention, Attention) and isinstance(encoder.layers[0], Layer)
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in encoder.modules())
    with pytest.raises(ValueError, match="has pitch adapters; take them out first"):
        adapt(encoder)
    with adapters.pitch(make_track(2, 9)):
        assert not torch.equal(encoder(x), before)
    adapters.strip()
    assert [type(m) for m in encoder.modules()] == kinds and list(encoder.state_dict()) == names
    assert torch.equal(encoder(x), before)
    adapt(encoder)


def test_only_some_layers(make_track: MakeTrack) -> None:
    encoder = Encoder(layers=4)
    state = adapt(encoder, layers=[1, 3]).state_dict()
    assert list(state) == ["input.weight", "layers.1.score", "layers.1.value", "layers.3.score", "layers.3.value"]
    for layers in ([4], [-1], []):
        with pytest.raises(ValueError, match="layers must be numbers from 0 to 1"):
            adapt(Encoder(), layers=layers)


def test_a_track_that_is_missing_or_does_not_fit(make_track: MakeTrack) -> None:
    encoder, x = Encoder(), torch.randn(2, 9, WIDTH)
    adapters = adapt(encoder)
    with pytest.raises(RuntimeError, match="no pitch track; run it inside `with adapters.pitch"):
        encoder(x)
    for batch, frames in ((2, 8), (1, 9)):
        with pytest.raises(ValueError, match=rf"a frame for each state, \(2, 9\).*, got \({batch}, {frames}\)"):
            with adapters.pitch(make_track(batch, frames)):
                encoder(x)
    with adapters.pitch(make_track(2, 8)):
        with adapters.pitch(make_track(2, 9)):
            encoder(x)
    with pytest.raises(RuntimeError, match="no pitch track"):
        encoder(x)


class Packed(nn.Module):
    """Attention whose projections are one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(WIDTH, HEADS)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        out: Tensor = self.inner(x, x, x)[0]
        return out


class Twice(Attention):
    """Two attention modules, as a layer of a decoder has."""

    def __init__(self) -> None:
        super().__init__()
        self.cross = Attention()


class Fused(Attention):
    """Attention that takes the weights of its projections, and does not call them."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x @ self.q_proj.weight


class Named(nn.Module):
    """Attention under other names, with a count of heads that nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        query, key, value = (p(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for p in (self.a, self.b, self.c))
        out = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.d(out.transpose(1, 2).flatten(2))


def test_attention_that_cannot_be_adapted(make_track: MakeTrack) -> None:
    with pytest.raises(ValueError, match="Encoder: no list of layers with one attention module each"):
        adapt(Encoder(Packed))
    with pytest.raises(ValueError, match="no list of layers with one attention module each"):
        adapt(Encoder(Twice))
    encoder = Encoder()
    encoder.layers[1].attention.forward = encoder.layers[1].attention.forward
    with pytest.raises(ValueError, match="the forward of a Attention was replaced; call adapt before that"):
        adapt(encoder)
    assert type(encoder.layers[0]) is Layer  # nothing was half done
    encoder = Encoder(Fused)
    with adapt(encoder).pitch(make_track(2, 9)):
        with pytest.raises(TypeError, match="Fused.forward does not call q_proj, k_proj, v_proj, out_proj"):
            encoder(torch.randn(2, 9, WIDTH))


def test_names_and_heads_may_be_told(make_track: MakeTrack) -> None:
    with pytest.raises(ValueError, match="32 values of queries and 32 of keys cannot be divided.*give heads"):
        adapt(Encoder(Named), projections="abcd")
    with pytest.raises(ValueError, match="cannot be divided into heads of 10; give heads"):
        adapt(Encoder(Named), projections="abcd", heads=3)
    encoder, x = Encoder(Named), torch.randn(2, 9, WIDTH)
    before = encoder(x)
    with adapt(encoder, projections="abcd", heads=HEADS).pitch(make_track(2, 9)):
        assert torch.equal(encoder(x), before)


def test_frozen_weights_may_be_buffers(make_track: MakeTrack) -> None:
    encoder, x = Encoder(), torch.randn(2, 9, WIDTH)
    before = encoder(x)
    for module in encoder.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)
    adapters = adapt(encoder)
    with adapters.pitch(make_track(2, 9)):
        assert torch.equal(encoder(x), before)
    assert len(list(encoder.parameters())) == len(encoder.state_dict()) == len(adapters.state_dict())


def test_interleaved_pairs_turn_as_others_do(make_track: MakeTrack) -> None:
    class Neighbours(PitchAttention):
        interleaved = True

    states, turns = torch.randn(1, 5, HEADS, 16), (torch.randn(1, 5, HEADS, 2), torch.randn(1, 5, HEADS, 2))
    order = torch.tensor([0, 2, 1, 3, *range(4, 16)])  # of what are pairs (0, 2), (1, 3) as neighbours
    found = Neighbours().turn(states[..., order], turns)
    assert torch.equal(found, PitchAttention().turn(states, turns)[..., order])
    assert not torch.equal(found, states[..., order])


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in another thread"])
def test_recomputed_layers_read_the_track_of_their_own_forward(elsewhere: bool, make_track: MakeTrack) -> None:
    """Two forwards with two tracks before one backward, outside of the context."""
    encoder, x = Encoder(), torch.randn(2, 9, WIDTH)
    adapters, tracks = trained(encoder), [make_track(2, 9, seed=seed) for seed in (1, 2)]

    def gradients() -> list[Tensor]:
        losses = []
        for track in tracks:
            with adapters.pitch(track):
                losses.append(encoder(x).square().mean())
        encoder.zero_grad()
        loss = losses[0] + 2 * losses[1]
        backward = threading.Thread(target=loss.backward)
        if elsewhere:
            backward.start()
            backward.join()
        else:
            loss.backward()
        return [parameter.grad.clone() for parameter in encoder.parameters() if parameter.grad is not None]

    kept = gradients()
    encoder.checkpoint = partial(checkpoint, use_reentrant=False, context_fn=adapters.checkpoint_contexts)
    recomputed = gradients()
    assert len(recomputed) == len(list(encoder.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(kept, recomputed, strict=True))


def test_recomputed_layers_without_a_track_say_so(make_track: MakeTrack) -> None:
    encoder, x = Encoder(), torch.randn(2, 9, WIDTH)
    adapters = adapt(encoder)
    encoder.checkpoint = partial(checkpoint, use_reentrant=False)
    with adapters.pitch(make_track(2, 9)):
        encoder(x).sum().backward()  # here the track is still there
        out = encoder(x)
    with pytest.raises(RuntimeError, match="give checkpoint context_fn=adapters.checkpoint_contexts"):
        out.sum().backward()


def test_threads_read_their_own_tracks(make_track: MakeTrack) -> None:
    encoder, x = Encoder(), torch.randn(2, 9, WIDTH)
    adapters, tracks = trained(encoder), [make_track(2, 9, seed=seed) for seed in (1, 2)]

    def run(track: PitchTrack) -> Tensor:
        with adapters.pitch(track):
            both.wait()
            out: Tensor = encoder(x)
            both.wait()
        return out

    both, alone = threading.Barrier(1), []
    alone = [run(track) for track in tracks]
    both, together = threading.Barrier(2), [torch.empty(0)] * 2
    threads = [threading.Thread(target=lambda i=i: together.__setitem__(i, run(tracks[i]))) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert not torch.equal(*alone)


def test_encoders_and_copies_do_not_share_a_track(make_track: MakeTrack) -> None:
    encoder, x, track = Encoder(), torch.randn(2, 9, WIDTH), make_track(2, 9)
    adapters = trained(encoder)
    copied, handle = copy.deepcopy((encoder, adapters))
    with adapters.pitch(track):
        out = encoder(x)
        with pytest.raises(RuntimeError, match="no pitch track"):
            copied(x)
    with handle.pitch(track):
        assert torch.equal(copied(x), out)
        next(handle.parameters()).data += 1.0
        assert not torch.equal(copied(x), out)
    with adapters.pitch(track):
        assert torch.equal(encoder(x), out)


def test_a_whole_voice_may_be_higher(make_track: MakeTrack) -> None:
    """Turns see how much higher one state is than another, and nothing of how high both are."""
    encoder, x, track = Encoder(), torch.randn(2, 9, WIDTH), make_track(2, 9)
    adapters = trained(encoder)
    nn.init.zeros_(dict(adapters.named_parameters())["input.weight"])
    outputs = []
    for f0 in (track.f0, 1.5 * track.f0, track.f0.flip(1)):
        with adapters.pitch(make_track(2, 9, f0=f0)):
            outputs.append(encoder(x))
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-5, rtol=1e-5)
    assert (outputs[0] - outputs[2]).abs().max() > 1e-3
