"""A language model that several tests ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from echo_asr.decode.ngram import build_language_model
from echo_asr.text import normalize_basic

from .plain import TEXTS, TOKENIZER


@pytest.fixture(scope="session")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ARPA file over the symbols of `TOKENIZER`, of order 4."""
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    build_language_model(TEXTS, TOKENIZER, normalize_basic, 4, path)
    return path
