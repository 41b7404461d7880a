"""The text decoder: it listens to one feature after another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, pad

from echo_asr.model.config import ModelConfig
from echo_asr.model.encoder import Encoded
from echo_asr.model.layers import Block, EncoderKeyValues, sinusoids
from echo_asr.vrope import KeyValueCache, PitchTrack, VRoPEModes

JOINT = "joint"  # name of the one stack that attends to all features


@dataclass
class DecoderState:
    """Everything that decoding carries from token to token.

    Attributes:
        memories: for each feature (or all, as `joint`) and block, the encoder's keys and values.
        caches: a key-value cache a block, in the order in which the blocks run.
        silence: `(B, L)` of the last call's positions, the share of attention that the last silence draws in the last
            block; None for a model that does not stop by silence.
    """

    memories: dict[str, list[EncoderKeyValues]]
    caches: list[KeyValueCache] = field(default_factory=list)
    silence: Tensor | None = None

    def select(self, rows: Tensor, memory: bool = True) -> None:
        """Keep the batch rows `rows`, repeats allowed; with `memory` false the recordings stay as they are, as when a
        beam is reordered within its recording."""
        for cache in self.caches:
            cache.select(rows)
        if memory:
            self.memories = {name: [m.select(rows) for m in stack] for name, stack in self.memories.items()}


def final_silence(track: PitchTrack) -> Tensor:
    """`(B, F)`, true for the null frames of each recording after which no other frame follows."""
    heard_from_here = (~track.null).flip(1).cumsum(1).flip(1) > 0
    return ~heard_from_here & ~track.padding


class Decoder(nn.Module):
    """Token embedding, causal self-attention, then blocks with cross-attention to the features.

    `sequential`: a stack of blocks for each feature in turn, each building on the last. `blend`: the same, each stack's
    output mixed with its input by a learned weight, `x + sigmoid(w) (stack(x) - x)`. `joint`: one stack, which attends
    to all features at once; a learned vector tells frames of one feature from those of another.

    With `text_pitch` aligned, cross-attention reads the pitch track beside its values, with the same weights, and what
    a position read sets its radius (and opens its gate) in all that follows. Before the first cross-attention a
    position knows of no pitch.

    Token 0 is embedded as exactly zero. The output is tied to the embedding, but for index 0, which has a learned
    vector and bias of its own where it is learnt at all: a tied zero row could never be scored.

    Args:
        config: the model's.
        vocabulary_size: V, zero included.
    """

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        modes = VRoPEModes(
            theta="none" if config.positions == "sinusoidal" else "static",
            frequencies="inverse_power",
            clock="encoder",
            nulls=config.text_nulls,
            backend=config.vrope.backend,
        )
        aligned = config.text_pitch == "aligned"
        plain = modes.attention(config.width, config.heads, causal=True)
        text = replace(plain, radius=config.vrope.radius, radius_range=config.vrope.radius_range) if aligned else plain
        # A pitch gate needs pitch: where a position has none, its own features open the gate.
        deaf_gate = "token" if config.gate == "pitch" else config.gate
        text_gate = config.gate if aligned else deaf_gate
        cross = VRoPEModes(theta="none", nulls=config.cross_nulls, backend=config.vrope.backend)
        heard = cross.attention(config.width, config.heads)
        self.embedding = nn.Parameter(torch.randn(vocabulary_size - 1, config.width) * config.width**-0.5)
        if config.end_in_loss:
            self.end_vector = nn.Parameter(torch.randn(1, config.width) * config.width**-0.5)
            self.end_bias = nn.Parameter(torch.zeros(1))
        self.blocks = nn.ModuleList(
            Block(plain, config.feedforward, config.dropout, gate=deaf_gate) for _ in range(config.decoder_layers)
        )
        names = (JOINT,) if config.combine == "joint" else config.features
        self.stacks = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    # The first block's self-attention comes before anything was read.
                    Block(plain if at == layer == 0 else text, config.feedforward, config.dropout, heard, text_gate)
                    for layer in range(config.cross_layers)
                )
                for at, name in enumerate(names)
            }
        )
        if config.combine == "blend":
            self.blends = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in names})
        if config.combine == "joint" and len(config.features) > 1:
            scale = config.width**-0.5
            self.kinds = nn.ParameterDict(
                {name: nn.Parameter(torch.randn(config.width) * scale) for name in config.features}
            )
        self.norm = nn.LayerNorm(config.width)

    def state(self, encoded: Encoded, cached: bool = True) -> DecoderState:
        """A fresh state for a batch of encoded recordings; with `cached` false nothing is kept between calls."""
        track = encoded.track
        heard: list[str] = [name for name in self.config.features if name in encoded.states]
        pitch = track.channels(self.config.vrope.reference) if self.config.text_pitch == "aligned" else None
        states, null, padding = encoded.states, track.null, track.padding
        ending = None if self.config.stop == "token" else final_silence(track)
        if self.config.combine == "joint":
            count, several = len(heard), len(self.config.features) > 1
            parts = [states[name] + self.kinds[name] if several else states[name] for name in heard]
            states, heard = {JOINT: torch.cat(parts, 1)}, [JOINT]
            null, padding = null.repeat(1, count), padding.repeat(1, count)
            pitch = None if pitch is None else pitch.repeat(1, count, 1)
            ending = None if ending is None else ending.repeat(1, count)
        last = self._stack(heard[-1])[-1]
        memories: dict[str, list[EncoderKeyValues]] = {
            name: [
                block.memory(states[name], null, padding, pitch, ending if block is last else None)
                for block in self._stack(name)
            ]
            for name in heard
        }
        blocks = len(self.blocks) + len(memories) * self.config.cross_layers
        return DecoderState(memories, [KeyValueCache() for _ in range(blocks)] if cached else [])

    def embed(self, tokens: Tensor) -> Tensor:
        """`(B, L)` to `(B, L, D)`; token 0 is exactly zero."""
        vectors = embedding((tokens - 1).clamp(min=0), self.embedding) * self.config.width**0.5
        return vectors.masked_fill((tokens == 0)[..., None], 0.0)

    def forward(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Logits `(B, L, V)` of the token after each of `tokens` `(B, L)`; the state's caches hold those before.

        Without `end_in_loss` the logit of token 0 is -inf."""
        x = self.embed(tokens)
        track = PitchTrack.tokens(tokens == 0)
        if self.config.positions != "rotary":
            x = x + self._sinusoids(x, state)
        caches = iter(state.caches) if state.caches else None
        for block in self.blocks:
            x, _, _ = block(x, track, cache=next(caches) if caches else None)
        for name, memories in state.memories.items():
            before = x
            for block, memory in zip(self._stack(name), memories, strict=True):
                x, track, state.silence = block(x, track, memory, next(caches) if caches else None)
            if self.config.combine == "blend":
                x = before + torch.sigmoid(self.blends[name]) * (x - before)
        x = self.norm(x)
        scores = linear(x, self.embedding)
        if not self.config.end_in_loss:
            return pad(scores, (1, 0), value=-torch.inf)
        return torch.cat((linear(x, self.end_vector, self.end_bias), scores), dim=-1)

    def _stack(self, name: str) -> list[Block]:
        return list(cast(Iterable[Block], self.stacks[name]))

    def _sinusoids(self, x: Tensor, state: DecoderState) -> Tensor:
        start = state.caches[0].length if state.caches else 0
        return sinusoids(start + x.shape[1], x.shape[2], x.device)[start:]
