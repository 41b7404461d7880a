import math

import numpy as np
import pytest
import scipy.stats
import torch

from echo_asr.model.front_end import FrontEnd, StatesFrontEnd, WaveFrontEnd
from echo_asr.vrope import PitchTrack
from echo_asr.vrope.rotation import positions


def front_end(subsampling: int, channels: int = 3, width: int = 8) -> FrontEnd:
    torch.manual_seed(subsampling)
    front = FrontEnd(channels, width, subsampling)
    with torch.no_grad():
        front.norm.weight.normal_()
        front.norm.bias.normal_()
    return front


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


# --- states of a pretrained encoder ---


def states_front_end(subsampling: int, others: int = 0) -> StatesFrontEnd:
    torch.manual_seed(subsampling)
    front = StatesFrontEnd(6, others, 8, subsampling)
    with torch.no_grad():
        front.norm.weight.normal_()
        front.norm.bias.normal_()
    return front


@pytest.mark.parametrize("others", [0, 4])
@pytest.mark.parametrize("subsampling", [2, 4])
def test_states_of_any_length_give_a_frame_for_every_begun_group(subsampling: int, others: int) -> None:
    front = states_front_end(subsampling, others)
    for frames in range(1, 21):
        out = front(torch.randn(1, 6 + others, frames), torch.tensor([frames]))
        assert out.shape == (1, math.ceil(frames / subsampling), 8)
        track = PitchTrack.tokens(torch.zeros(1, frames, dtype=torch.bool)).pool(subsampling)
        assert track.f0.shape[1] == out.shape[1]


@pytest.mark.parametrize("others", [0, 4])
@pytest.mark.parametrize("subsampling", [2, 4])
def test_states_give_a_clip_the_same_values_alone_and_padded(subsampling: int, others: int) -> None:
    front = states_front_end(subsampling, others)
    for frames in range(1, 12):
        x = torch.randn(1, 6 + others, frames)
        alone = front(x, torch.tensor([frames]))
        for longer in range(frames + 1, frames + 9):
            padded = torch.nn.functional.pad(x, (0, longer - frames))  # zeros, as `collate_features` pads
            together = front(torch.cat((padded, torch.randn(1, 6 + others, longer))), torch.tensor([frames, longer]))
            torch.testing.assert_close(together[:1, : alone.shape[1]], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("subsampling", [2, 4])
def test_states_are_read_where_the_clock_of_the_rotation_says(subsampling: int) -> None:
    """The states that a frame depends on lie around its position; those of even frames hold all that there are."""
    x = torch.randn(1, 6, 12 * subsampling, requires_grad=True)
    out = states_front_end(subsampling)(x, torch.tensor([x.shape[2]]))
    track = PitchTrack.tokens(torch.zeros(1, x.shape[2], dtype=torch.bool)).pool(subsampling)
    for index in range(3, 9):
        (gradient,) = torch.autograd.grad(out[0, index].square().sum(), x, retain_graph=True)
        seen = gradient[0].abs().sum(0).nonzero()[:, 0]
        assert not (seen % 2).any() and bool((seen.diff() == 2).all())
        assert abs(float(seen[0] + seen[-1]) / 2 - float(positions(track)[index])) <= 0.5


def test_pitch_beside_states_is_a_mean_over_both_frames() -> None:
    """No frame of the pitch is left out, though every other state is."""
    x = torch.randn(1, 10, 13, requires_grad=True)
    states_front_end(4, 4)(x, torch.tensor([13])).square().sum().backward()
    assert x.grad is not None and bool((x.grad[:, 6:] != 0).all())
    assert bool((x.grad[:, :6, ::2] != 0).all()) and not x.grad[:, :6, 1::2].any()
