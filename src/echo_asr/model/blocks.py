"""The blocks that encoder and decoder are made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from torch.utils.checkpoint import checkpoint

from echo_asr.model.cross_attention import CrossAttention, EncoderKeyValues
from echo_asr.model.options.gates import Gate
from echo_asr.vrope import KeyValueCache, PitchTrack, VRoPEAttention, VRoPEConfig


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

    def forward(self, x: Tensor, track: PitchTrack, cache: KeyValueCache | None = None) -> Tensor:
        """`(B, F, D)`; the track is for the pass gate, the cache that of the block, if it continues a text."""
        if cache is None or torch.is_grad_enabled():
            gate, up = self.gate(x), self.up(x)
        else:
            gate, up = cache.project("feedforward", x, (self.gate, self.up)).chunk(2, -1)
        out = self.output(silu(gate) * up)
        return out if self.pass_gate is None else self.pass_gate(x, track) * out


class Block(nn.Module):
    """Pre-norm block: self-attention, cross-attention if there is a feature to attend to, gated feed-forward.

    Args:
        config: of the self-attention.
        hidden: width of the feed-forward.
        dropout: on each residual branch.
        cross: of the cross-attention, or None.
        gate: on the feed-forward, or None.

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
        gate: Gate | None = None,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = VRoPEAttention(config)
        self.cross_norm = nn.LayerNorm(config.width) if cross else None
        self.cross = CrossAttention(cross) if cross else None
        self.feedforward_norm = nn.LayerNorm(config.width)
        self.feedforward = GatedFeedForward(config.width, hidden, gate)
        self.dropout = nn.Dropout(dropout)

    @property
    def key_values(self) -> Callable[..., EncoderKeyValues]:
        """`CrossAttention.key_values` of the block."""
        assert self.cross is not None
        return self.cross.key_values

    def forward(
        self, x: Tensor, track: PitchTrack, memory: EncoderKeyValues | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """`(B, F, D)` to `(B, F, D)`.

        Args:
            track: of the positions.
            memory: keys and values of the feature that the cross-attention attends to.
            cache: of the self-attention, if it continues a text.
        """
        if self.recompute and self.training and torch.is_grad_enabled():
            out: Tensor = checkpoint(self._compute, x, track, memory, cache, use_reentrant=False)
            return out
        return self._compute(x, track, memory, cache)

    def _compute(
        self, x: Tensor, track: PitchTrack, memory: EncoderKeyValues | None, cache: KeyValueCache | None
    ) -> Tensor:
        dropout = self.dropout if self.training else _as_it_is
        x = x + dropout(self.attention(self.attention_norm(x), track, cache))
        if self.cross is not None:
            assert self.cross_norm is not None and memory is not None
            x = x + dropout(self.cross(self.cross_norm(x), memory))
            track = memory.text_track(track)
        return x + dropout(self.feedforward(self.feedforward_norm(x), track, cache))


def _as_it_is(x: Tensor) -> Tensor:
    return x
