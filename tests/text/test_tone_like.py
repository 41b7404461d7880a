"""Signs of tone that are not in the notation, and tones that few syllables have."""

from __future__ import annotations

import unicodedata

import pytest

from echo_asr.text.tone_like import tone_use
from echo_asr.text.tones import VIETNAMESE_MARKS, ToneNotation

NUMBERS, PINYIN = ToneNotation("digits"), ToneNotation("diacritics", "\u0300\u0301\u0304\u030c")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_two_notations_are_counted_apart_and_unicode_forms_are_none(form: str) -> None:
    texts = [unicodedata.normalize(form, text) for text in ("ma3 ni3 ma3", "mǎ ma³⁵", "ma˧˥ mi1")]
    use = tone_use(texts, NUMBERS)
    assert use.own is not None and (use.own.words, use.own.examples) == (4, ("ma3", "ni3", "mi1"))
    assert {one.signs: (one.words, one.examples) for one in use.others} == {
        "diacritics": (1, ("mǎ",)), "superscripts": (1, ("ma³⁵",)), "chao_letters": (1, ("ma˧˥",)),
    }  # fmt: skip
    assert use.own.share == pytest.approx(4 / 7) and str(use.own) == "digits in 4 words (ma3, ni3, mi1)"
    assert tone_use([unicodedata.normalize(form, "mǎ má ma"), "mǎ"], PINYIN).others == ()


def test_accents_on_syllables_with_a_tone_of_the_notation_are_part_of_the_base() -> None:
    assert tone_use(["tê3 é1 kɔ̃̂2"], NUMBERS).others == ()


def test_marks_that_a_notation_of_diacritics_has_not() -> None:
    (mark,) = tone_use(["mâ má"], PINYIN).others
    assert (mark.signs, mark.notation, str(mark)) == ("\u0302", False, "\u25cc\u0302 in 1 word (mâ)")
    vietnamese = ToneNotation("diacritics", VIETNAMESE_MARKS, "word")
    assert tone_use(["tiếng việt cô"], vietnamese).others == ()


def test_without_a_notation_doubtful_marks_and_other_kinds() -> None:
    use = tone_use(["shí mp3 été 7 kʰ˧"], None, "\u0301")
    assert {one.signs: one.examples for one in use.others} == {
        "\u0301": ("shí", "été"), "digits": ("mp3",), "chao_letters": ("kʰ˧",),
    }  # fmt: skip
    assert use.own is None and tone_use([], None).others == ()


def test_a_tone_of_few_syllables() -> None:
    texts = ["ma1 ma2 ma3 ma4"] * 1000 + ["ma6 ni6"]
    assert tone_use(texts, NUMBERS).rare == (("6", 2, ("ma6", "ni6")),)
    assert tone_use(texts[-200:], NUMBERS).rare == ()  # too few syllables to call one rare
    assert tone_use(["ma1 ma2 ma3 ma4"] * 1000, NUMBERS).rare == ()
