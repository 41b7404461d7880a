"""The text decoder: it listens to one feature after another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from echo_asr.model.config import ModelConfig
from echo_asr.model.encoder import Encoded
from echo_asr.model.layers import Block, Memory, sinusoids
from echo_asr.vrope import KeyValueCache, PitchTrack, VRoPEModes


@dataclass
class DecoderState:
    """Everything that decoding carries from token to token.

    Attributes:
        memories: for each feature and block, the encoder's keys and values.
        caches: a key-value cache a block, in the order in which the blocks run.
    """

    memories: dict[str, list[Memory]]
    caches: list[KeyValueCache] = field(default_factory=list)

    def select(self, rows: Tensor, memory: bool = True) -> None:
        """Keep the batch rows `rows`, repeats allowed; with `memory` false the recordings stay as they are, as when a
        beam is reordered within its recording."""
        for cache in self.caches:
            cache.select(rows)
        if memory:
            self.memories = {name: [m.select(rows) for m in stack] for name, stack in self.memories.items()}


class Decoder(nn.Module):
    """Token embedding, causal self-attention, then a stack of cross-attention blocks for each feature in turn, each
    stack building on the last (`sequential`).

    Token 0 is embedded as exactly zero. The output is tied to the embedding, but for index 0, which has a learned
    vector and bias of its own: a tied zero row could never be scored.

    Args:
        config: the model's.
        vocabulary_size: V, zero included.
    """

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        modes = VRoPEModes(
            theta="static" if config.positions == "rotary" else "none",
            frequencies="inverse_power",
            clock="encoder",
            nulls=config.text_nulls,
            backend=config.vrope.backend,
        )
        text = modes.attention(config.width, config.heads, causal=True)
        cross = VRoPEModes(theta="none", nulls=config.text_nulls, backend=config.vrope.backend)
        heard = cross.attention(config.width, config.heads)
        self.embedding = nn.Parameter(torch.randn(vocabulary_size - 1, config.width) * config.width**-0.5)
        self.end_vector = nn.Parameter(torch.randn(1, config.width) * config.width**-0.5)
        self.end_bias = nn.Parameter(torch.zeros(1))
        self.blocks = nn.ModuleList(
            Block(text, config.feedforward, config.dropout) for _ in range(config.decoder_layers)
        )
        self.stacks = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    Block(text, config.feedforward, config.dropout, heard) for _ in range(config.cross_layers)
                )
                for name in config.features
            }
        )
        self.norm = nn.LayerNorm(config.width)

    def state(self, encoded: Encoded, cached: bool = True) -> DecoderState:
        """A fresh state for a batch of encoded recordings; with `cached` false nothing is kept between calls."""
        null, padding = encoded.track.null, encoded.track.padding
        memories: dict[str, list[Memory]] = {
            name: [block.memory(encoded.states[name], null, padding) for block in self._stack(name)]
            for name in self.config.features
        }
        count = len(self.blocks) + len(self.config.features) * self.config.cross_layers
        return DecoderState(memories, [KeyValueCache() for _ in range(count)] if cached else [])

    def embed(self, tokens: Tensor) -> Tensor:
        """`(B, L)` to `(B, L, D)`; token 0 is exactly zero."""
        table = torch.cat((torch.zeros_like(self.end_vector), self.embedding))
        return embedding(tokens, table) * self.config.width**0.5

    def forward(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Logits `(B, L, V)` of the token after each of `tokens` `(B, L)`; the state's caches hold those before."""
        x = self.embed(tokens)
        track = PitchTrack.tokens(tokens == 0)
        if self.config.positions == "sinusoidal":
            x = x + self._sinusoids(x, state)
        caches = iter(state.caches) if state.caches else None
        for block in self.blocks:
            x = block(x, track, cache=next(caches) if caches else None)
        for name in self.config.features:
            for block, memory in zip(self._stack(name), state.memories[name], strict=True):
                x = block(x, track, memory, next(caches) if caches else None)
        x = self.norm(x)
        scores = linear(x, torch.cat((self.end_vector, self.embedding)))
        return torch.cat((scores[..., :1] + self.end_bias, scores[..., 1:]), dim=-1)

    def _stack(self, name: str) -> list[Block]:
        return list(cast(Iterable[Block], self.stacks[name]))

    def _sinusoids(self, x: Tensor, state: DecoderState) -> Tensor:
        start = state.caches[0].length if state.caches else 0
        return sinusoids(start + x.shape[1], x.shape[2], x.device)[start:]
