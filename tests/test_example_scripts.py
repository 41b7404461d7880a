"""The scripts of examples/, as people start them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import PACKAGE_ROOT
from tests.helpers.pages import SHORT
from tests.helpers.tone_corpus import SHIFTS, TEXTS, write_corpus

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str, *words: str | Path) -> str:
    """What a script prints."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    command = [sys.executable, EXAMPLES / name, *words]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture
def tone_corpus(tmp_path: Path) -> Path:
    rows = [(split, text, SHIFTS[split]) for split, texts in TEXTS.items() for text in texts]
    return write_corpus(tmp_path / "corpus", rows)


def test_every_example_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'example("{path.name}"' not in source] == []


def test_draw_features(tone_corpus: Path, tmp_path: Path) -> None:
    example("draw_features.py", tone_corpus / "00.wav", tone_corpus / "01.wav", "--out", tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 5000


@pytest.mark.slow
def test_vrope_in_your_model() -> None:
    static, axis = (float(line.split()[1].rstrip("%")) for line in example("vrope_in_your_model.py").splitlines())
    assert static < 60 and axis > 99


@pytest.mark.slow
def test_train_and_transcribe(tone_corpus: Path, tmp_path: Path) -> None:
    printed = example("train_and_transcribe.py", tone_corpus, tmp_path / "run", *SHORT)
    assert "word error" in printed and "hardest" in printed and "probability" in printed
