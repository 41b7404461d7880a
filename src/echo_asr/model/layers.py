"""The parts that encoder and decoder are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, silu
from torch.utils.checkpoint import checkpoint

from echo_asr.model.gates import Gate
from echo_asr.vrope import (
    FoldedKeys,
    KeyValueCache,
    NullKeys,
    PitchTrack,
    VRoPEAttention,
    VRoPEConfig,
    attend,
    visible_rows,
)


class GatedFeedForward(nn.Module):
    """`g(x) W_o (silu(W_g x) * W_u x)` (SwiGLU, Shazeer 2020, arXiv:2002.05202): `(B, F, D)` to `(B, F, D)`.

    Args:
        width, hidden: D, and the dimensions inside.
        pass_gate: `g`, or None for 1.
    """

    def __init__(self, width: int, hidden: int, pass_gate: Gate | None = None) -> None:
        super().__init__()
        self.pass_gate = pass_gate
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.output = nn.Linear(hidden, width)

    def forward(self, x: Tensor, track: PitchTrack) -> Tensor:
        out = self.output(silu(self.gate(x)) * self.up(x))
        return out if self.pass_gate is None else self.pass_gate(x, track) * out


@dataclass
class EncoderKeyValues:
    """Keys and values of an encoder's output for one cross-attention: `(B, H, F, K)` each.

    Attributes:
        null: `(B, F)`, silence; padding: `(B, F)`, never seen.
        channels: how many of the values, the last ones, are pitch to be read and not content.
        content_key: keys before any null was scaled, kept where attention to silence is to be told.
        ending: `(B, F)`, the silence after which nothing more is heard, kept there too.
        folded: keys and values as they are attended to, and `visible`, the rows that hear anything, `(B, 1, 1, 1)` or
            None for all; made when they are first asked for.
    """

    key: Tensor
    value: Tensor
    null: Tensor
    padding: Tensor
    channels: int = 0
    content_key: Tensor | None = None
    ending: Tensor | None = None
    folded: FoldedKeys | None = None
    visible: Tensor | None = None

    def select(self, rows: Tensor) -> EncoderKeyValues:
        """The batch rows `rows`, in that order, repeats allowed."""
        content_key = None if self.content_key is None else self.content_key[rows]
        ending = None if self.ending is None else self.ending[rows]
        key, value = self.key[rows], self.value[rows]
        return EncoderKeyValues(key, value, self.null[rows], self.padding[rows], self.channels, content_key, ending)


@dataclass
class CrossAttentionOutput:
    """What a cross-attention found.

    Attributes:
        states: `(B, L, D)`.
        pitch: the pitch channels read, a mean over the heads, `(B, L, C)`, or None.
        silence: the share of attention that the content of the last silence draws, `(B, L)`, or None; see
            `CrossAttention.silence`.
    """

    states: Tensor
    pitch: Tensor | None
    silence: Tensor | None


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

    def memory(
        self,
        states: Tensor,
        null: Tensor,
        padding: Tensor,
        pitch: Tensor | None = None,
        ending: Tensor | None = None,
    ) -> EncoderKeyValues:
        """Keys and values of encoder states `(B, F, D)`, computed once an utterance.

        Args:
            pitch: `(B, F, C)`, channels that each text position reads with the weights it attends with.
            ending: `(B, F)`, frames that attention is to be told of as the last silence.
        """
        key, value = (
            project(states).unflatten(2, (self.config.heads, -1)).transpose(1, 2) for project in (self.key, self.value)
        )
        if pitch is not None:
            value = torch.cat((value, pitch[:, None].expand(-1, value.shape[1], -1, -1).to(value.dtype)), dim=-1)
        channels = 0 if pitch is None else pitch.shape[-1]
        content_key = None if ending is None else key
        return EncoderKeyValues(self.nulls.scale_keys(key, null), value, null, padding, channels, content_key, ending)

    def silence(self, query: Tensor, memory: EncoderKeyValues) -> Tensor | None:
        """The mass that attention would give the last silence by content alone, before any null weight: `(B, L)` in
        0 to 1, a mean over the heads; None where the memory does not keep it. `query` is `(B, H, L, K)`."""
        if memory.content_key is None or memory.ending is None:
            return None
        scores = (query @ memory.content_key.transpose(2, 3)).float() * self.config.content_width**-0.5
        weights = scores.masked_fill(memory.padding[:, None, None], -torch.inf).softmax(-1)
        return (weights * memory.ending[:, None, None]).sum(-1).mean(1)

    def _attend(self, query: Tensor, memory: EncoderKeyValues) -> Tensor:
        """`(B, H, L, K)`, pitch channels among the values included."""
        folded, visible = memory.folded, memory.visible
        if folded is None:
            scale, bias = self.config.content_width**-0.5, self.nulls.key_bias(memory.null)
            hard = self.nulls.masked(memory.null)
            masked = memory.padding if hard is None else memory.padding | hard
            if self.config.backend == "reference":
                key, value = memory.key, memory.value
                return attend(query, key, value, scale=scale, key_bias=bias, masked=masked, backend="reference")
            folded = FoldedKeys.fold(memory.key, memory.value, scale, key_bias=bias, masked=masked)
            visible = visible_rows(masked, causal=False, queries=query.shape[2])
            if not torch.is_grad_enabled():  # a training asks once, and computes anew what it does not keep
                memory.folded, memory.visible = folded, visible
        out = folded.attend(query)
        return out if visible is None else out.masked_fill(~visible, 0.0)

    def forward(self, x: Tensor, memory: EncoderKeyValues) -> CrossAttentionOutput:
        """What text positions `(B, L, D)` hear."""
        query = self.query(x).unflatten(2, (self.config.heads, -1)).transpose(1, 2)
        out = self._attend(query, memory)
        read = None
        if memory.channels:
            out, pitch = out.split((out.shape[-1] - memory.channels, memory.channels), dim=-1)
            read = pitch.mean(1)
        return CrossAttentionOutput(self.output(out.transpose(1, 2).flatten(2)), read, self.silence(query, memory))


class Block(nn.Module):
    """Pre-norm block: self-attention, cross-attention if there is a feature to attend to, gated feed-forward.

    Args:
        config: of the self-attention.
        hidden: width of the feed-forward.
        dropout: on each residual branch.
        cross: of the cross-attention, or None.
        gate: kind of the gate on the feed-forward, or `none`.

    Attributes:
        recompute: while training, keep none of what is inside, and compute it again for the gradients.
    """

    recompute = False

    def __init__(
        self,
        config: VRoPEConfig,
        hidden: int,
        dropout: float,
        cross: VRoPEConfig | None = None,
        gate: str = "none",
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = VRoPEAttention(config)
        self.cross_norm = nn.LayerNorm(config.width) if cross else None
        self.cross = CrossAttention(cross) if cross else None
        self.feedforward_norm = nn.LayerNorm(config.width)
        opened = None if gate == "none" else Gate(gate, config.width, config.reference)
        self.feedforward = GatedFeedForward(config.width, hidden, opened)
        self.dropout = nn.Dropout(dropout)

    @property
    def memory(self) -> Callable[..., EncoderKeyValues]:
        """`CrossAttention.memory` of the block: what it reads of encoder states."""
        assert self.cross is not None
        return self.cross.memory

    def forward(
        self, x: Tensor, track: PitchTrack, memory: EncoderKeyValues | None = None, cache: KeyValueCache | None = None
    ) -> tuple[Tensor, PitchTrack, Tensor | None]:
        """The block's output; the track of its positions, the one given or what cross-attention read of pitch; and the
        share of attention to the last silence, where its memory keeps that (`CrossAttentionOutput.silence`)."""
        if self.recompute and self.training and torch.is_grad_enabled():
            found: tuple[Tensor, PitchTrack, Tensor | None] = checkpoint(
                self._compute, x, track, memory, cache, use_reentrant=False
            )
            return found
        return self._compute(x, track, memory, cache)

    def _compute(
        self, x: Tensor, track: PitchTrack, memory: EncoderKeyValues | None, cache: KeyValueCache | None
    ) -> tuple[Tensor, PitchTrack, Tensor | None]:
        silence = None
        x = x + self.dropout(self.attention(self.attention_norm(x), track, cache))
        if self.cross is not None:
            assert self.cross_norm is not None and memory is not None
            heard = self.cross(self.cross_norm(x), memory)
            x, silence = x + self.dropout(heard.states), heard.silence
            if heard.pitch is not None:
                track = track.read(*heard.pitch.float().unbind(-1))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x), track)), track, silence


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
        before are made to hear differences between them, which otherwise rise and fall together with the loudness.
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
            beyond = torch.arange(x.shape[2], device=x.device)[None] >= lengths[:, None] * share
            x = x.masked_fill(beyond[:, None], 0.0)
        return x


def sinusoids(length: int, width: int, device: torch.device) -> Tensor:
    """Whisper's added positions (Radford et al. 2022): `(length, width)`, sines then cosines."""
    rate = torch.exp(-math.log(10_000.0) / (width // 2 - 1) * torch.arange(width // 2, device=device))
    angle = torch.arange(length, device=device)[:, None] * rate
    return torch.cat((angle.sin(), angle.cos()), dim=1)
