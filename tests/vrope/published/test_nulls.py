"""Null keys: what the near-zero factor does to scores and to attention weights."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from echo_asr.vrope import NullKeys, attend, make_nulls

Content = tuple[Tensor, Tensor]
HEADS, FRAMES, WIDTH = 3, 8, 16
NULL = torch.tensor([[0, 1, 0, 0, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 1]]).bool()


def null_keys(mode: str) -> NullKeys:
    nulls = make_nulls(mode, HEADS)
    for parameter in nulls.parameters():
        torch.nn.init.normal_(parameter, std=3.0)
    return nulls


def weights(nulls: NullKeys | None, query: Tensor, key: Tensor, null: Tensor, backend: str) -> Tensor:
    """Attention weights `(B, H, F, F)`: what attention makes of the identity as values."""
    value = torch.eye(FRAMES).expand(*query.shape[:2], -1, -1)
    if nulls is None:
        return attend(query, key, value, scale=WIDTH**-0.5, backend=backend)
    return attend(
        query, nulls.scale_keys(key, null), value, scale=WIDTH**-0.5, key_bias=nulls.key_bias(null),
        masked=nulls.masked(null), backend=backend,
    )  # fmt: skip


@pytest.fixture
def content() -> Content:
    return torch.randn(2, HEADS, FRAMES, WIDTH), torch.randn(2, HEADS, FRAMES, WIDTH)


@given(raw=st.floats(-1e4, 1e4))
def test_gamma_stays_between_one_in_a_million_and_one_in_a_thousand(raw: float) -> None:
    nulls = make_nulls("weight", 1)
    nulls.raw_gamma.data.fill_(raw)
    gamma = math.exp(nulls.log_gamma.item())
    assert 1e-6 * (1 - 1e-5) <= gamma <= 1e-3 * (1 + 1e-5)
    sigmoid = 0.5 * (1.0 + math.tanh(raw / 2.0))
    assert nulls.log_gamma.item() == pytest.approx(math.log(1e-6) + math.log(1e3) * sigmoid, rel=1e-5)


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_hard_gives_a_null_no_weight_at_all(content: Content, backend: str) -> None:
    before, after = weights(None, *content, NULL, backend), weights(make_nulls("hard", HEADS), *content, NULL, backend)
    kept = before * ~NULL[:, None, None]
    assert (after.masked_select(NULL[:, None, None]) == 0).all()
    torch.testing.assert_close(after, kept / kept.sum(-1, keepdim=True))


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_score_leaves_a_null_a_neutral_share(content: Content, backend: str) -> None:
    nulls = null_keys("score")
    query, key = (10.0 * x for x in content)
    scores = (query.double() @ key.double().transpose(-1, -2)) * WIDTH**-0.5
    scaled = torch.where(NULL[:, None, None], scores * nulls.log_gamma.double().exp()[:, None, None], scores)
    expected = scaled.softmax(-1).float()
    torch.testing.assert_close(weights(nulls, query, key, NULL, backend), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_score_is_scaled_before_any_bias(content: Content, backend: str) -> None:
    nulls, matrix = null_keys("score"), torch.randn(2, HEADS, FRAMES, FRAMES)
    query, key = content
    found = attend(
        query, nulls.scale_keys(key, NULL), torch.eye(FRAMES).expand(2, HEADS, -1, -1), scale=WIDTH**-0.5,
        matrix=matrix, backend=backend,
    )  # fmt: skip
    scores = query.double() @ key.double().transpose(-1, -2) * WIDTH**-0.5
    scaled = torch.where(NULL[:, None, None], scores * nulls.log_gamma.double().exp()[:, None, None], scores)
    torch.testing.assert_close(found, (scaled + matrix.double()).softmax(-1).float(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("mode", ["none", "hard", "weight", "score"])
@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_without_nulls_every_mode_is_ordinary_attention(content: Content, mode: str, backend: str) -> None:
    nothing = torch.zeros_like(NULL)
    expected = weights(None, *content, nothing, backend)
    torch.testing.assert_close(weights(null_keys(mode), *content, nothing, backend), expected, atol=1e-6, rtol=1e-5)


def test_none_leaves_nulls_ordinary(content: Content) -> None:
    found = weights(make_nulls("none", HEADS), *content, NULL, "sdpa")
    torch.testing.assert_close(found, weights(None, *content, NULL, "sdpa"))


@pytest.mark.parametrize("mode", ["weight", "score"])
@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_gamma_learns(content: Content, mode: str, backend: str) -> None:
    nulls = null_keys(mode)
    weights(nulls, *content, NULL, backend)[..., 1].sum().backward()
    assert nulls.raw_gamma.grad is not None and (nulls.raw_gamma.grad != 0).all()


@pytest.mark.parametrize(("mode", "parameters"), [("none", 0), ("hard", 0), ("weight", 1), ("score", 1)])
def test_only_a_soft_mode_has_a_parameter(mode: str, parameters: int) -> None:
    assert len(list(make_nulls(mode, HEADS).parameters())) == parameters
