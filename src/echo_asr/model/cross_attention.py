"""Attention from text positions to encoder frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from echo_asr.vrope import FoldedKeys, PitchTrack, VRoPEConfig, make_nulls
from echo_asr.vrope.functional import attend, attention_weights, merge_heads, split_heads, visible_rows


class Reader:
    """Something that an option reads by a cross-attention beside its output. It keeps what it found for one call.

    The default model has none; see `model/options/aligned_pitch.py` and `model/options/silence_stop.py`.
    """

    def extend(self, value: Tensor) -> Tensor:
        """Values `(B, H, F, K)`, further dimensions to read added at the end."""
        return value

    def read(self, cross: CrossAttention, query: Tensor, out: Tensor, memory: EncoderKeyValues) -> Tensor:
        """Called at each use with queries and what attention gives, `(B, H, L, K)` each; returns the latter, less what
        `extend` added."""
        return out

    def text_track(self, track: PitchTrack) -> PitchTrack:
        """The track of the text positions, after what was read in this call."""
        return track

    def select(self, rows: Tensor) -> Reader:
        """The reader of the batch rows `rows`."""
        return self


@dataclass
class EncoderKeyValues:
    """Keys and values of an encoder's output for one cross-attention: `(B, H, F, K)` each.

    Attributes:
        null: `(B, F)`, silence; padding: `(B, F)`, always masked.
        readers: of options, none by default.
        folded: keys and values as they are attended to, and `hidden`, the rows without any key, `(B, 1, 1, 1)` or None
            for none; made when they are first needed.
    """

    key: Tensor
    value: Tensor
    null: Tensor
    padding: Tensor
    readers: tuple[Reader, ...] = ()
    folded: FoldedKeys | None = None
    hidden: Tensor | None = None

    def select(self, rows: Tensor) -> EncoderKeyValues:
        """The batch rows `rows`, in that order, repeats allowed."""
        readers = tuple(reader.select(rows) for reader in self.readers)
        return EncoderKeyValues(self.key[rows], self.value[rows], self.null[rows], self.padding[rows], readers)

    def text_track(self, track: PitchTrack) -> PitchTrack:
        """The track of the text positions after this attention: as it is, unless a reader changes it."""
        for reader in self.readers:
            track = reader.text_track(track)
        return track


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
        self.nulls = make_nulls(config.nulls, config.heads)

    def key_values(
        self, states: Tensor, null: Tensor, padding: Tensor, readers: tuple[Reader, ...] = ()
    ) -> EncoderKeyValues:
        """Keys and values of encoder states `(B, F, D)`, computed once an utterance."""
        key, value = (split_heads(project(states), self.config.heads) for project in (self.key, self.value))
        for reader in readers:
            value = reader.extend(value)
        return EncoderKeyValues(key, value, null, padding, readers)

    def forward(self, x: Tensor, memory: EncoderKeyValues) -> Tensor:
        """`(B, L, D)` of text positions `(B, L, D)`."""
        query = self.queries(x)
        out = self._attend(query, memory)
        for reader in reversed(memory.readers):
            out = reader.read(self, query, out, memory)
        return self.output(merge_heads(out))

    def queries(self, x: Tensor) -> Tensor:
        """`(B, H, L, K)` of text positions `(B, L, D)`."""
        return split_heads(self.query(x), self.config.heads)

    def weights(self, query: Tensor, memory: EncoderKeyValues) -> Tensor:
        """The weights `(B, H, L, F)`, float32, with which queries attend: their products with the values are what
        `forward` projects."""
        key = self.nulls.scale_keys(memory.key, memory.null)
        bias, masked = self._terms(memory)
        return attention_weights(query, key, self.scale, key_bias=bias, masked=masked, dtype=torch.float32)

    @property
    def scale(self) -> float:
        """Of the scores."""
        return self.config.content_width**-0.5

    def _terms(self, memory: EncoderKeyValues) -> tuple[Tensor | None, Tensor]:
        """What is added to the scores of keys `(B, H, F)`, and which keys are masked `(B, F)`."""
        hard = self.nulls.masked(memory.null)
        return self.nulls.key_bias(memory.null), memory.padding if hard is None else memory.padding | hard

    def _attend(self, query: Tensor, memory: EncoderKeyValues) -> Tensor:
        """`(B, H, L, K)`, what readers added to the values included."""
        folded, hidden = memory.folded, memory.hidden
        if folded is None:
            bias, masked = self._terms(memory)
            key, value = self.nulls.scale_keys(memory.key, memory.null), memory.value
            if self.config.backend == "reference":
                return attend(query, key, value, scale=self.scale, key_bias=bias, masked=masked, backend="reference")
            folded = FoldedKeys.fold(key, value, self.scale, key_bias=bias, masked=masked)
            visible = visible_rows(masked, causal=False, queries=query.shape[2])
            hidden = None if visible is None else ~visible
            if not torch.is_grad_enabled():  # a training asks once, and computes anew what it does not keep
                memory.folded, memory.hidden = folded, hidden
        out = folded.attend(query)
        return out if hidden is None else out.masked_fill(hidden, 0.0)
