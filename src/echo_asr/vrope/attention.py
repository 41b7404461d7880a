"""Multi-head self-attention with voice-modulated rotary position encoding, and its key-value cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .bias import PitchBias
from .config import VRoPEConfig
from .functional import attend, choose_backend
from .nulls import NullKeys
from .rotation import Rotation, rotate
from .track import PitchTrack


@dataclass
class KeyValueCache:
    """Keys and values of the positions that a causal layer has seen; empty at first.

    Attributes:
        key: `(B, H, L, C)`, rotated; value: `(B, H, L, K)`; null: `(B, L)`.
    """

    key: Tensor | None = None
    value: Tensor | None = None
    null: Tensor | None = None

    @property
    def length(self) -> int:
        """Positions held."""
        return 0 if self.key is None else self.key.shape[2]

    def append(self, key: Tensor, value: Tensor, null: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Add new positions; returns all keys, values and null flags."""
        if self.key is not None:
            assert self.value is not None and self.null is not None
            key, value = torch.cat((self.key, key), 2), torch.cat((self.value, value), 2)
            null = torch.cat((self.null, null), 1)
        self.key, self.value, self.null = key, value, null
        return key, value, null

    def select(self, rows: Tensor) -> None:
        """Keep the batch rows `rows`, in that order, repeats allowed."""
        if self.key is not None:
            assert self.value is not None and self.null is not None
            self.key, self.value, self.null = self.key[rows], self.value[rows], self.null[rows]


class VRoPEAttention(nn.Module):
    """Self-attention whose positions carry the voice: `(B, F, D)` to `(B, F, D)`.

    Query and key are projected to the content width of a head, rotated by `Rotation`, and attended with the folded
    `PitchBias` and `NullKeys`. Padding is never seen. With theta `static`, the inverse-power set and all else off it
    is a plain RoPE attention.

    Args:
        config: modes and dimensions.
    """

    def __init__(self, config: VRoPEConfig) -> None:
        super().__init__()
        self.config = config
        content = config.heads * config.content_width
        self.query = nn.Linear(config.width, content, bias=False)
        self.key = nn.Linear(config.width, content, bias=False)
        self.value = nn.Linear(config.width, config.width, bias=False)
        self.output = nn.Linear(config.width, config.width)
        self.rotation = Rotation(config, config.content_width // 2)
        self.bias = PitchBias(config, config.heads) if config.bias != "none" else None
        self.nulls = NullKeys(config.nulls, config.heads)
        self.backend, self.backend_reason = choose_backend(config.backend, config.bias == "laplace")

    def forward(self, x: Tensor, track: PitchTrack, cache: KeyValueCache | None = None) -> Tensor:
        """Attend.

        Args:
            x: `(B, F, D)`.
            track: of the same frames; with a cache, of the new positions only.
            cache: positions before `x`; it is extended. Causal layers only.

        Raises:
            ValueError: a cache for a layer that is not causal.
        """
        config = self.config
        if cache is not None and not config.causal:
            raise ValueError("a cache needs a causal layer")
        query, key, value = (
            project(x).unflatten(2, (config.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        turn = self.rotation(track, 0 if cache is None else cache.length)
        if turn is not None:
            query, key = rotate(query, *turn), rotate(key, *turn)
        null = track.null
        if cache is not None:
            key, value, null = cache.append(key, value, null)
        factors = matrix = None
        if self.bias is not None and (self.backend == "reference" or config.bias == "laplace"):
            matrix = self.bias.matrix(track)
        elif self.bias is not None:
            factors = self.bias.factors(track)
        masked = None if config.causal else track.padding
        hard = self.nulls.masked(null)
        if hard is not None:
            masked = hard if masked is None else masked | hard
        out = attend(
            query,
            self.nulls.scale_keys(key, null),
            value,
            scale=config.content_width**-0.5,
            factors=factors,
            matrix=matrix,
            key_bias=self.nulls.key_bias(null),
            masked=masked,
            causal=config.causal,
            backend=self.backend,
        )
        return self.output(out.transpose(1, 2).flatten(2))
