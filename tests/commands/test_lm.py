"""`echo-asr lm`: what it would write over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers.commands import Place, run


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("{here}/a.txt --out {here}/a.txt --overwrite", 1, "a.txt: is read here, and would be lost"),
        ("{here}/a.txt --out {here}/b.arpa", 1, "b.arpa: is there already; choose another place, or give --overwrite"),
        ("{here}/a.txt --out {here}", 1, "is a folder; name a file"),
        ("{here}/a.txt --out {here}/no/b.arpa", 1, "there is no folder"),
        ("{here}/a.txt --out -", 2, "argument --out: standard output is not written to here"),
    ],
)
def test_mistakes_are_one_line(words: str, status: int, message: str, place: Place, capsys: Any) -> None:
    (place.folder / "a.txt").write_text("a b\n", encoding="utf-8")
    (place.folder / "b.arpa").write_text("mine", encoding="utf-8")
    before = place.contents()
    found = run(place.fill(f"lm --model {{model}} {words}"), capsys)
    assert found[:2] == (status, "") and message in found[2] and found[2].count("\n") == 1
    assert place.contents() == before


def test_a_file_is_replaced_if_asked(place: Place, capsys: Any) -> None:
    (place.folder / "a.txt").write_text("a b\n", encoding="utf-8")
    (place.folder / "b.arpa").write_text("old", encoding="utf-8")
    words = place.fill("lm {here}/a.txt --model {model} --out {here}/b.arpa --overwrite")
    assert run(words, capsys)[0] == 0
    assert "ngram 1=" in (place.folder / "b.arpa").read_text(encoding="utf-8")
