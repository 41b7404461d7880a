"""Where a keyword stands in a recognised text, and where it is put in."""

from __future__ import annotations

import pytest

from echo_asr.decode.keywords import Keyword, make_keywords
from echo_asr.decode.results import Segment, Token
from echo_asr.decode.times import words_from_tokens
from echo_asr.decode.word_places import keyword_spots, put_in, text_spots
from echo_asr.model.calibration import Calibration
from echo_asr.text.tokenizer import Tokenizer

SAME = Calibration()


def segment(text: str) -> Segment:
    """Characters of 0.1 s, of descending probability."""
    tokens = tuple(Token(c, 0.1 * i, 0.1 * (i + 1), 0.9 - 0.01 * i) for i, c in enumerate(text))
    return Segment(0.0, 0.1 * len(text), text, words_from_tokens(tokens), tokens)


def keyword(text: str, within: bool = False) -> Keyword:
    return make_keywords([text], str, Tokenizer.train([text + " "]), within)[0]


def test_words_are_found_as_grep_finds_them() -> None:
    spoken = segment("ma ma mama ma")
    (first, second, third) = text_spots(spoken, keyword("ma"), SAME)
    assert [round(spot.start, 3) for spot in (first, second, third)] == [0.0, 0.3, 1.1]
    assert {spot.text[spot.begins : spot.ends] for spot in (first, second, third)} == {"ma"}
    assert [spot.probability for spot in (first, second)] == pytest.approx([0.89, 0.86])
    assert len(list(text_spots(spoken, keyword("ma", within=True), SAME))) == 5
    (phrase,) = text_spots(spoken, keyword("ma mama"), SAME)
    assert (phrase.start, phrase.end) == pytest.approx((0.3, 1.0))
    assert list(text_spots(spoken, keyword("am"), SAME)) == []


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0.0, 0.2, "x bb cc"),
     (0.3, 0.45, "aa x cc"), (0.29, 0.81, "aa x"), (0.21, 0.24, "aa x bb cc"), (2, 3, "aa bb cc x")],
)  # fmt: skip
def test_a_word_takes_the_place_of_those_that_it_covers(start: float, end: float, expected: str) -> None:
    spot = put_in(segment("aa bb cc"), keyword("x"), start, end)
    assert spot.text == expected and spot.text[spot.begins : spot.ends] == "x" and spot.probability == 0.0


def test_a_word_within_others_takes_the_place_of_characters() -> None:
    spot = put_in(segment("abcdef"), keyword("xy", within=True), 0.2, 0.4)
    assert spot.text == "abxyef" and spot.text[spot.begins : spot.ends] == "xy"
    timed = spot.aligned(list("abxyef"), [(i / 10, i / 10 + 0.1) for i in range(6)])
    assert (timed.start, timed.end) == pytest.approx((0.2, 0.4))
    assert put_in(segment(""), keyword("x"), 0.0, 0.2).text == "x"


def test_paths_and_words_of_the_text_are_one_spot_where_they_meet() -> None:
    spoken = segment("aa bb aa")
    spots = list(keyword_spots(spoken, keyword("aa"), [(0.05, 0.25, -1.0), (0.35, 0.45, -2.0)], -9.0, SAME))
    assert [(spot.text, spot.probability > 0, ratio) for spot, ratio in spots] == [
        ("aa bb aa", True, -1.0),
        ("aa aa aa", False, -2.0),
        ("aa bb aa", True, -9.0),
    ]
