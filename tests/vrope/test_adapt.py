"""Pitch adapters in an encoder of one's own, with torch alone: putting them in, training, keeping and taking out."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from echo_asr.vrope import PitchTrack, adapt
from tests.helpers.plain_encoder import HEADS, WIDTH, Attention, Encoder, Layer, trained

MakeTrack = Callable[..., PitchTrack]


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


class Named(nn.Module):
    """Attention under other names, with a count of heads that nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        query, key, value = (p(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for p in (self.a, self.b, self.c))
        out = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.d(out.transpose(1, 2).flatten(2))


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
