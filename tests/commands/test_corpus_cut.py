import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.data.corpus import load_corpus
from echo_asr.decode import cutting
from echo_asr.decode.cutting import Clip, CutRecording
from tests.helpers.commands import Place, run

TEXT = "The boat – came in.\nNobody there.\n\nIt rained.\n"


@pytest.fixture
def here(tmp_path: Path, corpus: Path, undisturbed: Path) -> Place:
    """A recording of 10 s and its text, and a model that does not know its language."""
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).normal(0, 0.1, 160_000)
    soundfile.write(tmp_path / "in" / "story.wav", noise, 16000)
    (tmp_path / "in" / "story.txt").write_text(TEXT, encoding="utf-8")
    return Place(tmp_path, model=undisturbed, corpus=corpus)


def cut_as(monkeypatch: pytest.MonkeyPatch, *clips: Clip, **more: Any) -> None:
    found = CutRecording(clips, more.get("unspoken", ()), more.get("unwritten", ()), 10.0)
    monkeypatch.setattr(cutting, "cut_recording", lambda *given: found)


COMMAND = "corpus cut {here}/in/story.wav {here}/in/story.txt --out {here}/out"


def test_a_corpus_and_a_report_are_written(here: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sure = Clip(0.5, 2.25, (0, 1, 2, 3), "The boat – came in.", "the bot came in", 1.0, 0.9)
    unsure = Clip(7.0, 8.0, (6, 7), "It rained.", "at ran", 0.9, 0.1, "the text is improbable")
    cut_as(monkeypatch, sure, unsure, unspoken=((4, 5),), unwritten=((3.0, 6.0, "hello"),))
    status, output, _ = run(here.fill(f"{COMMAND} --model {{model}} --speaker ann"), capsys)
    assert status == 0
    first, second = load_corpus(here.folder / "out").utterances
    assert (first.text, first.speaker, first.split) == ("The boat – came in.", "ann", "train")
    assert (first.audio.start, first.duration) == (0.5, 1.75)  # type: ignore[union-attr]
    assert second.text == "It rained." and (here.folder / "in" / "story.wav").samefile(second.audio.path)  # type: ignore[union-attr]
    with (here.folder / "out" / "report.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows[1:] == [
        ["not spoken", "7.00", "7.00", "2", "Nobody there.", ""],
        ["no text", "3.00", "6.00", "", "", "hello"],
        ["doubtful: the text is improbable", "7.00", "8.00", "4", "It rained.", "at ran"],
    ]
    assert output.splitlines()[0] == "2 clips, 2.8 s of 10 s, with 6 of 8 words"
    assert "  at 7.00 s, line 2: Nobody there." in output and "  3.00-6.00 s: recognised as hello" in output


def test_only_the_first_of_many_are_printed(here: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple((float(number), number + 0.5, "hm") for number in range(14))
    cut_as(monkeypatch, Clip(0.5, 2.25, (0, 1), "The boat –", "the boat", 1.0, 0.9), unwritten=many)
    _, output, _ = run(here.fill(f"{COMMAND} --model {{model}}"), capsys)
    assert output.count("recognised as hm") == 10 and "and 4 more, in report.tsv" in output


def test_a_text_of_another_recording_is_refused(here: Place, capsys: Any) -> None:
    before = here.contents()
    status, output, errors = run(here.fill(f"{COMMAND} --model {{model}}"), capsys)
    assert status == 1 and output == ""
    assert "story.txt was recognised in" in errors and "is it the text of it" in errors
    assert here.contents() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (COMMAND, "no model; name one with --model, or a corpus to train one on with --train-on"),
        (f"{COMMAND} --model {{model}} --train-on {{corpus}}", "--train-on is for training"),
        (f"{COMMAND} --model {{model}} --train-into {{here}}/run", "--train-into is for training"),
        ("corpus cut {here}/in/none.wav {here}/in/story.txt --out {here}/out --model {model}", "none.wav"),
        (
            "corpus cut {here}/in/story.wav {here}/in/none.txt --out {here}/out --model {model}",
            "none.txt cannot be read",
        ),
        ("corpus cut {here}/in/story.txt {here}/in/story.wav --out {here}/out --model {model}", "story.txt"),
        ("corpus cut {here}/in/story.wav {here}/in/story.txt --out {here}/in --model {model}", "is not empty"),
        (f"{COMMAND} --model {{here}}/in", "not a complete model"),
    ],
)
def test_mistakes_are_one_line(words: str, message: str, here: Place, capsys: Any) -> None:
    before = here.contents()
    status, output, errors = run(here.fill(words), capsys)
    assert status == 1 and output == "" and message in errors and errors.count("\n") == 1
    assert here.contents() == before
