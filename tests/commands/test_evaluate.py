"""`echo-asr evaluate`: the files that it writes, and grammars of which the corpus has no sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import echo_asr.evaluate.grammar
from tests.helpers.commands import Place, run


@pytest.fixture
def files(place: Place) -> Place:
    """A grammar with a list of values in a file, and a text that is there."""
    here = place.folder
    (here / "g.txt").write_text("{x} = @values.txt  # a file\na {x}\n", encoding="utf-8")
    (here / "values.txt").write_text("b\nc\n", encoding="utf-8")
    (here / "there.jsonl").write_text("mine", encoding="utf-8")
    (here / "there.png").write_text("mine", encoding="utf-8")
    (here / "sub").mkdir()
    return place


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--texts {here}/there.jsonl", 1, "there.jsonl: is there already; choose another place, or give --overwrite"),
        ("--texts {here}/no/x.jsonl", 1, "no/x.jsonl: there is no folder"),
        ("--texts {here}/sub", 1, "sub: is a folder; name a file"),
        ("--texts {here}/g.txt --grammar {here}/g.txt --overwrite", 1, "g.txt: is read here, and would be lost"),
        ("--texts {here}/values.txt --grammar {here}/g.txt --overwrite", 1, "values.txt: is read here, and would be"),
        ("--texts {corpus}/metadata.csv --overwrite", 1, "metadata.csv: is in the folder of the corpus"),
        ("--texts {corpus}/00.wav --overwrite", 1, "00.wav: is in the folder of the corpus"),
        ("--texts {model}/config.yaml --overwrite", 1, "config.yaml: is read here, and would be lost"),
        ("--texts {model}/tokenizer.json", 1, "tokenizer.json: is read here, and would be lost"),
        ("--texts /dev/null --overwrite", 1, "/dev/null: is no ordinary file"),
        ("--grammar {here}/g.txt --curve {here}/there.png", 1, "there.png: is there already"),
        ("--grammar {here}/g.txt --curve {here}/x.doc", 1, "x.doc: expected a name that ends in .png, .svg, .pdf"),
        ("--grammar {here}/g.txt --curve {here}/x.svg --texts {here}/x.svg", 2, "name two files"),
        ("--curve {here}/x.png", 2, "--false-accepts and --curve belong to --grammar FILE"),
        ("--grammar {here}/g.txt --decode.grammar {here}/g.txt", 2, "both name a grammar; give one of them"),
        ("--grammar {here}/g.txt --decode.reject 1.5", 1, "evaluate: --decode.reject must lie in [0, 1], got 1.5"),
        ("--grammar {here}/g.txt --decode.lm x", 1, "--decode.lm cannot go with --grammar, whose sentences are given"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_measured(
    words: str, status: int, message: str, files: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echo_asr.evaluate.evaluate.evaluate", None)
    before = files.contents()
    found = run(files.fill(f"evaluate {{model}} {{corpus}} {words}"), capsys)
    assert found[:2] == (status, "") and message in found[2] and found[2].count("\n") == 1, found
    assert files.contents() == before


def test_texts_that_are_there_are_replaced_if_asked(files: Place, capsys: Any) -> None:
    words = "evaluate {model} {corpus} --json --texts {here}/there.jsonl --overwrite"
    assert run(files.fill(words), capsys)[0] == 0
    assert len((files.folder / "there.jsonl").read_text(encoding="utf-8").splitlines()) == 6


@pytest.mark.parametrize(("line", "count"), [("a b c b a", "1 sentence"), ("a b c (b|a)", "2 sentences")])
def test_a_grammar_of_which_the_corpus_has_no_sentence(
    line: str, count: str, place: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo_asr.evaluate.grammar, "NOISE_CLIPS", 11)
    grammar: Path = place.folder / "none.txt"
    grammar.write_text(f"{line}\n", encoding="utf-8")
    words = place.fill("evaluate {model} {corpus} --grammar {here}/none.txt")
    status, output, _ = run(words, capsys)
    lines = output.splitlines()
    assert status == 0 and lines[0].endswith(f"none.txt: {count}, accepted from probability 0.5 on (decode.reject)")
    assert lines[1] == "sentence error   not known: none of the 6 texts is a sentence of the grammar"
    assert [one.split()[0] for one in lines[2:]] == ["other", "noise"], "no threshold whose price is not known"
    found = json.loads(run([*words, "--json"], capsys)[1])
    assert found["within"] == 0 and "threshold" not in found
    status, output, errors = run([*words, "--texts", str(place.folder / "texts")], capsys)
    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert "none of the 6 texts of" in errors and "nothing to write to" in errors
    assert not (place.folder / "texts").exists()
