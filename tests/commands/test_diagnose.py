"""The commands `diagnose` and `plot`, as a person calls them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from echo_asr.cli import main


def run(words: list[str], capsys: Any) -> tuple[int, str, str]:
    capsys.readouterr()
    try:
        status = main(words)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, *capsys.readouterr()


def test_diagnose_tells_and_keeps(learnt: Path, corpus: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "new" / "report"
    words = ["diagnose", str(learnt), str(corpus), "--utterances", "3", "--out", str(out), "--device", "cpu"]
    status, output, errors = run(words, capsys)
    assert status == 0, errors
    assert "COMPONENT STATISTICS" in output and "F0 removed, both" in output
    assert output.endswith(f"{out / 'report.json'}\n{out / 'report.html'}\n")
    found = json.loads((out / "report.json").read_text())
    assert found["about"]["split"] == "validation" and found["about"]["utterances"] == 3
    base = found["counterfactuals"]["rows"]["as it is"]
    assert base["evaluated"] == base["word_error"]  # recordings without a pause
    assert found["counterfactuals"]["rows"]["F0 removed, both"]["loss_change"] != 0.0
    assert str(tmp_path) not in (out / "report.html").read_text()  # nothing of where it was made


def test_one_utterance_of_another_split_without_what_if(learnt: Path, corpus: Path, capsys: Any) -> None:
    words = ["diagnose", str(learnt), str(corpus), "--split", "test", "--utterances=1", "--no-what-if"]
    status, output, errors = run(words, capsys)
    assert status == 0 and "split test, utterances 1" in output and "--no-what-if" in output, errors


def test_a_terminal_gets_tables(learnt: Path, corpus: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    status, output, _ = run(["diagnose", str(learnt), str(corpus), "--utterances", "1", "--no-what-if"], capsys)
    assert (
        status == 0
        and output.startswith("model ")
        and "Component statistics" in output
        and "no gates in this model" in output
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{model}", "{corpus}", "--split", "none"], "no split 'none'; choose from: train, validation, test"),
        (["{model}", "{corpus}", "--utterances", "0"], "--utterances: expected at least 1, got 0"),
        (["{corpus}", "{corpus}"], "not a complete model"),
        (["{model}", "{corpus}", "--out", "{corpus}/metadata.csv/x"], "cannot be made"),
        (["{model}", "{corpus}", "--decode.beem", "2"], "beam"),
    ],
)
def test_mistakes_end_in_one_line(words: list[str], said: str, learnt: Path, corpus: Path, capsys: Any) -> None:
    status, output, errors = run(["diagnose", *(w.format(model=learnt, corpus=corpus) for w in words)], capsys)
    assert status != 0 and output == "" and errors.count("\n") == 1 and said in errors


def test_pictures(learnt: Path, corpus: Path, tmp_path: Path, capsys: Any) -> None:
    audio, out = str(corpus / "02.wav"), ["--out", str(tmp_path / "d")]
    for words, names in (
        (["audio", audio], ["audio"]),
        (["attention", str(learnt), audio], ["attention_spectrogram", "attention_pitch"]),
        (["run", str(learnt)], ["curves"]),
        (["run", str(learnt), str(learnt)], ["curves"]),
        (["rotary", "--theta", "mapped", "--f0", "100-300", "--f0", "90"], ["positions", "rotation"]),
    ):
        status, output, errors = run(["plot", *words, *out], capsys)
        assert status == 0, errors
        assert output.split()[: len(names)] == [str(tmp_path / "d" / f"{name}.png") for name in names]
        assert all(Path(line).stat().st_size > 1000 for line in output.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rotary", "--theta", "fast"], "--theta: expected one of static, .*; got 'fast'"),
        (["rotary", "--f0", "high"], "--f0: expected a frequency from 20 to 2000 Hz or two"),
        (["rotary", "--f0", "nan"], "got 'nan'"),
        (["audio", "none.wav"], "none.wav"),
        (["attention", "none", "none.wav"], "no such model folder"),
        (["run", "none"], "name the folder of a run"),
        (["run", "none", "--thetas"], "unknown argument '--thetas'"),
        (["portrait"], "invalid choice"),
    ],
)
def test_pictures_that_cannot_be_drawn(words: list[str], said: str, tmp_path: Path, capsys: Any) -> None:
    status, output, errors = run(["plot", *words, *([] if words == ["portrait"] else ["--out", str(tmp_path)])], capsys)
    assert status != 0 and output == "" and errors.count("\n") == 1
    assert re.search(said, errors), errors
