"""Numbers as they are spoken and as they are written, 0 to 999,999, in a few languages.

Tables of our own: the libraries that spell numbers of many languages take a millisecond for each, and read none.
"""

from __future__ import annotations

from functools import cache

from echo_asr.text.numbers.english import ENGLISH
from echo_asr.text.numbers.french import FRENCH
from echo_asr.text.numbers.german import GERMAN
from echo_asr.text.numbers.language import LARGEST, NumberLanguage
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
    """The ways to say a number, the usual one first.

    Raises:
        ValueError: it is not in 0 to 999,999, or the language is not one of `NUMBERS`.

    Example:
        >>> ", ".join(number_forms(105, "en")[:2])
        'one hundred five, one hundred and five'
    """
    if not 0 <= number <= LARGEST:
        raise ValueError(f"number: expected 0 to {LARGEST}, got {number}")
    return find_language(language).forms(number)


def digit_forms(digit: int, language: str) -> list[str]:
    """The ways to say a digit where a number is said digit by digit."""
    return list(find_language(language).digits[digit])


def read_number(text: str, language: str) -> int | None:
    """The number that a text says, in lower case, with spaces or hyphens between words; None where it says none.

    >>> read_number("two hundred and twenty-one", "en")
    221
    """
    own, text = find_language(language), plain_words(text)
    table = _table(language)
    if text in table or len(text) > 200:
        return table.get(text)
    for word in own.scale:
        before, found, after = (part.strip() for part in text.partition(word))
        rests = [after, *(after.removeprefix(filler).strip() for filler in own.fillers if after.startswith(filler))]
        for rest in rests if found else ():
            number = table.get(before, 0) * own.scale_value + (table.get(rest, 0) if rest else 0)
            if TABLED < number <= LARGEST and text in map(plain_words, own.forms(number)):
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


@cache
def _table(language: str) -> dict[str, int]:
    forms = NUMBERS[language].forms
    table: dict[str, int] = {}
    for number in range(TABLED + 1):
        for form in forms(number):
            table.setdefault(plain_words(form), number)
    return table
