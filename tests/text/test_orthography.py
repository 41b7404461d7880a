"""Words that fall together, where punctuation is part of the writing; and none where it is punctuation."""

from __future__ import annotations

import unicodedata

import pytest

from echo_asr.text.normalize import Normalizer, make_normalizer, normalize_basic, normalize_none, normalize_whisper
from echo_asr.text.orthography import lost_signs, merged_words
from echo_asr.text.tones import ToneNotation

Pairs = list[tuple[str, str]]
TORN = ("ka:˥ti", "ka ˥ti")

ORTHO = ["ka:ti wak'", "kati wak", "ka:ti: 'ena", "'kpa -kpa kpa", "!ama //ama ama", "ma-55 ma-51"]


def test_words_that_differ_in_characters_that_are_letters() -> None:
    found = merged_words(ORTHO, normalize_basic)
    assert {frozenset(group) for group in found.groups} == {
        frozenset({"wak'", "wak"}), frozenset({"'kpa", "-kpa", "kpa"}), frozenset({"!ama", "//ama", "ama"}),
    }  # fmt: skip
    assert found.cut == ("ka:ti",)
    assert str(found).startswith("as normalised, 8 words fall together with others (")
    assert str(found).endswith("; if ! ' - / : are letters, name them in text.letters")
    assert str(merged_words(["wak' wak"], normalize_basic)).endswith("if ' is a letter, name it in text.letters")
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


CHAO, NUMBERS, RAISED = ToneNotation("chao_letters"), ToneNotation("digits"), ToneNotation("superscripts")
MARKS = ToneNotation("diacritics")


@pytest.mark.parametrize(
    ("text", "notation", "normalizer", "tones", "lengths", "advice"),
    [
        ("kʰv̩˧ʂɯ˥ ma", CHAO, "whisper", [("kʰv̩˧ʂɯ˥", "khv ʂɯ")], [], "set text.normalizer basic"),
        ("ma³⁵", RAISED, "whisper", [("ma³⁵", "ma35")], [], "set text.normalizer basic"),
        ("Mǎ, mǎ", MARKS, "whisper", [("mǎ", "ma")], [], "set text.normalizer basic"),
        ("ka:ti", None, "basic", [], [("ka:ti", "ka ti")], 'set text.normalizer basic and text.letters ":"'),
        (
            "ka:˥ti",
            CHAO,
            "basic",
            [("ka:˥ti", "ka ˥ti")],
            [("ka:˥ti", "ka ˥ti")],
            'set text.normalizer basic and text.letters ":"',
        ),
        ("á·ti", None, "whisper", [], [("á·ti", "a ti")], 'set text.normalizer basic and text.letters "·"'),
        ("ma35-21", NUMBERS, "basic", [("ma35-21", "ma35 21")], [], "set text.normalizer basic"),
    ],
)
def test_signs_of_tone_and_length_that_are_lost(
    text: str, notation: ToneNotation | None, normalizer: str, tones: Pairs, lengths: Pairs, advice: str
) -> None:
    for form in ("NFC", "NFD"):
        found = lost_signs([unicodedata.normalize(form, text)], make_normalizer(normalizer), notation)
        assert (list(found.tones), list(found.lengths), found.advice) == (tones, lengths, advice)
    for pair in (*tones, *lengths):
        assert " -> ".join(pair) in str(found)


@pytest.mark.parametrize(
    ("text", "notation", "normalizer"),
    [
        ('"Ma3." ma35, (ni3hao3) ma3-ma1 35 12:30', NUMBERS, make_normalizer("basic")),
        ("ma35-21", NUMBERS, make_normalizer("basic", tone_pairs=True)),
        ("ma³⁵-²¹ kaː", RAISED, make_normalizer("basic", tone_pairs=True)),
        ("kʰv̩˧ʂɯ˥ kaːˑ", CHAO, make_normalizer("basic")),
        ("Mǎ ŃJÀ", MARKS, make_normalizer("basic")),
        ("ka:ti, he said:", None, make_normalizer("basic", ":")),
        ("he said: été http://so don't", None, normalize_whisper),
        ("Pob POJ.", ToneNotation("letters", "bj"), make_normalizer("basic")),
        ("ka:ti kʰv̩˧", CHAO, normalize_none),
    ],
)
def test_nothing_is_lost_where_normalising_keeps_tones_and_lengths(
    text: str, notation: ToneNotation | None, normalizer: Normalizer
) -> None:
    assert not lost_signs([text], normalizer, notation)


def test_words_that_differ_in_lost_signs_are_reported_once() -> None:
    texts = ["ka:ti kati !ama ama"]
    lost = lost_signs(texts, normalize_basic)
    merged = merged_words(texts, normalize_basic, lost.characters)
    assert [set(group) for group in merged.groups] == [{"!ama", "ama"}] and merged.cut == ()


def test_the_advice_about_merged_words_helps() -> None:
    assert str(merged_words(["élan elan"], normalize_whisper)).endswith("text.normalizer basic keeps them apart")
    assert "text.letters" in str(merged_words(["'kpa kpa"], normalize_basic))
