"""Words that fall together, where punctuation is part of the writing; and none where it is punctuation."""

from __future__ import annotations

import pytest

from echo_asr.text.normalize import make_normalizer, normalize_basic, normalize_none
from echo_asr.text.orthography import merged_words

ORTHO = ["ka:ti wak'", "kati wak", "ka:ti: 'ena", "'kpa -kpa kpa", "!ama //ama ama", "ma-55 ma-51"]


def test_words_that_differ_in_characters_that_are_letters() -> None:
    found = merged_words(ORTHO, normalize_basic)
    assert {frozenset(group) for group in found.groups} == {
        frozenset({"wak'", "wak"}), frozenset({"'kpa", "-kpa", "kpa"}), frozenset({"!ama", "//ama", "ama"}),
    }  # fmt: skip
    assert found.cut == ("ka:ti",)
    assert str(found).startswith("as normalised, 8 words fall together with others (")
    assert str(found).endswith('--text.letters "\':"')
    assert not merged_words(ORTHO, make_normalizer("basic", ":'-!/"))
    assert not merged_words(ORTHO, normalize_none)


@pytest.mark.parametrize(
    "text",
    [
        'He said: "Hello!" and "hello" (hello); hello... ¿hello? «hello»',
        "'hello there' hello there, don't don’t",
        "ice-cream ice–cream Ice-Cream, U.S. u.s",
        "今天，天气。好！今天 天气",
        "at 12:30 or 12.30, and/or",
        "naïve nai\u0308ve İYİ iyi ΣΑΣ σας",
    ],
)
def test_punctuation_is_none_of_a_word(text: str) -> None:
    assert not merged_words([text], normalize_basic)


def test_many_are_counted_and_a_few_shown() -> None:
    found = merged_words([f"!{word} {word} a:{word}" for word in "bcdefgh"], normalize_basic)
    assert (
        str(found).count(";") == 5
        and "14 words" in str(found)
        and "7 are cut in two (a:b, a:c, a:d, a:e, ...)" in str(found)
    )
