"""The key-value cache of a causal attention layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class KeyValueCache:
    """Keys and values of the positions that a causal layer has processed; empty at first.

    Attributes:
        key: `(B, H, L, C)`, rotated; value: `(B, H, L, K)`; null: `(B, L)`.

    Example:
        >>> import torch
        >>> from echo_asr.vrope import KeyValueCache, PitchTrack, VRoPEAttention, VRoPEModes
        >>> layer = VRoPEAttention(VRoPEModes(theta="static").attention(width=16, heads=2, causal=True))
        >>> x, track, cache = torch.randn(1, 5, 16), PitchTrack.tokens(torch.zeros(1, 5).bool()), KeyValueCache()
        >>> one = PitchTrack.tokens(torch.zeros(1, 1).bool())
        >>> piecewise = torch.cat([layer(x[:, i : i + 1], one, cache) for i in range(5)], dim=1)
        >>> torch.allclose(piecewise, layer(x, track), atol=1e-6), cache.length
        (True, 5)
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
