"""Numbers of free text as digits."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.text.config import TextConfig
from echo_asr.text.numbers import NUMBERS, digit_forms, number_forms
from echo_asr.text.written import written, written_spans


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "they were three hundred and five of them", "they were 305 of them"),
        ("en", "one of them said no one came at nine", "one of them said no one came at 9"),
        ("en", "one", "1"),
        ("en", "one two three four", "1234"),
        ("en", "call one oh one", "call 101"),
        ("en", "oh one more thing", "oh one more thing"),
        ("en", "in nineteen eighty four or nineteen oh five", "in 1984 or 1905"),
        ("en", "a hundred and twenty thousand cats and one dog", "120000 cats and one dog"),
        ("en", "three point five percent of twenty-one", "3.5 percent of 21"),
        ("en", "fifteen hundred and", "1500 and"),
        ("en", "thirty forty", "30 40"),
        ("en", "", ""),
        ("de", "ich habe dreiundzwanzig katzen und eine maus", "ich habe 23 katzen und eine maus"),
        ("de", "gib acht auf hundertfünf komma fünf", "gib acht auf 105,5"),
        ("es", "tengo veintiún gatos y una casa", "tengo 21 gatos y una casa"),
        ("fr", "j'ai quatre vingt dix neuf chats et une maison", "j'ai 99 chats et une maison"),
        ("fr", "mille neuf cent quatre-vingt-quatre", "1984"),
        ("vi", "tôi có hai mươi lăm con mèo năm nay", "tôi có 25 con mèo năm nay"),
        ("zh", "我有二十三只猫一下子一二三四", "我有23只猫一下子1234"),
        ("zh", "三点一四", "3.14"),
        ("zh-pinyin", "yi1 xia4 zi5 er4 shi2 san1 ge5", "yi1 xia4 zi5 23 ge5"),
    ],
)
def test_examples(language: str, text: str, expected: str) -> None:
    assert written(text, language) == expected


def test_the_setting_has_all_languages() -> None:
    assert get_args(get_type_hints(TextConfig)["written"]) == ("none", *NUMBERS)
    with pytest.raises(ValueError, match="text.written must be one of none, de, en, .*, got 'xx'"):
        TextConfig(written="xx")  # type: ignore[arg-type]


@given(st.sampled_from(list(NUMBERS)), st.data())
def test_spans_are_all_the_words_in_order(language: str, data: st.DataObject) -> None:
    words = [word for n in (0, 1, 2, 15, 21, 105, 1999, 30_000) for word in number_forms(n, language)[0].split()]
    words += ["house", "oh", "and", "point", "-", "23"]
    text = " ".join(data.draw(st.lists(st.sampled_from(words), max_size=12)))
    spans = written_spans(text, language)
    assert [n for span in spans for n in range(span.first, span.end)] == list(range(len(text.split())))
    assert " ".join(span.text for span in spans) == written(text, language)
    assert all(span.text for span in spans)


@given(st.sampled_from(list(NUMBERS)), st.lists(st.integers(0, 9), min_size=2, max_size=12))
def test_digits_said_one_by_one_are_one_number(language: str, digits: list[int]) -> None:
    """As the corpus `digits` joined: the usual word for each."""
    said = ("" if NUMBERS[language].joined else " ").join(digit_forms(digit, language)[0] for digit in digits)
    assert written(said, language) == "".join(map(str, digits))


@given(st.sampled_from(list(NUMBERS)), st.integers(0, 9_999))
def test_a_number_in_its_usual_form_is_its_digits(language: str, number: int) -> None:
    assert written(number_forms(number, language)[0], language) == str(number)
