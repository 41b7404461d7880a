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
    """Mode `none`: a null is an ordinary key. Base of the other modes.

    Args:
        heads: H.
    """

    mode = "none"
    reads = False  # whether the flags make a difference

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def key_bias(self, null: Tensor) -> Tensor | None:
        """What is added to the score of each key, `(B, H, F)`, for null flags `(B, F)`; None if nothing is."""
        return None

    def masked(self, null: Tensor) -> Tensor | None:
        """Keys that no query attends to because they are null, `(B, F)`; None if there are none."""
        return None

    def scale_keys(self, key: Tensor, null: Tensor) -> Tensor:
        """Keys `(B, H, F, K)`, those of nulls scaled."""
        return key


class HardNulls(NullKeys):
    """Mode `hard`: nulls are masked."""

    mode = "hard"
    reads = True

    def masked(self, null: Tensor) -> Tensor | None:
        """`null` itself."""
        return null


class SoftNulls(NullKeys):
    """The learnable factor `gamma_h` in [1e-6, 1e-3] of null keys: `log gamma_h = ln 1e-6 + ln 1e3 sigmoid(w_h)`."""

    reads = True

    def __init__(self, heads: int) -> None:
        super().__init__(heads)
        self.raw_gamma = nn.Parameter(torch.zeros(heads))

    @property
    def log_gamma(self) -> Tensor:
        """`(H,)`, natural logarithm."""
        low, high = (math.log(x) for x in GAMMA_RANGE)
        return low + (high - low) * torch.sigmoid(self.raw_gamma)


class WeightNulls(SoftNulls):
    """Mode `weight`: `log gamma_h` is added to a null's score, so that its attention weight is multiplied by gamma."""

    mode = "weight"

    def key_bias(self, null: Tensor) -> Tensor | None:
        """`log gamma_h` at nulls, 0 elsewhere: `(B, H, F)`."""
        return null[:, None] * self.log_gamma[None, :, None]


class ScoreNulls(SoftNulls):
    """Mode `score`: a null's content score is multiplied by gamma, before any bias; it keeps a neutral `exp(0)`."""

    mode = "score"

    def scale_keys(self, key: Tensor, null: Tensor) -> Tensor:
        """Keys `(B, H, F, K)` with the content of nulls scaled by gamma."""
        factor = torch.where(null[:, None], self.log_gamma.exp()[None, :, None], 1.0)
        return key * factor[..., None].to(key.dtype)
