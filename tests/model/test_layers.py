import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from echo_asr.model.blocks import Block, GatedFeedForward
from echo_asr.model.cross_attention import CrossAttention, EncoderKeyValues
from echo_asr.model.front_end import FrontEnd, WaveFrontEnd
from echo_asr.model.options.sinusoids import sinusoids
from echo_asr.vrope import FoldedKeys, PitchTrack, VRoPEConfig
from echo_asr.vrope.rotation import positions


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def front_end(subsampling: int, channels: int = 3, width: int = 8) -> FrontEnd:
    torch.manual_seed(subsampling)
    front = FrontEnd(channels, width, subsampling)
    with torch.no_grad():
        front.norm.weight.normal_()
        front.norm.bias.normal_()
    return front


# --- front end


@pytest.mark.parametrize("subsampling", [2, 4])
def test_front_end_makes_a_frame_of_every_begun_group(subsampling: int) -> None:
    for frames in range(1, 21):
        out = front_end(subsampling)(torch.randn(1, 3, frames), torch.tensor([frames]))
        assert out.shape == (1, math.ceil(frames / subsampling), 8)
        track = PitchTrack.tokens(torch.zeros(1, frames, dtype=torch.bool)).pool(subsampling)
        assert track.f0.shape[1] == out.shape[1]


@pytest.mark.parametrize("subsampling", [2, 4])
def test_front_end_frames_are_centred_where_the_clock_of_the_rotation_says(subsampling: int) -> None:
    """The frames that an output depends on lie symmetrically about its position."""
    x = torch.randn(1, 3, 10 * subsampling, requires_grad=True)
    out = front_end(subsampling)(x, torch.tensor([x.shape[2]]))
    track = PitchTrack.tokens(torch.zeros(1, x.shape[2], dtype=torch.bool)).pool(subsampling)
    for index in range(3, 7):
        (gradient,) = torch.autograd.grad(out[0, index].square().sum(), x, retain_graph=True)
        seen = gradient[0].abs().sum(0).nonzero()[:, 0]
        assert len(seen) == int(seen[-1] - seen[0]) + 1 >= subsampling
        assert (seen[0] + seen[-1]) / 2 == positions(track)[index]


@pytest.mark.parametrize("subsampling", [2, 4])
def test_front_end_gives_a_clip_the_same_values_alone_and_padded(subsampling: int) -> None:
    front = front_end(subsampling)
    for frames in (1, 2, 3, 4, 5, 7, 10):
        x = torch.randn(1, 3, frames)
        alone = front(x, torch.tensor([frames]))
        for longer in range(frames + 1, frames + 9):
            padded = torch.cat((torch.nn.functional.pad(x, (0, longer - frames)), torch.randn(1, 3, longer)))
            together = front(padded, torch.tensor([frames, longer]))
            torch.testing.assert_close(together[:1, : alone.shape[1]], alone, rtol=1e-5, atol=1e-6)


def test_front_end_listens_to_every_channel_and_frame() -> None:
    x = torch.randn(1, 3, 13, requires_grad=True)
    front_end(4)(x, torch.tensor([13])).square().sum().backward()
    assert (x.grad != 0).all()


# --- front end of the waveform


def wave_front_end(width: int = 16) -> WaveFrontEnd:
    torch.manual_seed(width)
    return WaveFrontEnd(width)


def test_wave_front_end_makes_a_frame_of_160_samples() -> None:
    front = wave_front_end()
    for frames in (1, 2, 3, 4, 5, 8, 11):
        assert front(torch.randn(1, 1, 160 * frames), torch.tensor([frames])).shape == (1, 16, frames)
    assert math.prod(WaveFrontEnd.STRIDES) == 160


def test_wave_front_end_is_its_convolutions() -> None:
    """Layer by layer, output by output, in float64: two zeros in front, kernels of two strides, gelu by `erf`."""
    front = wave_front_end().double()
    x = torch.randn(1, 1, 480, dtype=torch.float64)
    expected = x[0].numpy()
    for convolution, stride in zip(front.convolutions, WaveFrontEnd.STRIDES, strict=True):
        weight, bias = convolution.weight.detach().numpy(), convolution.bias.detach().numpy()
        assert weight.shape[2] == 2 * stride
        padded = np.pad(expected, ((0, 0), (2, stride)))
        places = range(0, expected.shape[1], stride)
        linear = np.stack([(weight * padded[:, t : t + 2 * stride]).sum((1, 2)) + bias for t in places], 1)
        expected = linear * scipy.stats.norm.cdf(linear)
    np.testing.assert_allclose(front(x, torch.tensor([3]))[0].detach(), expected, atol=1e-12)


