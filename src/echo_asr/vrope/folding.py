"""Attention terms folded into the keys: what fused kernels take.

All that is added to the scores of a key stands beside its content as further dimensions, which queries meet with 1, or
with factors of their own; no `F x F` matrix is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

MASKED = -1e4
"""Score of a masked key in the folded form: its weight underflows to exactly zero beside any visible key."""


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """True where a key is hidden from a query because it comes later: `(Fq, Fk)`."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).triu(keys - queries + 1)


@dataclass
class FoldedKeys:
    """Keys and values as fused attention takes them: all that is added to a key's scores stands beside its content.
    Folded once, they serve the queries of many calls.

    Attributes:
        key, value: `(B, H, Fk, W)`, both W wide, the rest zeros.
        mask: `(B, 1, 1, Fk)`, what is added to the scores of keys whose mask is not folded in; None for none.
        scale: of the content scores.
        content, factors, values: how many of the W dimensions are content, bias factors, and values.
        constant: whether a key has a constant term too, which queries meet with a 1.
    """

    key: Tensor
    value: Tensor
    mask: Tensor | None
    scale: float
    content: int
    factors: int
    values: int
    constant: bool

    @staticmethod
    def fold(
        key: Tensor, value: Tensor, scale: float, factors: Tensor | None = None, key_bias: Tensor | None = None,
        masked: Tensor | None = None,
    ) -> FoldedKeys:  # fmt: skip
        """Arguments as those of `attend`; `factors` are the keys'."""
        dtype, width, content = key.dtype, value.shape[-1], key.shape[-1]
        keys = [key]
        if factors is not None:
            keys.append(factors.to(dtype))
        constant = key_bias is not None or (masked is not None and (factors is not None or content < width))
        if constant:
            column = torch.zeros(key.shape[:3], device=key.device) if key_bias is None else key_bias
            if masked is not None:
                column = column.masked_fill(masked[:, None], MASKED)
            keys.append((column / scale)[..., None].expand(*key.shape[:3], 1).to(dtype))
            masked = None
        used = sum(x.shape[-1] for x in keys)
        full = max(used, width)
        full += -full % 8  # fused kernels want one head width, a multiple of 8
        if full > used:
            keys.append(key.new_zeros(()).expand(*key.shape[:3], full - used))
        mask: Tensor | None = None
        if masked is not None:
            mask = torch.zeros(masked.shape, dtype=dtype, device=key.device).masked_fill(masked, MASKED)[:, None, None]
        rank = 0 if factors is None else factors.shape[-1]
        whole = torch.cat(keys, -1) if len(keys) > 1 else key
        padded = pad(value, (0, full - width)) if full > width else value
        return FoldedKeys(whole, padded, mask, scale, content, rank, width, constant)

    def attend(
        self, query: Tensor, factors: Tensor | None = None, matrix: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Arguments as those of `attend`; `factors` are the queries'. A query all of whose keys are masked gets
        some mean of the values."""
        dtype = query.dtype
        if factors is not None:
            query = torch.cat((query, (factors / self.scale).to(dtype)), -1)
        if rest := self.key.shape[-1] - query.shape[-1]:  # the keys are 0 beyond the constant
            query = pad(query, (0, rest), value=float(self.constant))
        mask = self.mask
        if matrix is not None:
            mask = matrix.to(dtype) if mask is None else mask + matrix.to(dtype)
        count, total = query.shape[2], self.key.shape[2]
        causal = causal and count > 1
        if causal and (mask is not None or count != total):
            later = causal_mask(count, total, query.device)
            mask = (query.new_zeros(()) if mask is None else mask).masked_fill(later, MASKED)
            causal = False
        out = scaled_dot_product_attention(
            query, self.key, self.value, attn_mask=mask, is_causal=causal, scale=self.scale
        )
        return out[..., : self.values]
