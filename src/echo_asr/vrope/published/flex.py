"""Flex attention, for a bias that does not fold: a fused kernel that adds a term to each score and makes no matrix."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..folding import MASKED

Term = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""What is added to a score, of the indices of batch, head, query and key."""


def flex(
    query: Tensor, key: Tensor, value: Tensor, scale: float, term: Term | None, key_bias: Tensor | None,
    masked: Tensor | None,
) -> Tensor:  # fmt: skip
    """Attention; arguments as those of `attend`."""
    column = torch.zeros(key.shape[:3], device=key.device) if key_bias is None else key_bias
    if masked is not None:
        column = column.masked_fill(masked[:, None], MASKED)

    def modified(score: Tensor, batch: Tensor, head: Tensor, row: Tensor, at: Tensor) -> Tensor:
        score = score + column[batch, head, at]
        return score if term is None else score + term(batch, head, row, at)

    from torch.nn.attention.flex_attention import flex_attention  # slow to import, and seldom wanted

    width = value.shape[-1]
    short = width - query.shape[-1]  # fused kernels want one head width
    if short:
        query, key = pad(query, (0, short)), pad(key, (0, short))
    run: Callable[..., Tensor] = _compiled_flex() if query.is_cuda else flex_attention  # type: ignore[assignment]
    out: Tensor = run(query, key, value, score_mod=modified, scale=scale)
    return out


@cache
def _compiled_flex() -> Callable[..., Tensor]:
    """Flex attention as a fused kernel; uncompiled it would make the matrix that it is there to avoid."""
    from torch.nn.attention.flex_attention import flex_attention

    compiled: Callable[..., Tensor] = torch.compile(flex_attention, dynamic=True)
    return compiled
