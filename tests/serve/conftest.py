"""A service for all tests that change nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from echo_asr.decode.load import load_recognizer
from echo_asr.decode.transcribe import Recognizer
from tests.helpers.served import SPOKEN, Served, serving, wav


@pytest.fixture(scope="session")
def recognizer(learnt: Path) -> Recognizer:
    """A model that knows the words `a`, `b` and `c`."""
    return load_recognizer(learnt, "cpu")


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of `SPOKEN`."""
    path = tmp_path_factory.mktemp("recordings") / "long.wav"
    path.write_bytes(wav(SPOKEN))
    return path


@pytest.fixture(scope="session")
def served(recognizer: Recognizer) -> Iterator[Served]:
    """A service of that model, as `mine`."""
    pytest.importorskip("fastapi", reason="needs the extra echo-asr[serve]")
    with serving({"mine": recognizer}) as running:
        yield running
