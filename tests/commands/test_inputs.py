"""The files that a command reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from echo_asr.commands.inputs import grammar_files, refuse_in_corpus
from echo_asr.errors import EchoError


def test_files_of_values_belong_to_a_grammar(tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_bytes("{a} = @x.txt\r\n{b} = @sub/y.csv  # note\r\n{c} = d | e\r\n".encode("utf-16"))
    assert grammar_files(tmp_path / "g.txt") == [tmp_path / "x.txt", tmp_path / "sub" / "y.csv"]
    assert grammar_files(tmp_path / "none.txt") == []


@pytest.mark.parametrize("suffix", ["", "@noise:10", ":tx", "@only:x@channel:1"])
def test_files_of_a_corpus_are_known_whatever_follows_its_path(suffix: str, tmp_path: Path) -> None:
    corpus, outside = tmp_path / "corpus", tmp_path / "outside.json"
    (corpus / "deep").mkdir(parents=True)
    for path in (corpus / "deep" / "a.eaf", outside):
        path.write_text("a")
    refuse_in_corpus([outside, corpus / "new.json"], f"{corpus}{suffix}")
    with pytest.raises(EchoError, match="a.eaf: is in the folder of the corpus, where nothing is replaced"):
        refuse_in_corpus([outside, corpus / "deep" / "a.eaf"], f"{corpus}{suffix}")
    with pytest.raises(EchoError, match="a.eaf: is the corpus"):
        refuse_in_corpus([corpus / "deep" / "a.eaf"], f"{corpus}/deep/a.eaf{suffix}")


def test_computed_corpora_have_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    refuse_in_corpus([tmp_path / "a"], "synth:tones")
    refuse_in_corpus([tmp_path / "a"], "hf:a/b:c")
