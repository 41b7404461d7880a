"""The command `pitch`, as a person calls it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echo_asr.data.corpus import load_corpus
from tests.helpers.commands import Place, run
from tests.helpers.tone_corpus import SHIFTS, WORDS

WRONG = [
    ("pitch", 2, "name recordings, or a corpus with --corpus (see"),
    ("pitch {corpus}/00.wav --corpus {corpus} --model {model}", 2, "with --corpus, not both"),
    ("pitch {corpus}/00.wav --format praat", 2, "invalid choice: 'praat'"),
    ("pitch {here}/no.wav", 1, "no.wav: no such file"),
    ("pitch {here}", 1, "is a folder"),
    ("pitch {corpus}/metadata.csv", 1, "metadata.csv: is not an audio file"),
    ("pitch {corpus}/00.wav {corpus}/01.wav --format pitch", 1, "2 recordings make 2 files of Praat; name a folder"),
    ("pitch {corpus}/00.wav {here}/x/00.wav --output-dir {here}/out", 1, "00.csv: several recordings"),
    ("pitch {corpus}/00.wav --output-dir {corpus}/00.wav", 1, "cannot be made (File exists)"),
    ("pitch {corpus}/00.wav --skip-existing", 1, "name it: --output-dir"),
    ("pitch {corpus}/00.wav --skip-existing --overwrite --output-dir {here}", 1, "give one of them"),
    ("pitch --corpus {corpus}", 1, "--corpus goes with the contours of syllables; name a model"),
    ("pitch {corpus}/00.wav --picture {here}/a.png", 1, "--picture goes with the contours"),
    ("pitch {corpus}/00.wav --decode.beam 2", 1, "--decode.beam goes with the contours"),
    ("pitch {corpus}/00.wav --model {model} --format pitch", 1, "contours of syllables are csv"),
    ("pitch {corpus}/00.wav --model {model} --picture {here}/a.jpg", 1, "a name that ends in .png, .svg, .pdf"),
    ("pitch {corpus}/00.wav --model {model} --picture {here}/no/a.png", 1, "there is no folder"),
    ("pitch {corpus}/00.wav {corpus}/01.wav --model {model} --text a", 1, "--text is the text of one recording"),
    ("pitch {corpus}/00.wav --model {model} --split test", 1, "--split is of a corpus"),
    ("pitch {corpus}/00.wav --model {model} --tracker swiftf0", 1, "a model has its own"),
    ("pitch {corpus}/00.wav --model {model} --text !", 1, "nothing is left of it once it is normalised"),
    ("pitch {corpus}/00.wav --model {model} --text xyz", 1, "the tokenizer has no symbol for 'x'"),
    ("pitch {corpus}/00.wav --model {here}/no", 1, "no: no such model folder"),
    ("pitch --corpus {here} --model {model}", 1, "has no metadata.csv"),
    ("pitch --corpus {corpus} --model {model} --split none", 1, "has no split 'none'"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected", "message"), WRONG, ids=[words for words, *_ in WRONG])
def test_wrong_input_ends_in_one_line_and_leaves_nothing(
    words: str, expected: int, message: str, place: Place, capsys: Any
) -> None:
    status, output, errors = run(place.fill(words), capsys)
    assert status == expected and output == ""
    assert errors.count("\n") == 1 and errors.startswith("echo-asr") and message in errors
    assert place.contents() == {}


def test_a_recording_by_itself_and_in_a_folder(place: Place, capsys: Any) -> None:
    words = "pitch {corpus}/00.wav --tracker autocorrelation"
    status, output, errors = run(place.fill(words), capsys)
    assert (status, errors) == (0, "")
    hertz = [float(row["hertz"]) for row in csv.DictReader(io.StringIO(output)) if row["voiced"] == "1"]
    assert np.median(hertz) == pytest.approx(130.0, rel=0.01) and len(hertz) > 10
    assert run(place.fill(f"{words} --output-dir {{here}}/out"), capsys) == (0, "", "")
    assert place.contents() == {place.folder / "out/00.csv": output.encode()}


def test_syllables_of_a_corpus_with_a_picture(place: Place, corpus: Path, capsys: Any) -> None:
    words = "pitch --corpus {corpus} --model {model} --split test --output-dir {here} --picture {here}/a.png"
    status, output, errors = run(place.fill(words), capsys)
    assert (status, output) == (0, "") and "no tone notation; a contour is that of a whole word" in errors
    assert (place.folder / "a.png").read_bytes()[1:4] == b"PNG"
    rows = list(csv.DictReader((place.folder / "syllables.csv").open(encoding="utf-8")))
    words_of_it = [word for u in load_corpus(corpus).split("test") for word in u.text.split()]
    assert [row["base"] for row in rows[::11]] == words_of_it
    assert {row["speaker"] for row in rows} == {f"voice {SHIFTS['test']:g}"}
    alone = [u.id for u in load_corpus(corpus).split("test") if len(u.text) == 1]
    for row in (row for row in rows if row["point"] == "5" and row["utterance"] in alone):
        assert float(row["start"]) <= float(row["time"]) <= float(row["end"])
        assert float(row["hertz"]) == pytest.approx(WORDS[row["base"]][0] * SHIFTS["test"], rel=0.03)


def test_syllables_of_a_text_and_of_the_recognised_one(place: Place, corpus: Path, capsys: Any) -> None:
    recording = next(u for u in load_corpus(corpus).utterances if u.text == "a b")
    words = ["pitch", str(recording.audio), *place.fill("--model {model}")]
    status, given, errors = run([*words, "--text", "A, b."], capsys)
    assert status == 0 and "recognised" not in errors
    assert [row["base"] for row in csv.DictReader(io.StringIO(given))][::11] == ["a", "b"]
    status, found, errors = run(words, capsys)
    assert status == 0 and "no --text is given; the contours are of the recognised text" in errors
    assert [row["base"] for row in csv.DictReader(io.StringIO(found))][::11] == ["a", "b"]


def test_files_that_are_there_are_replaced_only_if_asked(place: Place, capsys: Any) -> None:
    here = place.folder
    for name in ("00.csv", "syllables.csv", "a.png"):
        (here / name).write_text("mine", encoding="utf-8")
    before = place.contents()
    for words, name in (
        ("pitch {corpus}/00.wav --tracker autocorrelation --output-dir {here}", "00.csv"),
        ("pitch {corpus}/00.wav --model {model} --output-dir {here}", "syllables.csv"),
        ("pitch {corpus}/00.wav --model {model} --picture {here}/a.png", "a.png"),
    ):
        status, output, errors = run(place.fill(words), capsys)
        assert (status, output, errors.count("\n")) == (1, "", 1) and f"{name}: is there already" in errors
        assert place.contents() == before
    words = "pitch {corpus}/00.wav --tracker autocorrelation --output-dir {here} --overwrite"
    assert run(place.fill(words), capsys)[0] == 0 and (here / "00.csv").read_text(encoding="utf-8") != "mine"
