"""Softmax attention with added terms: one function, several backends that agree.

`scores = scale * q k^T + query_factors key_factors^T + matrix + key_bias`, then the mask, softmax and the mean of the
values. A query all of whose keys are masked gets zero, with zero gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .folding import FoldedKeys, causal_mask
from .published.flex import Term, flex


def split_heads(x: Tensor, heads: int) -> Tensor:
    """`(B, F, H K)` to `(B, H, F, K)`."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """`(B, H, F, K)` to `(B, F, H K)`."""
    return x.transpose(1, 2).flatten(2)


def attend(
    query: Tensor, key: Tensor, value: Tensor, *, scale: float, factors: tuple[Tensor, Tensor] | None = None,
    matrix: Tensor | None = None, term: Term | None = None, key_bias: Tensor | None = None,
    masked: Tensor | None = None, causal: bool = False, backend: str = "sdpa",
) -> Tensor:  # fmt: skip
    """Attention of `(B, H, Fq, C)` queries over `(B, H, Fk, C)` keys and `(B, H, Fk, K)` values: `(B, H, Fq, K)`.

    Args:
        scale: of the content scores.
        factors: query and key factors `(B, H, Fq, R)`, `(B, H, Fk, R)`, whose product is added to the scores.
        matrix: `(B, H, Fq, Fk)`, added to the scores.
        term: of batch, head, query and key index, added to a score; backend `flex` alone takes it, and it no other.
        key_bias: `(B, H, Fk)`, added to every score of a key.
        masked: `(B, Fk)`, true where no query attends to the key.
        causal: query `i` attends to no key after `i`; queries are the last `Fq` of `Fk` positions.
        backend: `reference` (plain tensor algebra), `sdpa` (all folded into `scaled_dot_product_attention`) or `flex`.

    Raises:
        ValueError: an unknown backend.
    """
    if backend == "reference":
        out = attention_weights(query, key, scale, factors, matrix, key_bias, masked, causal) @ value
    elif backend == "flex" and not causal:
        out = flex(query, key, value, scale, term, key_bias, masked)
    elif backend in ("sdpa", "flex"):  # nothing causal has a bias that does not fold
        own, others = (None, None) if factors is None else factors
        out = FoldedKeys.fold(key, value, scale, others, key_bias, masked).attend(query, own, matrix, causal)
    else:
        raise ValueError(f"backend must be reference, sdpa or flex, got {backend!r}")
    rows = visible_rows(masked, causal, query.shape[2])
    return out if rows is None else out.masked_fill(~rows, 0.0)


def attention_weights(
    query: Tensor, key: Tensor, scale: float, factors: tuple[Tensor, Tensor] | None = None,
    matrix: Tensor | None = None, key_bias: Tensor | None = None, masked: Tensor | None = None,
    causal: bool = False, dtype: torch.dtype | None = None,
) -> Tensor:  # fmt: skip
    """The weights `(B, H, Fq, Fk)` of attention, as a matrix; a query all of whose keys are masked has zeros.

    Args:
        dtype: of the scores; that of the query unless given. The other arguments are as those of `attend`.
    """
    scores = (query @ key.transpose(-1, -2)).to(dtype=dtype) * scale
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
    return scores.masked_fill(hidden, lowest).softmax(-1).masked_fill(hidden, 0.0)


def visible_rows(masked: Tensor | None, causal: bool, queries: int) -> Tensor | None:
    """Which queries attend to any key, `(B, 1, Fq or 1, 1)`, for masked keys `(B, Fk)`; None if all do."""
    if masked is None:
        return None
    if not causal:
        return ~masked.all(1)[:, None, None, None]
    seen = (~masked).cumsum(1)[:, -queries:] > 0
    return seen[:, None, :, None]


def choose_backend(requested: str, needs_matrix: bool, device: torch.device) -> tuple[str, str]:
    """The backend to use on a device and the reason, for a requested one (`auto` chooses)."""
    if requested == "flex" and device.type != "cuda":
        other = "reference" if needs_matrix else "sdpa"
        return other, f"flex attention learns on CUDA alone, and this is {device.type}"
    if requested != "auto":
        return requested, "requested by the configuration"
    if needs_matrix and device.type == "cuda":
        return "flex", "bias laplace has no exact factors, and flex attention makes no matrix of the scores"
    if needs_matrix:
        return "reference", "bias laplace has no exact factors, so the scores are a matrix"
    return "sdpa", "every term folds into scaled_dot_product_attention"
