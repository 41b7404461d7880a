"""The key-value cache of a causal attention layer."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class KeyValueCache:
    """Keys and values of the positions that a causal layer has processed; empty at first.

    Attributes:
        held: `(B, H, L, C + K)`, a rotated key and a value of each position.
        width: C.
        null: `(B, L)`; None where the layer does not ask for it.
        joined: weights of linear maps of one input, as one matrix, each time in the same order; see `project`.

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

    held: Tensor | None = None
    width: int = 0
    null: Tensor | None = None
    joined: dict[str, Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Positions held."""
        return 0 if self.held is None else self.held.shape[2]

    def append(self, key: Tensor, value: Tensor, null: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Add new positions; returns all keys, values and null flags."""
        new = torch.cat((key, value), 3)
        self.held = new if self.held is None else torch.cat((self.held, new), 2)
        if null is not None:
            self.null = null if self.null is None else torch.cat((self.null, null), 1)
        self.width = key.shape[3]
        return self.held[..., : self.width], self.held[..., self.width :], self.null

    def select(self, rows: Tensor) -> None:
        """Keep the batch rows `rows`, in that order, repeats allowed."""
        if self.held is not None:
            self.held = self.held.index_select(0, rows)
        if self.null is not None:
            self.null = self.null.index_select(0, rows)

    def forget(self, count: int) -> None:
        """Drop the last `count` positions."""
        kept = self.length - count
        if self.held is not None:
            self.held = self.held[:, :, :kept]
        if self.null is not None:
            self.null = self.null[:, :kept]

    def project(self, name: str, x: Tensor, maps: tuple[nn.Linear, ...]) -> Tensor:
        """What several linear maps without bias make of one input, side by side: `(B, L, sum of widths)`.

        At a single position most of the time is the calls': one product of the joined weights, which are kept under a
        name for as long as the cache is, takes the place of several.
        """
        if name not in self.joined:
            self.joined[name] = torch.cat([one.weight for one in maps])
        return nn.functional.linear(x, self.joined[name])
