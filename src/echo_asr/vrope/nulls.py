"""Zero-value processing: what silence, padding and the zero token weigh as keys.

Source: the Echo founders' description, whose near-zero factor multiplied the *score* (`score`); `weight` multiplies
the attention *weight*, which is what the description intends.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GAMMA_RANGE = (1e-6, 1e-3)  # bounds of the learnable near-zero factor


class NullKeys(nn.Module):
    """The learnable factor `gamma_h` in [1e-6, 1e-3] of null keys: `log gamma_h = ln 1e-6 + ln 1e3 sigmoid(w_h)`.

    Args:
        mode: `weight` adds `log gamma_h` to a null's score, so that its attention weight is multiplied by gamma;
            `score` multiplies its content score by gamma before any bias; `hard` masks it; `none` leaves it.
        heads: H.
    """

    def __init__(self, mode: str, heads: int) -> None:
        super().__init__()
        self.mode = mode
        if mode in ("weight", "score"):
            self.raw_gamma = nn.Parameter(torch.zeros(heads))

    @property
    def log_gamma(self) -> Tensor:
        """`(H,)`, natural logarithm."""
        low, high = (math.log(x) for x in GAMMA_RANGE)
        return low + (high - low) * torch.sigmoid(self.raw_gamma)

    def key_bias(self, null: Tensor) -> Tensor | None:
        """What is added to the score of each key, `(B, H, F)`, for null flags `(B, F)`; None if nothing is."""
        if self.mode != "weight":
            return None
        return null[:, None] * self.log_gamma[None, :, None]

    def masked(self, null: Tensor) -> Tensor | None:
        """Keys that no query sees because they are null, `(B, F)`; None unless the mode is `hard`."""
        return null if self.mode == "hard" else None

    def scale_keys(self, key: Tensor, null: Tensor) -> Tensor:
        """Keys `(B, H, F, K)` with the content of nulls scaled by gamma under mode `score`, else as they are."""
        if self.mode != "score":
            return key
        factor = torch.where(null[:, None], self.log_gamma.exp()[None, :, None], 1.0)
        return key * factor[..., None].to(key.dtype)
