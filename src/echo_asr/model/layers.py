"""The parts that encoder and decoder are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, silu

from echo_asr.vrope import KeyValueCache, NullKeys, PitchTrack, VRoPEAttention, VRoPEConfig, attend


class GatedFeedForward(nn.Module):
    """`W_o (silu(W_g x) * W_u x)` (SwiGLU, Shazeer 2020, arXiv:2002.05202): `(B, F, D)` to `(B, F, D)`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.output = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(silu(self.gate(x)) * self.up(x))


@dataclass
class Memory:
    """Keys and values of an encoder's output for one cross-attention: `(B, H, F, K)` each.

    Attributes:
        null: `(B, F)`, silence; padding: `(B, F)`, never seen.
    """

    key: Tensor
    value: Tensor
    null: Tensor
    padding: Tensor

    def select(self, rows: Tensor) -> Memory:
        """The batch rows `rows`, in that order, repeats allowed."""
        return Memory(self.key[rows], self.value[rows], self.null[rows], self.padding[rows])


class CrossAttention(nn.Module):
    """Attention from text positions to one feature's frames. Nothing rotates: content alone decides.

    Args:
        config: dimensions, null mode and backend; its theta, radius and bias are not used.
    """

    def __init__(self, config: VRoPEConfig) -> None:
        super().__init__()
        self.config = config
        content = config.heads * config.content_width
        self.query = nn.Linear(config.width, content, bias=False)
        self.key = nn.Linear(config.width, content, bias=False)
        self.value = nn.Linear(config.width, config.width, bias=False)
        self.output = nn.Linear(config.width, config.width)
        self.nulls = NullKeys(config.nulls, config.heads)

    def memory(self, states: Tensor, null: Tensor, padding: Tensor) -> Memory:
        """Keys and values of encoder states `(B, F, D)`, computed once an utterance."""
        key, value = (
            project(states).unflatten(2, (self.config.heads, -1)).transpose(1, 2) for project in (self.key, self.value)
        )
        return Memory(self.nulls.scale_keys(key, null), value, null, padding)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """`(B, L, D)` to `(B, L, D)`."""
        query = self.query(x).unflatten(2, (self.config.heads, -1)).transpose(1, 2)
        hard = self.nulls.masked(memory.null)
        out = attend(
            query,
            memory.key,
            memory.value,
            scale=self.config.content_width**-0.5,
            key_bias=self.nulls.key_bias(memory.null),
            masked=memory.padding if hard is None else memory.padding | hard,
            backend="reference" if self.config.backend == "reference" else "sdpa",
        )
        return self.output(out.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm block: self-attention, cross-attention if there is a feature to attend to, gated feed-forward.

    Args:
        config: of the self-attention.
        hidden: width of the feed-forward.
        dropout: on each residual branch.
        cross: of the cross-attention, or None.
    """

    def __init__(self, config: VRoPEConfig, hidden: int, dropout: float, cross: VRoPEConfig | None = None) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = VRoPEAttention(config)
        self.cross_norm = nn.LayerNorm(config.width) if cross else None
        self.cross = CrossAttention(cross) if cross else None
        self.feedforward_norm = nn.LayerNorm(config.width)
        self.feedforward = GatedFeedForward(config.width, hidden)
        self.dropout = nn.Dropout(dropout)

    def memory(self, states: Tensor, null: Tensor, padding: Tensor) -> Memory:
        """What the block's cross-attention reads of encoder states; see `CrossAttention.memory`."""
        assert self.cross is not None
        memory: Memory = self.cross.memory(states, null, padding)
        return memory

    def forward(
        self, x: Tensor, track: PitchTrack, memory: Memory | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), track, cache))
        if self.cross is not None:
            assert self.cross_norm is not None and memory is not None
            x = x + self.dropout(self.cross(self.cross_norm(x), memory))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))


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
            beyond = torch.arange(x.shape[2], device=x.device)[None] >= lengths[:, None]
            x = x.masked_fill(beyond[:, None], 0.0)
        return self.norm(x.transpose(1, 2))


def sinusoids(length: int, width: int, device: torch.device) -> Tensor:
    """Whisper's added positions (Radford et al. 2022): `(length, width)`, sines then cosines."""
    rate = torch.exp(-math.log(10_000.0) / (width // 2 - 1) * torch.arange(width // 2, device=device))
    angle = torch.arange(length, device=device)[:, None] * rate
    return torch.cat((angle.sin(), angle.cos()), dim=1)
