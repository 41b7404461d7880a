"""Multi-head self-attention with voice-modulated rotary position encoding, and its key-value cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .bias import PitchBias
from .config import VRoPEConfig
from .functional import attend, choose_backend
from .nulls import NullKeys
from .rotation import Rotation, rotate, rotate_first
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


class VoiceModulation(nn.Module):
    """All of vRoPE but the projections: rotation, pitch bias and null keys on queries and keys that come from anywhere.

    With theta `static`, the inverse-power set and all else off it is plain RoPE attention.

    Args:
        config: modes and dimensions; queries and keys have its `content_width`, since what is folded into the heads
            takes its room there.

    """

    def __init__(self, config: VRoPEConfig) -> None:
        super().__init__()
        self.config = config
        self.rotation = Rotation(config, config.content_width // 2)
        self.bias = PitchBias(config, config.heads) if config.bias != "none" else None
        self.nulls = NullKeys(config.nulls, config.heads)

    def choose_backend(self, device: torch.device) -> tuple[str, str]:
        """How attention is computed on a device, and why so."""
        return choose_backend(self.config.backend, self.config.bias == "laplace", device)

    def modulate(
        self, query: Tensor, key: Tensor, value: Tensor, track: PitchTrack, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Attention of heads that the voice modulates.

        Args:
            query, key: `(B, H, F, C)`, C the content width.
            value: `(B, H, F, K)`.
            track: of the same frames; with a cache, of the new positions only. Its padding is never seen.
            cache: positions before; it is extended. Causal layers only.

        Returns:
            `(B, H, F, K)`.

        Raises:
            ValueError: a cache for a layer that is not causal.
        """
        config = self.config
        if cache is not None and not config.causal:
            raise ValueError("a cache needs a causal layer")
        dtype = torch.promote_types(query.dtype, torch.float32)  # narrower phases would not tell neighbours apart
        turn = self.rotation(track, 0 if cache is None else cache.length, dtype)
        if turn is not None:
            query, key = rotate(query, *turn), rotate(key, *turn)
        turned = self.rotation.value_turn(track, dtype)
        if turned is not None:
            value = rotate_first(value, *turned)
        null = track.null
        if cache is not None:
            key, value, null = cache.append(key, value, null)
        backend, _ = self.choose_backend(query.device)
        factors = matrix = term = None
        if self.bias is not None:
            if backend == "flex":
                term = self.bias.term(track)
            elif backend == "reference":
                matrix = self.bias.matrix(track)
            else:
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
            term=term,
            key_bias=self.nulls.key_bias(null),
            masked=masked,
            causal=config.causal,
            backend=backend,
        )
        return out if turned is None else rotate_first(out, turned[0], -turned[1])


class VRoPEAttention(VoiceModulation):
    """Self-attention whose positions carry the voice: `(B, F, D)` to `(B, F, D)`.

    Query and key are projected to the content width of a head; `VoiceModulation` does the rest.

    Args:
        config: modes and dimensions.
    """

    def __init__(self, config: VRoPEConfig) -> None:
        super().__init__(config)
        content = config.heads * config.content_width
        self.query = nn.Linear(config.width, content, bias=False)
        self.key = nn.Linear(config.width, content, bias=False)
        self.value = nn.Linear(config.width, config.width, bias=False)
        self.output = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, track: PitchTrack, cache: KeyValueCache | None = None) -> Tensor:
        """Attend.

        Args:
            x: `(B, F, D)`.
            track: of the same frames; with a cache, of the new positions only.
            cache: positions before `x`; it is extended. Causal layers only.

        Raises:
            ValueError: a cache for a layer that is not causal.
        """
        query, key, value = (
            project(x).unflatten(2, (self.config.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        return self.output(self.modulate(query, key, value, track, cache).transpose(1, 2).flatten(2))
