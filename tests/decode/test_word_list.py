"""Lists of words, one a line."""

from __future__ import annotations

from pathlib import Path

from echo_asr.decode.word_list import different_words, read_word_list


def test_a_list_of_words_may_be_in_any_encoding(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-16", "latin-1"):
        (tmp_path / "words.txt").write_bytes("Hao\r\nni3\r\nhao é\r\n".encode(encoding))
        assert read_word_list(tmp_path / "words.txt") == ["Hao", "ni3", "hao é"]


def test_words_that_are_one_once_normalised_are_together() -> None:
    assert different_words(["Ma", "ni  hao", "MA", "ma", "Ma", "Ni Hao"], str.lower) == {
        "Ma": ["MA", "ma"], "ni  hao": ["Ni Hao"],
    }  # fmt: skip
