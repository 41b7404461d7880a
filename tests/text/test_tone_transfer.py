"""Tones on texts as they were written."""

from __future__ import annotations

import unicodedata
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.text.config import TextConfig
from echo_asr.text.normalize import normalize_basic, normalize_none, normalize_whisper
from echo_asr.text.tone_transfer import transfer_tones
from echo_asr.text.tones import VIETNAMESE_MARKS, ToneNotation

DIGITS, MARKS = ToneNotation("digits"), ToneNotation("diacritics")


def test_pairs_of_tones_and_signs_before_words() -> None:
    pairs = partial(normalize_basic, tone_pairs=True)
    assert transfer_tones("Ma35-21, ni2!", "ma5-3 ni", DIGITS, pairs) == "Ma5-3, ni!"
    assert transfer_tones("Ma, ni2-1!", "ma5-3 ni4", DIGITS, pairs) == "Ma5-3, ni4!"
    signs = partial(normalize_basic, letters="-'")
    assert transfer_tones('"Kpa, lo-"', "-kpa' ''lo", ToneNotation("letters", "-'"), signs) == "\"-Kpa', ''lo\""


@pytest.mark.parametrize(
    ("written", "toned", "expected", "notation"),
    [
        ("Nihao, Ma!", "ni3hao3 ma1", "Ni3hao3, Ma1!", DIGITS),
        ("Ni2hao ma4?", "ni3hao3 ma1", "Ni3hao3 ma1?", DIGITS),
        ("ni-hao ... ma", "ni3 hao3 ma1", "ni3-hao3 ... ma1", DIGITS),
        ("  ma\tma ", "ma1 ma2", "  ma1\tma2 ", DIGITS),
        ("3ma 12", "3ma4 12", "3ma4 12", DIGITS),
        ("ma\u2019a", "ma'a5", "ma\u2019a5", DIGITS),
        ("ma55-21!", "ma35 21", "ma35-21!", DIGITS),
        ("Ma, ta.", "ma˧˥ ta˥", "Ma˧˥, ta˥.", ToneNotation("chao_letters")),
        ("MA² (ta)", "ma³⁵ ta¹", "MA³⁵ (ta¹)", ToneNotation("superscripts")),
        ("Ni HAO", "nǐ hǎo", "Nǐ HǍO", MARKS),
        ("Kɔ́!", "kɔ̌", "Kɔ̌!", MARKS),
        ("Nguyên Ê.", "nguyễn ệ", "Nguyễn Ệ.", ToneNotation("diacritics", VIETNAMESE_MARKS, "word")),
        ("Pob, po!", "poj pov", "Poj, pov!", ToneNotation("letters", "bjv")),
        ("", "", "", DIGITS),
    ],
)
def test_tones_are_put_on_the_text_as_it_stands(
    written: str, toned: str, expected: str, notation: ToneNotation
) -> None:
    assert transfer_tones(written, toned, notation, normalize_basic) == expected
    apart = unicodedata.normalize("NFD", written)
    found = transfer_tones(apart, toned, notation, normalize_basic)
    assert found is not None and unicodedata.normalize("NFC", found) == unicodedata.normalize("NFC", expected)


def test_marks_of_a_transcriber_stay() -> None:
    normalize = TextConfig(conventions={"[...]": "drop", "|": "break", "word-": "keep", "((...))": "event"}).normalize
    written, toned = "[cough] Ma | ta- ((laughs)) na.", normalize("ma1 ta2 ((laughs)) na3")
    assert transfer_tones(written, toned, DIGITS, normalize) == "[cough] Ma1 | ta2- ((laughs)) na3."
    assert transfer_tones("[of two words] ma", "ma1", DIGITS, normalize) is None


def test_words_that_do_not_correspond_are_not_matched() -> None:
    assert transfer_tones("I won't", "i will3 not", DIGITS, normalize_whisper) is None
    assert transfer_tones("ma ta", "ma1", DIGITS, normalize_basic) is None
    assert transfer_tones("Ma", "Ma1", DIGITS, normalize_none) == "Ma1"


@given(st.lists(st.tuples(st.sampled_from(["ma", "Ni", "hao", "'a", "TA"]), st.integers(0, 5)), max_size=5), st.data())
def test_what_normalises_to_the_text_with_tones_is_found(words: list[tuple[str, int]], data: st.DataObject) -> None:
    toned = normalize_basic(" ".join(f"{word}{tone or ''}" for word, tone in words))
    signs = [data.draw(st.sampled_from(["", ",", "?!", " -", "3"])) for _ in words]
    written = " ".join(word + sign for (word, _), sign in zip(words, signs, strict=True))
    found = transfer_tones(written, toned, DIGITS, normalize_basic)
    assert found is not None and normalize_basic(found) == toned
