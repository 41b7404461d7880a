"""Numbers there and back, and against Unicode's own rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unicode_rbnf import RbnfEngine

from echo_asr.text.numbers import LARGEST, NUMBERS, digit_forms, number_forms, plain_words, read_number

OTHER = set("壹贰叁肆伍陆柒捌玖拾佰仟初廿卅丗卌圩圆進枯")  # of cheques, and of days of the month


@pytest.mark.parametrize("language", NUMBERS)
def test_every_number_to_9999_is_read_as_it_is_spoken(language: str) -> None:
    for number in range(10_000):
        forms = number_forms(number, language)
        assert forms and len(set(forms)) == len(forms)
        assert {read_number(form, language) for form in forms} == {number}


@pytest.mark.parametrize("language", NUMBERS)
@given(number=st.integers(10_000, LARGEST))
@settings(max_examples=60, deadline=None)
def test_larger_numbers_are_read_as_they_are_spoken(language: str, number: int) -> None:
    for form in number_forms(number, language)[:40]:
        assert read_number(form, language) == number


@pytest.mark.parametrize("language", [language for language in NUMBERS if language != "zh-pinyin"])
@given(number=st.integers(0, LARGEST))
@settings(max_examples=25, deadline=None)
def test_what_unicode_says_is_among_the_forms(language: str, number: int) -> None:
    found = RbnfEngine.for_language(language).format_number(number).text_by_ruleset.values()
    theirs = {plain_words(text.replace("\xad", "")) for text in found if not set(text) & OTHER}
    assert theirs <= set(map(plain_words, number_forms(number, language)))


@pytest.mark.parametrize("language", NUMBERS)
def test_digits_and_what_is_no_number(language: str) -> None:
    forms = [form for digit in range(10) for form in digit_forms(digit, language)]
    assert len(forms) == len(set(forms))
    for text in ("", "xyz", "and", "-", "0", " ".join(forms), "x" * 1000):
        assert read_number(text, language) is None


def test_unknown_languages_and_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="language of numbers: expected one of de, en"):
        number_forms(1, "xx")
    with pytest.raises(ValueError, match="expected 0 to 999999, got -1"):
        number_forms(-1, "en")
    for number in ("5", 1.5):
        with pytest.raises(ValueError, match=f"number: expected a whole number, 0 to 999999, got {number!r}"):
            number_forms(number, "en")  # type: ignore[arg-type]
    for digit in (-1, 10):
        with pytest.raises(ValueError, match=f"digit: expected 0 to 9, got {digit}"):
            digit_forms(digit, "en")


@pytest.mark.parametrize(
    ("language", "text", "number"),
    [
        ("en", "nineteen oh five", 1905),
        ("en", "twenty twenty-five", 2025),
        ("de", "neunzehnhundertfünf", 1905),
        ("fr", "dix-neuf cent quatre", 1904),
    ],
)
def test_years_are_among_the_forms(language: str, text: str, number: int) -> None:
    assert text in number_forms(number, language)
    assert read_number(text, language) == number
