"""A language model that several tests ask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from echo_asr.decode.ngram import build_language_model
from echo_asr.model.echo import Echo
from echo_asr.text.normalize import normalize_basic
from tests.helpers.plain_search import RECORDINGS, SAID, TEXTS, TOKENIZER

Make = Callable[..., Any]


@pytest.fixture(scope="session")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ARPA file over the symbols of `TOKENIZER`, of order 4."""
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    build_language_model(TEXTS, TOKENIZER, normalize_basic, 4, path)
    return path


@pytest.fixture(
    scope="session",
    params=[
        {"vrope": {"theta": "axis", "bias": "quadratic", "nulls": "weight"}},
        {"positions": "sinusoidal", "vrope": {"theta": "none", "nulls": "hard"}, "text_nulls": "hard"},
    ],
    ids=["axis", "sinusoidal"],
)
def reader(request: pytest.FixtureRequest, make_config: Make, make_batch: Make) -> Echo:
    """A model that has learnt six recordings by heart, so that its texts differ and end."""
    torch.manual_seed(0)
    model = Echo(make_config(**request.param, subsampling=2), 7, 8)
    optimizer = torch.optim.Adam(model.parameters())
    lengths = torch.tensor([len(text) for text in SAID])
    tokens = torch.tensor([text + [0] * (6 - len(text)) for text in SAID])
    for update in range(60):
        optimizer.param_groups[0]["lr"] = 1e-2 * min(1.0, (update + 1) / 10) * (1.0 - update / 60)
        optimizer.zero_grad()
        model.loss(make_batch(RECORDINGS), tokens, lengths).total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()
