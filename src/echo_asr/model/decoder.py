"""The text decoder: causal self-attention, then cross-attention to one feature after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, pad

from echo_asr.model.blocks import Block
from echo_asr.model.config import ModelConfig
from echo_asr.model.cross_attention import EncoderKeyValues
from echo_asr.model.encoder import Encoded
from echo_asr.model.options.aligned_pitch import with_text_radius
from echo_asr.model.options.gates import make_gate, text_gate
from echo_asr.model.options.readers import make_readers
from echo_asr.model.options.sinusoids import sinusoids
from echo_asr.vrope import KeyValueCache, PitchTrack, VRoPEModes

Caches = Iterator[KeyValueCache | None]


@dataclass
class DecoderState:
    """Everything that decoding carries from token to token.

    Attributes:
        memories: for each stack of blocks with cross-attention, by name, and each block, the encoder's keys and values.
        caches: a key-value cache a block, in the order in which the blocks run.
        vectors: of all tokens `(V, D)`, as `Decoder.embed` makes them, and the weight and bias of the output; None
            where nothing is kept between calls.
    """

    memories: dict[str, list[EncoderKeyValues]]
    caches: list[KeyValueCache] = field(default_factory=list)
    vectors: tuple[Tensor, Tensor, Tensor | None] | None = None

    def select(self, rows: Tensor, memory: bool = True) -> None:
        """Keep the batch rows `rows`, repeats allowed; with `memory` false the recordings stay as they are, as when a
        beam is reordered within its recording."""
        for cache in self.caches:
            cache.select(rows)
        if memory:
            self.memories = {name: [m.select(rows) for m in stack] for name, stack in self.memories.items()}

    def forget(self, count: int) -> None:
        """Drop the last `count` tokens."""
        for cache in self.caches:
            cache.forget(count)


class Decoder(nn.Module):
    """Token embedding, causal self-attention, then a stack of blocks with cross-attention for each feature in turn,
    each building on the last (`combine` sequential; `options/combine.py` has the other ways).

    Token 0 is embedded as exactly zero. The output is tied to the embedding, but for index 0, which has a learned
    vector and bias of its own where it is learnt at all: a tied zero row could never be scored.

    Args:
        config: the model's.
        vocabulary_size: V, zero included.
    """

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        width, heads, backend = config.width, config.heads, config.vrope.backend
        modes = VRoPEModes(
            theta="none" if config.positions == "sinusoidal" else "static",
            frequencies="inverse_power",
            clock="encoder",
            nulls=config.text_nulls,
            backend=backend,
        )
        text = modes.attention(width, heads, causal=True)
        cross = VRoPEModes(theta="none", nulls=config.cross_nulls, backend=backend).attention(width, heads)
        aligned = config.text_pitch == "aligned"
        later = with_text_radius(text, config.vrope) if aligned else text  # after a first cross-attention

        def block(after_first: bool, with_cross: bool) -> Block:
            gate = make_gate(text_gate(config.gate, has_pitch=with_cross and aligned), width)
            attention = later if after_first else text
            return Block(attention, config.feedforward, config.dropout, cross if with_cross else None, gate)

        self.embedding = nn.Parameter(torch.randn(vocabulary_size - 1, width) * width**-0.5)
        if config.end_in_loss:
            self.end_vector = nn.Parameter(torch.randn(1, width) * width**-0.5)
            self.end_bias = nn.Parameter(torch.zeros(1))
        self.blocks = nn.ModuleList(block(False, with_cross=False) for _ in range(config.decoder_layers))
        stacks = {
            name: nn.ModuleList(block(at + layer > 0, with_cross=True) for layer in range(config.cross_layers))
            for at, name in enumerate(self.stack_names(config))
        }
        self.stacks = nn.ModuleDict(stacks)
        self.norm = nn.LayerNorm(width)

    @staticmethod
    def stack_names(config: ModelConfig) -> tuple[str, ...]:
        """Names of the stacks of blocks with cross-attention, in the order in which they run: one a feature."""
        return config.features

    def stack_of(self, feature: str) -> str:
        """The name of the stack that attends to a feature."""
        return feature

    def stack(self, name: str) -> list[Block]:
        """The blocks of a stack."""
        return list(cast(Iterable[Block], self.stacks[name]))

    def sources(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        """The encoder states `(B, F, D)` that each stack attends to, by the name of the stack."""
        return {name: states[name] for name in self.config.features if name in states}

    def state(self, encoded: Encoded, cached: bool = True) -> DecoderState:
        """A fresh state for a batch of encoded recordings; with `cached` false nothing is kept between calls."""
        sources, memories = self.sources(encoded.states), {}
        last = self.stack([*sources][-1])[-1]
        for name, states in sources.items():
            track = encoded.track
            copies = states.shape[1] // track.null.shape[1]  # features whose frames stand one after another
            null, padding = (x.repeat(1, copies) if copies > 1 else x for x in (track.null, track.padding))
            memories[name] = [
                block.key_values(states, null, padding, make_readers(self.config, track, copies, block is last))
                for block in self.stack(name)
            ]
        blocks = len(self.blocks) + len(memories) * self.config.cross_layers
        return DecoderState(memories, [KeyValueCache() for _ in range(blocks)] if cached else [])

    def embed(self, tokens: Tensor) -> Tensor:
        """`(B, L)` to `(B, L, D)`; token 0 is exactly zero."""
        vectors = embedding((tokens - 1).clamp(min=0), self.embedding) * self.config.width**0.5
        return vectors.masked_fill((tokens == 0)[..., None], 0.0)

    def _vectors(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """As `DecoderState.vectors`: at a single position most of the time is the calls', of which these save some."""
        table = pad(self.embedding * self.config.width**0.5, (0, 0, 1, 0))
        if not self.config.end_in_loss:
            return table, self.embedding, None
        return table, torch.cat((self.end_vector, self.embedding)), pad(self.end_bias, (0, len(self.embedding)))

    def forward(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Logits `(B, L, V)` of the token after each of `tokens` `(B, L)`; the state's caches hold those before.

        Without `end_in_loss` the logit of token 0 is -inf."""
        if state.caches and state.vectors is None and not torch.is_grad_enabled():
            state.vectors = self._vectors()
        x = self.embed(tokens) if state.vectors is None else embedding(tokens, state.vectors[0])
        track = PitchTrack.tokens(tokens == 0)
        if self.config.positions != "rotary":
            x = x + self._sinusoids(x, state)
        caches: Caches = iter(state.caches) if state.caches else repeat(None)
        for block in self.blocks:
            x = block(x, track, cache=next(caches))
        for name, memories in state.memories.items():
            x, track = self.run_stack(name, x, track, memories, caches)
        x = self.norm(x)
        if state.vectors is not None and self.config.end_in_loss:
            return linear(x, *state.vectors[1:])
        scores = linear(x, self.embedding)
        if not self.config.end_in_loss:
            return pad(scores, (1, 0), value=-torch.inf)
        return torch.cat((linear(x, self.end_vector, self.end_bias), scores), dim=-1)

    def run_stack(
        self, name: str, x: Tensor, track: PitchTrack, memories: list[EncoderKeyValues], caches: Caches
    ) -> tuple[Tensor, PitchTrack]:
        """`x` `(B, L, D)` after a stack of blocks, and the track of the text positions."""
        for block, memory in zip(self.stack(name), memories, strict=True):
            x = block(x, track, memory, next(caches))
            track = memory.text_track(track)
        return x, track

    def _sinusoids(self, x: Tensor, state: DecoderState) -> Tensor:
        start = state.caches[0].length if state.caches else 0
        return sinusoids(start + x.shape[1], x.shape[2], x.device)[start:]
