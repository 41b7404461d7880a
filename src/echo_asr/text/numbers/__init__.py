"""Numbers as they are spoken and as they are written, 0 to 999,999, in a few languages.

Tables of our own: the libraries that spell numbers of many languages take a millisecond for each, and read none.
"""

from __future__ import annotations

from functools import cache

from echo_asr.text.numbers.english import ENGLISH
from echo_asr.text.numbers.french import FRENCH
from echo_asr.text.numbers.german import GERMAN
from echo_asr.text.numbers.language import LARGEST, NumberLanguage, unique
from echo_asr.text.numbers.mandarin import MANDARIN, PINYIN
from echo_asr.text.numbers.spanish import SPANISH
from echo_asr.text.numbers.vietnamese import VIETNAMESE

NUMBERS: dict[str, NumberLanguage] = {
    "de": GERMAN,
    "en": ENGLISH,
    "es": SPANISH,
    "fr": FRENCH,
    "vi": VIETNAMESE,
    "zh": MANDARIN,
    "zh-pinyin": PINYIN,
}
TABLED = 9_999  # numbers that are read from a table; larger ones by their parts


def number_forms(number: int, language: str) -> list[str]:
    """The ways to say a number, the usual one first; ways that are for years alone come last.

    Raises:
        ValueError: it is not a whole number in 0 to 999,999, or the language is not one of `NUMBERS`.

    Example:
        >>> ", ".join(number_forms(105, "en")[:2])
        'one hundred five, one hundred and five'
    """
    own = find_language(language)
    _check("number", number, LARGEST)
    return unique([*own.forms(number), *own.years(number)])


def digit_forms(digit: int, language: str) -> list[str]:
    """The ways to say a digit where a number is said digit by digit.

    Raises:
        ValueError: it is not a whole number in 0 to 9, or the language is not one of `NUMBERS`.
    """
    own = find_language(language)
    _check("digit", digit, 9)
    return list(own.digits[digit])


def _check(name: str, value: object, largest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name}: expected a whole number, 0 to {largest}, got {value!r}")
    if not 0 <= value <= largest:
        raise ValueError(f"{name}: expected 0 to {largest}, got {value}")


def read_number(text: str, language: str) -> int | None:
    """The number that a text says, in lower case, with spaces or hyphens between words; None where it says none.

    A year may be said as one: `nineteen eighty four`. Accents may be left out in French and Spanish.

    >>> read_number("two hundred and twenty-one", "en")
    221
    """
    number = read_counted(text, language)
    return read_year(text, language) if number is None else number


def read_year(text: str, language: str) -> int | None:
    """The year that a text says otherwise than as it is counted (`nineteen eighty four`); None where it says none."""
    return _year_table(language).get(look_up(text, language))


def read_counted(text: str, language: str) -> int | None:
    """The number that a text says as it is counted, as in `read_number`, years in two halves excepted."""
    own, text = find_language(language), look_up(text, language)
    table = _table(language)
    if text in table or len(text) > 200:
        return table.get(text)
    for word in own.scale:
        before, found, after = (part.strip() for part in text.partition(word))
        rests = [after, *(after.removeprefix(filler).strip() for filler in own.fillers if after.startswith(filler))]
        for rest in rests if found else ():
            number = table.get(before, 0) * own.scale_value + (table.get(rest, 0) if rest else 0)
            if TABLED < number <= LARGEST and any(text == look_up(form, language) for form in own.forms(number)):
                return number
    return None


def find_language(language: str) -> NumberLanguage:
    """The numbers of a language.

    Raises:
        ValueError: there are none of it.
    """
    if language not in NUMBERS:
        raise ValueError(f"language of numbers: expected one of {', '.join(NUMBERS)}, got {language!r}")
    return NUMBERS[language]


def plain_words(text: str) -> str:
    """A spoken number with single spaces between its words."""
    return " ".join(text.replace("-", " ").split())


def look_up(text: str, language: str) -> str:
    """The spelling of a spoken number, or of a part of one, under which it is looked up."""
    return find_language(language).fold(plain_words(text))


@cache
def _table(language: str) -> dict[str, int]:
    forms = NUMBERS[language].forms
    table: dict[str, int] = {}
    for number in range(TABLED + 1):
        for form in forms(number):
            table.setdefault(look_up(form, language), number)
    return table


@cache
def _year_table(language: str) -> dict[str, int]:
    years = NUMBERS[language].years
    return {look_up(form, language): number for number in range(1000, 2100) for form in years(number)}
