"""Softmax attention with folded bias terms: one function, several backends that agree.

`scores = scale * q k^T + query_factors key_factors^T + matrix + key_bias`, then the mask, softmax and the mean of the
values. A query all of whose keys are masked gets zero, with zero gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

Term = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
MASKED = -1e4
"""Score of a masked key in the folded form: its weight underflows to exactly zero beside any visible key."""


def choose_backend(requested: str, needs_matrix: bool, device: torch.device) -> tuple[str, str]:
    """The backend to use on a device and the reason, for a requested one (`auto` chooses)."""
    if requested == "flex" and device.type != "cuda":
        other = "reference" if needs_matrix else "sdpa"
        return other, f"flex attention learns on CUDA alone, and this is {device.type}"
    if requested != "auto":
        return requested, "asked for by the configuration"
    if needs_matrix and device.type == "cuda":
        return "flex", "bias laplace has no exact factors, and flex attention makes no matrix of the scores"
    if needs_matrix:
        return "reference", "bias laplace has no exact factors, so the scores are a matrix"
    return "sdpa", "every term folds into scaled_dot_product_attention"


def visible_rows(masked: Tensor | None, causal: bool, queries: int) -> Tensor | None:
    """Which queries see any key, `(B, 1, Fq or 1, 1)`, for masked keys `(B, Fk)`; None if all do."""
    if masked is None:
        return None
    if not causal:
        return ~masked.all(1)[:, None, None, None]
    seen = (~masked).cumsum(1)[:, -queries:] > 0
    return seen[:, None, :, None]


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float,
    factors: tuple[Tensor, Tensor] | None = None,
    matrix: Tensor | None = None,
    term: Term | None = None,
    key_bias: Tensor | None = None,
    masked: Tensor | None = None,
    causal: bool = False,
    backend: str = "sdpa",
) -> Tensor:
    """Attention of `(B, H, Fq, C)` queries over `(B, H, Fk, C)` keys and `(B, H, Fk, K)` values: `(B, H, Fq, K)`.

    Args:
        scale: of the content scores.
        factors: query and key factors `(B, H, Fq, R)`, `(B, H, Fk, R)`, whose product is added to the scores.
        matrix: `(B, H, Fq, Fk)`, added to the scores.
        term: of batch, head, query and key index, added to a score; backend `flex` alone takes it, and it no other.
        key_bias: `(B, H, Fk)`, added to every score of a key.
        masked: `(B, Fk)`, true where no query sees the key.
        causal: query `i` sees no key after `i`; queries are the last `Fq` of `Fk` positions.
        backend: `reference`, `sdpa` or `flex`.

    Raises:
        ValueError: an unknown backend.
    """
    if backend == "reference":
        out = _reference(query, key, value, scale, factors, matrix, key_bias, masked, causal)
    elif backend == "flex" and not causal:
        out = _flex(query, key, value, scale, term, key_bias, masked)
    elif backend in ("sdpa", "flex"):  # nothing causal has a bias that does not fold
        own, others = (None, None) if factors is None else factors
        out = FoldedKeys.fold(key, value, scale, others, key_bias, masked).attend(query, own, matrix, causal)
    else:
        raise ValueError(f"backend must be reference, sdpa or flex, got {backend!r}")
    rows = visible_rows(masked, causal, query.shape[2])
    return out if rows is None else out.masked_fill(~rows, 0.0)


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """True where a key is hidden from a query because it comes later: `(Fq, Fk)`."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).triu(keys - queries + 1)


def _reference(
    query: Tensor, key: Tensor, value: Tensor, scale: float, factors: tuple[Tensor, Tensor] | None,
    matrix: Tensor | None, key_bias: Tensor | None, masked: Tensor | None, causal: bool,
) -> Tensor:  # fmt: skip
    scores = query @ key.transpose(-1, -2) * scale
    if factors is not None:
        scores = scores + (factors[0] @ factors[1].transpose(-1, -2)).to(scores.dtype)
    if matrix is not None:
        scores = scores + matrix.to(scores.dtype)
    if key_bias is not None:
        scores = scores + key_bias[:, :, None].to(scores.dtype)
    hidden = torch.zeros((), dtype=torch.bool, device=query.device)
    if masked is not None:
        hidden = hidden | masked[:, None, None]
    if causal:
        hidden = hidden | causal_mask(query.shape[2], key.shape[2], query.device)
    lowest = torch.finfo(scores.dtype).min
    weights = scores.masked_fill(hidden, lowest).softmax(-1).masked_fill(hidden, 0.0)
    return weights @ value


def _flex(
    query: Tensor, key: Tensor, value: Tensor, scale: float, term: Term | None, key_bias: Tensor | None,
    masked: Tensor | None,
) -> Tensor:  # fmt: skip
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
        key: Tensor,
        value: Tensor,
        scale: float,
        factors: Tensor | None = None,
        key_bias: Tensor | None = None,
        masked: Tensor | None = None,
    ) -> FoldedKeys:
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
        """Arguments as those of `attend`; `factors` are the queries'. A query that sees no key gets some mean of
        the values."""
        queries, dtype = [query], query.dtype
        if factors is not None:
            queries.append((factors / self.scale).to(dtype))
        if self.constant:
            queries.append(torch.ones_like(query[..., :1]))
        rest = self.key.shape[-1] - self.content - self.factors - self.constant
        if rest:
            queries.append(query.new_zeros(()).expand(*query.shape[:3], rest))
        mask = self.mask
        if matrix is not None:
            mask = matrix.to(dtype) if mask is None else mask + matrix.to(dtype)
        count, total = query.shape[2], self.key.shape[2]
        causal = causal and count > 1
        if causal and (mask is not None or count != total):
            later = causal_mask(count, total, query.device)
            mask = (query.new_zeros(()) if mask is None else mask).masked_fill(later, MASKED)
            causal = False
        whole = torch.cat(queries, -1) if len(queries) > 1 else query
        out = scaled_dot_product_attention(
            whole, self.key, self.value, attn_mask=mask, is_causal=causal, scale=self.scale
        )
        return out[..., : self.values]
