"""Front ends: strided convolutions from features to encoder frames."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad


class FrontEnd(nn.Module):
    """Convolutions from `(B, C, T)` feature frames to `(B, F, D)`, `F = ceil(T / subsampling)`.

    An output frame is centred on the frames it stands for, and whatever is beyond a recording's end is zero before
    each convolution, so a clip gives the same values alone and padded.
    """

    def __init__(self, channels: int, width: int, subsampling: int) -> None:
        super().__init__()
        strides = {2: (1, 2), 4: (2, 2)}[subsampling]
        sizes = (channels, width, width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(sizes[i], sizes[i + 1], kernel_size=3 if stride == 1 else 4, stride=stride)
            for i, stride in enumerate(strides)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`lengths` `(B,)` counts the feature frames of each recording."""
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            stride = convolution.stride[0]
            x = gelu(convolution(pad(x, (1, 1 if stride == 1 else 2))))
            lengths = torch.div(lengths + stride - 1, stride, rounding_mode="floor")
            x = x.masked_fill(_beyond(x, lengths), 0.0)
        return self.norm(x.transpose(1, 2))


class StatesFrontEnd(nn.Module):
    """One convolution from states of a pretrained encoder to encoder frames, `(B, F, D)`.

    The encoders that there are have a state each 20 ms or fewer, so that every other frame of 10 ms holds all of them.

    Args:
        channels: C of the states.
        others: channels beside them, of which the mean over two frames is taken.
        width: D.
        subsampling: feature frames in an encoder frame.
    """

    def __init__(self, channels: int, others: int, width: int, subsampling: int) -> None:
        super().__init__()
        self.channels, stride = channels, subsampling // 2
        self.convolution = nn.Conv1d(channels + others, width, kernel_size=3 if stride == 1 else 4, stride=stride)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`x` `(B, C + others, T)`; `lengths` `(B,)` counts the feature frames of each recording."""
        x = pad(x, (0, x.shape[2] % 2))
        states, others = x[:, : self.channels, ::2], x[:, self.channels :].unflatten(2, (-1, 2)).mean(3)
        lengths = torch.div(lengths + 1, 2, rounding_mode="floor")
        x = torch.cat((states, others), dim=1).masked_fill(_beyond(x[..., ::2], lengths), 0.0)
        stride = self.convolution.stride[0]
        x = gelu(self.convolution(pad(x, (1, 1 if stride == 1 else 2))))
        lengths = torch.div(lengths + stride - 1, stride, rounding_mode="floor")
        return self.norm(x.masked_fill(_beyond(x, lengths), 0.0).transpose(1, 2))

    @torch.no_grad()
    def init_weights(self) -> None:
        """Let the convolution keep the variance of its input, of which torch's draw passes on a third."""
        self.convolution.weight.mul_(3.0**0.5)


def _beyond(x: Tensor, lengths: Tensor) -> Tensor:
    """`(B, 1, F)` bool, true beyond the length of each recording in `x` `(B, D, F)`."""
    return (torch.arange(x.shape[2], device=x.device)[None] >= lengths[:, None])[:, None]


LEVEL = 0.15  # RMS of speech whose peak is at full scale
GELU_POWER = 0.425  # mean square of GELU of what is normally distributed


class WaveFrontEnd(nn.Module):
    """Convolutions from samples `(B, 1, S)` to 10 ms frames `(B, D, T)`, `S = 160 T`.

    A kernel is twice as long as its stride, and two zeros before each layer's input centre frame `t` at sample `160 t`,
    where the other features have it: it is made of the 212 samples on either side. What is beyond a recording's end is
    zero before each convolution.

    Args:
        width: D; the first layers are narrower.
    """

    STRIDES = (5, 4, 4, 2)  # samples of the layer before in one of this; 160 together, 10 ms at 16 kHz

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = (1, width // 4, width // 2, width // 2, width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(sizes[i], sizes[i + 1], kernel_size=2 * stride, stride=stride)
            for i, stride in enumerate(self.STRIDES)
        )

    @torch.no_grad()
    def init_weights(self) -> None:
        """Set kernels, once they are drawn, so that what varies in a recording is about as strong after each layer.

        As torch draws them, each layer passes on a third of the variance of what goes in: after four, a recording moves
        its frames by a fifteenth of the constants that the biases put there. Kernels over the channels of the layer
        before are made to respond to differences between them, which otherwise rise and fall together with the level.
        """
        first, *others = (convolution.get_parameter("weight") for convolution in self.convolutions)
        first.mul_(3.0**0.5 / LEVEL)
        for weight in others:
            weight.sub_(weight.mean(dim=1, keepdim=True)).mul_((3.0 / GELU_POWER) ** 0.5)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`lengths` `(B,)` counts the 10 ms frames of each recording."""
        share = math.prod(self.STRIDES)  # layer samples in a frame
        for convolution, stride in zip(self.convolutions, self.STRIDES, strict=True):
            share //= stride
            x = gelu(convolution(pad(x, (2, stride - 2))))
            x = x.masked_fill(_beyond(x, lengths * share), 0.0)
        return x
