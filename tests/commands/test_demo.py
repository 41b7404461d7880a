"""The demonstration with a corpus of tones in the place of the synthetic voices, which take longer."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import echo_asr
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.cli import main
from echo_asr.commands import demo
from echo_asr.data.corpus import load_corpus
from echo_asr.train.report import Reporter
from tests.helpers.tone_corpus import TEXTS


@pytest.fixture
def tones(corpus: Path, learnt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lets the demo train on tones, which it has done in `run`, and measure on silence where it would on speech
    without pitch."""
    silent = tmp_path / "silent"
    silent.mkdir()
    lines = ["file_name,transcription,split"]
    for utterance in load_corpus(corpus).split("test"):
        soundfile.write(silent / utterance.id, np.zeros(3200), SAMPLE_RATE)
        lines.append(f"{utterance.id},{utterance.text},test")
    (silent / "metadata.csv").write_text("\n".join(lines))
    shutil.copytree(learnt, tmp_path / "run")
    monkeypatch.setattr(demo, "RECIPE", learnt.with_suffix(".yaml"))
    monkeypatch.setattr(demo, "CORPUS", str(corpus))
    monkeypatch.setattr(demo, "FLAT", str(silent))
    return tmp_path


def test_the_demo_goes_from_a_corpus_to_a_transcription(tones: Path, capsys: Any) -> None:
    assert main(["demo", "--out", str(tones / "run")]) == 0
    output = capsys.readouterr().out.splitlines()
    words = sum(len(text.split()) for text in TEXTS["test"])
    assert output[0].startswith("word error on unseen voices ") and f"of {words})" in output[0]
    assert " 0.00 % (" in output[0] and " 100.00 % (" in output[1]
    first = load_corpus(demo.CORPUS).split("test")[0]
    assert str(first.audio) in output[2]
    assert output[3].split() == ["reference", first.text] and output[4].split() == ["recognised", first.text]
    run = tones / "run"
    for name, corpus_name, wer in (("evaluation", demo.CORPUS, 0.0), ("evaluation-flat", demo.FLAT, 100.0)):
        found = json.loads((run / f"{name}.json").read_text())
        assert (found["corpus"], found["split"], found["wer"]["percent"]) == (corpus_name, "test", wer)
        assert found["wer"]["reference"] == words
    for picture in ("example.png", "learning_curves.png"):
        assert (run / picture).read_bytes().startswith(b"\x89PNG")
    assert echo_asr.load(run).transcribe(first.audio).text == first.text


def test_a_demo_that_was_stopped_goes_on(tones: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["demo", "--out", str(tones / "new"), "--train.max_steps", "2", "--decode.beam", "2"]
    advance = Reporter.advance

    def stop(self: Reporter, step: int, measured: Any) -> None:
        advance(self, step, measured)
        raise KeyboardInterrupt

    monkeypatch.setattr(Reporter, "advance", stop)
    assert main(words) == 130
    monkeypatch.setattr(Reporter, "advance", advance)
    assert main(words) == 0
    assert "max_steps: 2\n" in (tones / "new/config.yaml").read_text()
    assert echo_asr.load(tones / "new").decode.beam == 2


def test_the_demo_overwrites_nothing(tones: Path, capsys: Any) -> None:
    (tones / "precious").write_text("precious")
    before = sorted(tones.rglob("*"))
    assert main(["demo", "--out", str(tones)]) == 1
    assert "exists and is not empty; choose another --out" in capsys.readouterr().err
    assert sorted(tones.rglob("*")) == before


def test_what_the_demo_trains_is_a_configuration() -> None:
    from echo_asr.train.recipe import read_config

    assert read_config(demo.RECIPE)["train"].max_steps > 100
