"""Attention against loops; masks, rows that see nothing, and agreement of the backends."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from echo_asr.vrope import attend
from echo_asr.vrope.functional import causal_mask, choose_backend

BACKENDS = ("reference", "sdpa")
BATCH, HEADS, QUERIES, KEYS, CONTENT, WIDTH, RANK = 2, 2, 6, 6, 12, 16, 3
TERMS = [subset for n in range(5) for subset in itertools.combinations(("factors", "matrix", "key_bias", "masked"), n)]


def inputs(
    *terms: str, dtype: torch.dtype = torch.float64, queries: int = QUERIES, content: int = CONTENT
) -> dict[str, Any]:
    """Arguments of `attend` with the given extra terms; key 0 stays visible."""

    def random(*shape: int) -> Tensor:
        return torch.randn(BATCH, *shape, dtype=dtype)

    masked = torch.rand(BATCH, KEYS) < 0.4
    masked[:, 0] = False
    extra = {
        "factors": (random(HEADS, queries, RANK), random(HEADS, KEYS, RANK)),
        "matrix": random(HEADS, queries, KEYS),
        "key_bias": -5.0 * random(HEADS, KEYS).abs(),
        "masked": masked,
    }
    heads = {
        "query": random(HEADS, queries, content),
        "key": random(HEADS, KEYS, content),
        "value": random(HEADS, KEYS, WIDTH),
    }
    return {**heads, "scale": 0.3, **{term: extra[term] for term in terms}}


def by_hand(
    query: Tensor, key: Tensor, value: Tensor, scale: float, factors: tuple[Tensor, Tensor] | None = None,
    matrix: Tensor | None = None, key_bias: Tensor | None = None, masked: Tensor | None = None, causal: bool = False,
) -> Tensor:  # fmt: skip
    """Softmax attention, score by score; a row that sees nothing is zero."""
    out = torch.zeros(*query.shape[:3], value.shape[3], dtype=torch.float64)
    for b, h, i in itertools.product(*(range(n) for n in query.shape[:3])):
        scores = {}
        for j in range(key.shape[2]):
            later = causal and j > i + key.shape[2] - query.shape[2]
            if later or (masked is not None and masked[b, j]):
                continue
            score = scale * float(query[b, h, i] @ key[b, h, j])
            score += float(factors[0][b, h, i] @ factors[1][b, h, j]) if factors is not None else 0.0
            score += float(matrix[b, h, i, j]) if matrix is not None else 0.0
            score += float(key_bias[b, h, j]) if key_bias is not None else 0.0
            scores[j] = math.exp(score)
        for j, weight in scores.items():
            out[b, h, i] += weight / sum(scores.values()) * value[b, h, j]
    return out


def tensors(arguments: dict[str, Any]) -> list[Tensor]:
    """The arguments that take a gradient."""
    flat = [y for x in arguments.values() for y in (x if isinstance(x, tuple) else (x,))]
    return [x for x in flat if isinstance(x, Tensor) and x.is_floating_point()]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("content", [CONTENT, WIDTH])  # room for folded terms, and none
@pytest.mark.parametrize("terms", TERMS, ids="+".join)
def test_attention_is_its_definition(terms: tuple[str, ...], content: int, causal: bool, backend: str) -> None:
    arguments = inputs(*terms, content=content)
    found = attend(**arguments, causal=causal, backend=backend)
    assert found.shape == (BATCH, HEADS, QUERIES, WIDTH)
    torch.testing.assert_close(found, by_hand(**arguments, causal=causal), atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("queries", [1, 2, 5])
@pytest.mark.parametrize("terms", [(), ("key_bias",), ("masked",), ("key_bias", "masked")], ids="+".join)
def test_the_last_queries_attend_causally_to_all_positions(terms: tuple[str, ...], queries: int, backend: str) -> None:
    arguments = inputs(*terms, queries=queries)
    found = attend(**arguments, causal=True, backend=backend)
    torch.testing.assert_close(found, by_hand(**arguments, causal=True), atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("terms", TERMS, ids="+".join)
def test_gradients_are_those_of_finite_differences(terms: tuple[str, ...], causal: bool) -> None:
    arguments = inputs(*terms)
    leaves, probe = tensors(arguments), torch.randn(BATCH, HEADS, QUERIES, WIDTH, dtype=torch.float64)
    for leaf in leaves:
        leaf.requires_grad_()

    def loss(*_: Tensor) -> Tensor:
        return (attend(**arguments, causal=causal, backend="reference") * probe).sum()

    assert gradcheck(loss, leaves, fast_mode=True)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("content", [CONTENT, WIDTH])
@pytest.mark.parametrize("terms", TERMS, ids="+".join)
def test_backends_agree_forward_and_backward(terms: tuple[str, ...], content: int, causal: bool) -> None:
    arguments = inputs(*terms, content=content)
    leaves, probe = tensors(arguments), torch.randn(BATCH, HEADS, QUERIES, WIDTH, dtype=torch.float64)
    for leaf in leaves:
        leaf.requires_grad_()
    found = []
    for backend in BACKENDS:
        out = attend(**arguments, causal=causal, backend=backend)
        found.append((out, *torch.autograd.grad((out * probe).sum(), leaves)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("content", [CONTENT, WIDTH])
@pytest.mark.parametrize("terms", [(), ("factors",), ("matrix",), ("key_bias",)], ids="+".join)
def test_a_query_that_sees_no_key_gets_exactly_nothing(
    terms: tuple[str, ...], content: int, causal: bool, backend: str, dtype: torch.dtype
) -> None:
    arguments = inputs(*terms, "masked", dtype=dtype, content=content)
    arguments["scale"] = 0.125  # of heads 64 wide: the score of a masked key over it is beyond float16
    arguments["masked"][1] = True
    leaves = tensors(arguments)
    for leaf in leaves:
        leaf.requires_grad_()
    out = attend(**arguments, causal=causal, backend=backend)
    assert (out[1] == 0).all() and (out[0] != 0).all()
    out.square().sum().backward()
    for leaf in leaves:
        assert leaf.grad is not None and leaf.grad.isfinite().all()
        assert (leaf.grad[1] == 0).all()
    assert all(leaf.grad[0].abs().sum() > 0 for leaf in leaves if leaf.grad is not None)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("terms", [(), ("factors",), ("key_bias",), ("matrix",)], ids="+".join)
@pytest.mark.parametrize("queries", [6, 5, 4])
def test_a_causal_query_whose_past_is_masked_gets_nothing(terms: tuple[str, ...], backend: str, queries: int) -> None:
    arguments, blind = inputs(*terms, "masked", dtype=torch.float32, queries=queries), queries - 3
    arguments["masked"][:] = torch.tensor([1, 1, 1, 0, 1, 0]).bool()
    arguments["value"].requires_grad_()
    out = attend(**arguments, causal=True, backend=backend)
    assert (out[:, :, :blind] == 0).all() and (out[:, :, blind:] != 0).all()
    (gradient,) = torch.autograd.grad(out[:, :, :blind].sum(), arguments["value"])
    assert (gradient == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("terms", [("masked",), ("factors", "masked"), ("key_bias", "masked")], ids="+".join)
def test_what_a_masked_key_holds_is_never_seen(terms: tuple[str, ...], backend: str) -> None:
    arguments = inputs(*terms, dtype=torch.float32)
    before = attend(**arguments, backend=backend)
    hidden = arguments["masked"][:, None, :, None]
    for name in ("key", "value"):
        arguments[name] = torch.where(hidden, 100.0 * torch.randn_like(arguments[name]), arguments[name])
    torch.testing.assert_close(attend(**arguments, backend=backend), before, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("terms", TERMS, ids="+".join)
def test_a_later_key_changes_nothing_earlier(terms: tuple[str, ...], backend: str) -> None:
    arguments = inputs(*terms)
    before = attend(**arguments, causal=True, backend=backend)
    for name in ("key", "value"):
        arguments[name] = arguments[name].clone()
        arguments[name][:, :, 3:] += 10.0
    after = attend(**arguments, causal=True, backend=backend)
    assert torch.equal(after[:, :, :3], before[:, :, :3])
    assert not torch.allclose(after[:, :, 3:], before[:, :, 3:])


@pytest.mark.parametrize(("queries", "keys"), [(4, 4), (1, 5), (3, 5)])
def test_the_causal_mask_hides_what_comes_later(queries: int, keys: int) -> None:
    found = causal_mask(queries, keys, torch.device("cpu"))
    expected = [[j > keys - queries + i for j in range(keys)] for i in range(queries)]
    assert found.tolist() == expected


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="backend must be reference, sdpa or flex, got 'flash'"):
        attend(**inputs(), backend="flash")


@pytest.mark.parametrize(
    ("requested", "needs_matrix", "device", "chosen", "reason"),
    [
        ("auto", False, "cpu", "sdpa", "every term folds"),
        ("auto", False, "cuda", "sdpa", "every term folds"),
        ("auto", True, "cpu", "reference", "laplace has no exact factors, so the scores are a matrix"),
        ("auto", True, "cuda", "flex", "laplace has no exact factors, and flex attention makes no matrix"),
        ("reference", False, "cuda", "reference", "requested by"),
        ("sdpa", False, "cpu", "sdpa", "requested by"),
        ("flex", True, "cuda", "flex", "requested by"),
        ("flex", True, "cpu", "reference", "flex attention learns on CUDA alone, and this is cpu"),
        ("flex", False, "cpu", "sdpa", "flex attention learns on CUDA alone"),
    ],
)
def test_the_choice_of_a_backend_comes_with_its_reason(
    requested: str, needs_matrix: bool, device: str, chosen: str, reason: str
) -> None:
    found, why = choose_backend(requested, needs_matrix, torch.device(device))
    assert found == chosen and reason in why