def test_wave_front_end_frame_t_is_centred_at_sample_160_t() -> None:
    """As the frames of the spectrogram and of the pitch track are; otherwise features heard at once are not."""
    front = wave_front_end().double()
    x = torch.zeros(1, 1, 160 * 9, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        for convolution in front.convolutions:  # a kernel with its own mirror image
            convolution.weight.copy_(convolution.weight[:, :, :1].abs() * torch.hann_window(
                convolution.kernel_size[0] + 2, periodic=False, dtype=torch.float64)[1:-1])  # fmt: skip
            convolution.bias.zero_()
    for frame in (2, 4, 6):
        (response,) = torch.autograd.grad(front(x, torch.tensor([9]))[0, :, frame].sum(), x)
        reach = response[0, 0, 160 * frame - 212 : 160 * frame + 213]
        assert (reach > 0).all() and torch.count_nonzero(response) == len(reach) == 425
        torch.testing.assert_close(reach, reach.flip(0))
        assert response[0, 0].argmax() == 160 * frame
    with torch.no_grad():
        impulse = torch.zeros_like(x)
        impulse[0, 0, 160 * 4] = 1.0
        heard = front(impulse, torch.tensor([9]))[0].sum(0)
    assert heard.argmax() == 4 and heard[3] > 0 and heard[[0, 1, 2, 6, 7, 8]].count_nonzero() == 0
    torch.testing.assert_close(heard[3], heard[5])


def test_wave_front_end_gives_a_clip_the_same_values_alone_and_padded() -> None:
    front = wave_front_end()
    for frames in (1, 2, 3, 7):
        x = torch.randn(1, 1, 160 * frames)
        alone = front(x, torch.tensor([frames]))
        for longer in (frames + 1, frames + 2, frames + 5):
            padded = torch.nn.functional.pad(x, (0, 160 * (longer - frames)))
            lengths = torch.tensor([frames, longer])
            together = front(torch.cat((padded, torch.randn(1, 1, 160 * longer))), lengths)
            torch.testing.assert_close(together[:1, :, :frames], alone, rtol=1e-5, atol=1e-6)
            assert not together[0, :, frames:].any() and together[1].abs().amin(0).max() > 0


def test_wave_front_end_listens_to_every_sample() -> None:
    x = torch.randn(1, 1, 160 * 3, requires_grad=True)
    wave_front_end()(x, torch.tensor([3])).square().sum().backward()
    assert (x.grad != 0).all()


# --- feed-forward, positions


def test_feed_forward_is_the_equation_of_its_docstring() -> None:
    torch.manual_seed(0)
    layer = GatedFeedForward(6, 10).double()
    x = torch.randn(2, 3, 6, dtype=torch.float64)
    track = PitchTrack.tokens(torch.zeros(2, 3, dtype=torch.bool))
    gate, up = layer.gate.weight.detach().numpy(), layer.up.weight.detach().numpy()
    turned = x.numpy() @ gate.T
    expected = (turned / (1 + np.exp(-turned)) * (x.numpy() @ up.T)) @ layer.output.weight.detach().numpy().T
    np.testing.assert_allclose(layer(x, track).detach(), expected + layer.output.bias.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("width", [8, 24])
def test_sinusoids_are_whispers(width: int) -> None:
    table = sinusoids(7, width, torch.device("cpu"))
    half = width // 2
    for t in range(7):
        for i in range(half):
            rate = 10_000 ** (-i / (half - 1))
            assert table[t, i] == pytest.approx(math.sin(t * rate), abs=1e-6)
            assert table[t, half + i] == pytest.approx(math.cos(t * rate), abs=1e-6)


# --- cross-attention

NULL = torch.tensor([[True, False, False, True, False], [False, True, False, True, True]])
PADDING = torch.tensor([[False] * 5, [False, False, False, True, True]])


def cross_attention(nulls: str, backend: str = "auto") -> CrossAttention:
    torch.manual_seed(3)
    config = VRoPEConfig(theta="none", nulls=nulls, backend=backend, width=32, heads=2)  # type: ignore[arg-type]
    layer = CrossAttention(config)
    with torch.no_grad():
        layer.output.bias.normal_()
        if nulls in ("weight", "score"):
            layer.nulls.raw_gamma.copy_(torch.tensor([-1.0, 6.0]))
    return layer


def naive_cross_attention(
    layer: CrossAttention, x: Tensor, states: Tensor, null: Tensor, padding: Tensor, pitch: Tensor
) -> tuple[Tensor, Tensor]:
    """Query by query and head by head, in float64, as DESIGN describes null keys and what is read of pitch."""
    weights = {n: p.detach().double().numpy() for n, p in layer.named_parameters()}
    mode, heads, width = layer.config.nulls, layer.config.heads, layer.config.content_width
    gamma = np.ones(heads)
    if mode in ("weight", "score"):
        gamma = np.exp(np.log(1e-6) + np.log(1e3) / (1 + np.exp(-weights["nulls.raw_gamma"])))
    out, read = np.zeros(tuple(x.shape)), np.zeros((*x.shape[:2], pitch.shape[2]))
    for b in range(x.shape[0]):
        query, key, value = (
            np.reshape(z[b].double().numpy() @ weights[f"{n}.weight"].T, (z.shape[1], heads, -1))
            for n, z in (("query", x), ("key", states), ("value", states))
        )
        for head in range(heads):
            score = query[:, head] @ key[:, head].T / math.sqrt(width)
            if mode == "score":
                score = np.where(null[b], gamma[head] * score, score)
            share = softmax(score) * ~padding[b].numpy()
            share = share * np.where(null[b], {"weight": gamma[head], "hard": 0.0}.get(mode, 1.0), 1.0)
            share = share / share.sum(-1, keepdims=True)
            out[b, :, head * 16 : head * 16 + 16] = share @ value[:, head]
            read[b] += share @ pitch[b].double().numpy() / heads
    return torch.from_numpy(out @ weights["output.weight"].T + weights["output.bias"]), torch.from_numpy(read)


@pytest.mark.parametrize("nulls", ["none", "hard", "weight", "score"])
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_cross_attention_is_a_softmax_over_what_is_heard(nulls: str, backend: str) -> None:
    layer = cross_attention(nulls, backend)
    x, states, pitch = torch.randn(2, 4, 32), torch.randn(2, 5, 32), torch.randn(2, 5, 3)
    expected, expected_pitch = naive_cross_attention(layer, x, states, NULL, PADDING, pitch)
    heard = layer(x, layer.memory(states, NULL, PADDING, pitch))
    torch.testing.assert_close(heard.states.double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(heard.pitch.double(), expected_pitch, rtol=1e-4, atol=1e-5)
    heard = layer(x, layer.memory(states, NULL, PADDING))
    torch.testing.assert_close(heard.states.double(), expected, rtol=1e-4, atol=1e-5)
    assert heard.pitch is None and heard.silence is None


@pytest.mark.parametrize("nulls", ["none", "hard", "weight", "score"])
def test_attention_to_silence_is_what_content_alone_would_give_it(nulls: str) -> None:
    """Whatever nulls weigh: the mass on the final silence of a plain attention, which knows of padding only."""
    layer, x, states = cross_attention(nulls), torch.randn(2, 4, 32), torch.randn(2, 5, 32)
    ending = NULL & ~PADDING
    found = layer(x, layer.memory(states, NULL, PADDING, ending=ending)).silence
    if nulls == "none":  # attention itself reads a channel that flags silence with just these weights
        flags = layer(x, layer.memory(states, NULL, PADDING, ending[..., None].float())).pitch
        torch.testing.assert_close(found, flags[..., 0], rtol=1e-4, atol=1e-6)
    scores = torch.einsum(
        "blhk,bfhk->bhlf",
        *(project(z).unflatten(2, (2, -1)) for project, z in ((layer.query, x), (layer.key, states))),
    )
    shares = (scores / layer.config.content_width**0.5).exp() * ~PADDING[:, None, None]
    expected = (shares / shares.sum(-1, keepdim=True) * ending[:, None, None]).sum(-1).mean(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_what_is_read_of_pitch_teaches_attention_where_to_look(backend: str) -> None:
    layer = cross_attention("weight", backend)
    memory = layer.memory(torch.randn(2, 5, 32), NULL, PADDING, torch.randn(2, 5, 3))
    layer(torch.randn(2, 4, 32), memory).pitch.square().sum().backward()
    for name in ("query", "key"):
        assert (getattr(layer, name).weight.grad != 0).all(), name
    assert (layer.nulls.raw_gamma.grad != 0).all()
    assert all(p.grad is None or not p.grad.any() for p in (layer.value.weight, layer.output.weight))


def test_cross_attention_hears_nothing_where_all_is_null_and_hard() -> None:
    layer = cross_attention("hard")
    states = torch.randn(1, 3, 32, requires_grad=True)
    nothing = torch.ones(1, 3, dtype=torch.bool)
    heard = layer(torch.randn(1, 2, 32), layer.memory(states, nothing, ~nothing, torch.ones(1, 3, 3)))
    torch.testing.assert_close(heard.states, layer.output.bias.expand_as(heard.states))
    assert torch.equal(heard.pitch, torch.zeros(1, 2, 3))
    heard.states.sum().backward()
    assert not states.grad.any()


def test_memory_keeps_the_chosen_rows_in_the_chosen_order() -> None:
    flags = torch.rand(2, 3, 4) > 0.5
    memory = EncoderKeyValues(torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 6), *flags, channels=3)
    memory.folded, memory.visible = FoldedKeys.fold(memory.key, memory.value, 1.0), flags[0]
    kept = vars(memory.select(torch.tensor([2, 0, 2])))
    assert kept.pop("channels") == 3 and kept.pop("content_key") is None and kept.pop("ending") is None
    assert kept.pop("folded") is None and kept.pop("visible") is None, "folded anew for other rows"
    assert set(kept) == {"key", "value", "null", "padding"}
    memory = EncoderKeyValues(memory.key, memory.value, *flags, 0, torch.randn(3, 2, 4, 5), flags[0])
    chosen = vars(memory.select(torch.tensor([2, 0, 2])))
    for name in ("key", "value", "null", "padding", "content_key", "ending"):
        rows = chosen[name]
        assert torch.equal(rows, torch.stack([getattr(memory, name)[i] for i in (2, 0, 2)]))


# --- block


@pytest.mark.parametrize("cross", [False, True])
def test_block_adds_its_branches_to_what_comes_in(cross: bool) -> None:
    torch.manual_seed(1)
    config = VRoPEConfig(width=32, heads=2, theta="none")
    block = Block(config, 12, dropout=0.0, cross=config if cross else None)
    x, states = torch.randn(1, 4, 32), torch.randn(1, 5, 32)
    nothing = torch.zeros(1, 5, dtype=torch.bool)
    track = PitchTrack.tokens(torch.zeros(1, 4, dtype=torch.bool))
    memory = block.cross.memory(states, nothing, nothing) if block.cross else None
    whole, after, silence = block(x, track, memory)
    assert after is track and silence is None
    with torch.no_grad():
        for branch in (block.attention, block.feedforward, *([block.cross] if block.cross else [])):
            branch.output.weight.zero_()  # biases start at random here, nn.Linear's own
            branch.output.bias.fill_(0.5)
    assert not torch.allclose(whole, x, atol=0.1)
    torch.testing.assert_close(block(x, track, memory)[0], x + (1.5 if cross else 1.0))


def test_block_hands_on_the_pitch_that_cross_attention_read() -> None:
    """Its own gate uses what was read; its self-attention, which comes before, what it was given."""
    torch.manual_seed(1)
    block = Block(VRoPEConfig(width=32, heads=2, radius="acoustic"), 12, 0.0, VRoPEConfig(width=32, heads=2), "pitch")
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    x, states, pitch = torch.randn(1, 4, 32), torch.randn(1, 5, 32), torch.rand(1, 5, 3)
    nothing = torch.zeros(1, 5, dtype=torch.bool)
    track = PitchTrack.tokens(torch.tensor([[True, False, False, False]]))
    heard, tracks = [], []
    hooks = [
        block.cross.register_forward_hook(lambda *arguments: heard.append(arguments[2].pitch)),
        block.attention.register_forward_pre_hook(lambda _, inputs: tracks.append(inputs[1])),
        block.feedforward.register_forward_pre_hook(lambda _, inputs: tracks.append(inputs[1])),
    ]
    _, after, _ = block(x, track, block.memory(states, nothing, nothing, pitch))
    for hook in hooks:
        hook.remove()
    torch.testing.assert_close(after.channels(), heard[0], rtol=1e-5, atol=1e-6)
    assert torch.equal(after.null, track.null) and not torch.equal(after.voicing, track.voicing)
    assert tracks == [track, after]


def test_block_drops_branches_in_training_alone() -> None:
    torch.manual_seed(1)
    block = Block(VRoPEConfig(width=32, heads=2), 12, dropout=0.5)
    x, track = torch.randn(1, 4, 32), PitchTrack.tokens(torch.zeros(1, 4, dtype=torch.bool))
    assert not torch.equal(block(x, track)[0], block(x, track)[0])
    block.eval()
    assert torch.equal(block(x, track)[0], block(x, track)[0])
