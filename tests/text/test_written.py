"""Numbers of free text as digits."""

from __future__ import annotations

import unicodedata
from typing import get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.text.config import TextConfig
from echo_asr.text.numbers import NUMBERS, digit_forms, look_up, number_forms
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
        ("en", "two hundred three hundred", "200 300"),
        ("en", "one hundred and one hundred", "100 and 100"),
        ("en", "three thousand four thousand", "3000 4000"),
        ("en", "thirteen fourteen fifteen sixteen", "13 14 15 16"),
        ("en", "in twenty twenty five he", "in 2025 he"),
        ("en", "oh seven seven one", "0771"),
        ("en", "call five five five oh one two oh", "call 5550120"),
        ("en", "three point oh five", "3.05"),
        ("en", "two point oh", "2.0"),
        ("en", "one oh one point five", "101.5"),
        ("en", "thirty seconds and twenty oh eight", "30 seconds and 2008"),
        ("de", "zwei tausend", "2000"),
        ("de", "fünf hundert", "500"),
        ("de", "dreihundert tausend", "300000"),
        ("de", "neunzehnhundertvierundachtzig", "1984"),
        ("de", "zwölfhundert", "1200"),
        ("de", "hundertundeins", "101"),
        ("de", "dreissig und fuenfzig", "30 und 50"),
        ("de", "drei komma null fünf", "3,05"),
        ("es", "veintidos y dieciseis", "22 y 16"),
        ("es", "diez y seis mil", "16000"),
        ("es", "cincuenta centavos", "50 centavos"),
        ("fr", "dix neuf cent quatre vingt quatre", "1984"),
        ("fr", "zero un deux", "012"),
        ("fr", "vingt neuf", "29"),
        ("vi", "tháng năm năm hai nghìn", "tháng năm năm 2000"),
        ("vi", "hai mươi năm", "20 năm"),
        ("vi", "năm", "5"),
        ("vi", "ba phẩy mười bốn", "3,14"),
        ("zh", "幺二零", "120"),
        ("zh", "二〇二四年", "2024年"),
        ("zh", "兩千零五", "2005"),
        ("zh-pinyin", "yao1 er4 ling2", "120"),
        ("zh-pinyin", "yi1 xia4 zi5 er4 shi2 san1 ge5", "yi1 xia4 zi5 23 ge5"),
    ],
)
def test_examples(language: str, text: str, expected: str) -> None:
    assert written(text, language) == expected


STAY = {
    "en": "he ate fifteen twenty times|in twenty thirty minutes|five oh yes|oh five people|twenty first|twenty-first|"
    "two thirds|two and a half|two million three hundred thousand and five|three point five million|one fifty|"
    "twenty three four|ten zero zero|seven double five|fifteen one|version three point five point two|"
    "several hundred two hundred|june fifteen nineteen eighty four|nineteen eighty four nineteen eighty five|"
    "twenty one nineteen eighty four",
    "de": "zwei tausend fünf|zwei und zwanzig|einhundert zwei|zwei millionen dreihunderttausend|zwei drittel|"
    "zwanzig erste|zweihundert dreihundert",
    "es": "dos mil tres mil|mil dos mil|un millón doscientos mil|dos y media|tres cuartos|treinta dos",
    "fr": "deux cent trois cent|mille deux mille|un million deux cent mille|vingt deuxième|vingt et unième|"
    "deux et demi|tout neuf",
    "vi": "năm một chín bốn năm|hai ba người|hai mươi ba mươi|hai trăm hai|hai triệu ba trăm nghìn|hai phần ba|"
    "ba nghìn năm|hai trăm rưỡi|năm năm|mười tám năm năm",
    "zh": "一百二百|一千两千|二十二十一|二十三十|一千零零五|一两个|五六个|十五六个|七八十个|三点十五分|三点零五分|"
    "三三两两|三百二|一万二|一百五|百分之二十五|几十万|二十几个|一百多万|三亿五千万|两点五",
    "zh-pinyin": "yi1 bai3 er4 bai3|san1 bai3 er4|wu3 liu4 ge5|san1 dian3 shi2 wu3 fen1",
}


@pytest.mark.parametrize(("language", "text"), [(name, text) for name in STAY for text in STAY[name].split("|")])
def test_words_that_have_no_sure_reading_stay(language: str, text: str) -> None:
    assert written(text, language) == text


def gap(language: str) -> str:
    """What stands between words."""
    return "" if NUMBERS[language].joined else " "


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
    """As the corpus `digits` joined: the usual word for each; from three digits on where two are an estimate."""
    said = gap(language).join(digit_forms(digit, language)[0] for digit in digits)
    year = language == "vi" and digits[0] == 5 and len(digits) == 5 and digits[1] in (1, 2)  # `năm` is `year`, too
    if len(digits) >= NUMBERS[language].digit_run and not year:
        assert written(said, language) == "".join(map(str, digits))
    else:
        assert written(said, language) in ("".join(map(str, digits)), said)


@given(st.sampled_from(list(NUMBERS)), st.integers(0, 9_999))
def test_a_number_in_its_usual_form_is_its_digits(language: str, number: int) -> None:
    said = number_forms(number, language)[0]
    assert written(said, language) == str(number)
    assert written(unicodedata.normalize("NFD", said), language) == str(number)


SIZES = st.one_of(st.integers(0, 99), st.integers(0, 99).map(lambda n: n * 100), st.integers(0, 9_999))


@pytest.mark.parametrize("language", NUMBERS)
@given(numbers=st.lists(SIZES, min_size=2, max_size=3))
@settings(max_examples=300, deadline=None)
def test_numbers_side_by_side_are_these_or_stay_words(language: str, numbers: list[int]) -> None:
    said = gap(language).join(number_forms(n, language)[0] for n in numbers)
    digits = "".join(map(str, numbers)) if max(numbers) < 10 else said
    found = written(said, language)
    if language == "vi" and found != said:
        found = found.replace("năm", "5")  # it is `year` beside a number
    if found not in (said, " ".join(map(str, numbers)), digits):
        assert said_alike(found, said, language), (numbers, said, found)


def said_alike(found: str, said: str, language: str) -> bool:
    """Whether the numbers of a text are said in the same words, as 23 is said like 20 and 3."""
    first, *rest = map(int, found.split())
    forms = {look_up(form, language) for form in number_forms(first, language)}
    for number in rest:
        forms = {f"{form}{gap(language)}{other}" for form in forms for other in spellings(number, language)}
    return look_up(said, language) in forms


def spellings(number: int, language: str) -> set[str]:
    """A number as it is looked up."""
    return {look_up(form, language) for form in number_forms(number, language)}


@pytest.mark.parametrize("language", ["en", "es", "fr", "vi", "zh-pinyin"])  # others join the words of a number
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_words_stay_or_all_of_a_run_are_digits(language: str, data: st.DataObject) -> None:
    """Of any sequence of a language's number words none of a scale is left beside digits."""
    words = {word for n in (3, 15, 21, 105, 3214, 30_000) for word in number_forms(n, language)[0].split()}
    scales = set("hundred thousand hundert tausend cent mille mil cientos trăm nghìn mươi bai3 qian1 wan4".split())
    assert scales & words
    found = written(" ".join(data.draw(st.lists(st.sampled_from(sorted(words)), max_size=8))), language).split()
    if scales & set(found):
        assert not any(word.isdigit() for word in found)


def test_a_long_text_of_numbers_is_read_at_once() -> None:
    assert written("one " * 1000, "en") == "1" * 1000
    assert written("drei " * 500, "de") == "3" * 500
    assert written("twenty " * 500, "en") == "20 " * 499 + "20"
