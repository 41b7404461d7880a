"""What attention computes with pitch adapters: the equations, and which track is read."""

import copy
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from echo_asr.vrope import PitchAttention, PitchTrack, adapt, octave_frequencies
from tests.helpers.plain_encoder import HEADS, WIDTH, Attention, Encoder, trained

MakeTrack = Callable[..., PitchTrack]


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


def test_interleaved_pairs_turn_as_others_do(make_track: MakeTrack) -> None:
    class Neighbours(PitchAttention):
        interleaved = True

    states, turns = torch.randn(1, 5, HEADS, 16), (torch.randn(1, 5, HEADS, 2), torch.randn(1, 5, HEADS, 2))
    order = torch.tensor([0, 2, 1, 3, *range(4, 16)])  # of what are pairs (0, 2), (1, 3) as neighbours
    found = Neighbours().turn(states[..., order], turns)
    assert torch.equal(found, PitchAttention().turn(states, turns)[..., order])
    assert not torch.equal(found, states[..., order])


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
