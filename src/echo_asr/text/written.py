"""Written forms of what is spoken: numbers of free text as digits (inverse text normalisation).

`twenty three` becomes `23`, `one two three four` `1234`, `nineteen eighty four` `1984`, `three point five` `3.5`.
A word that is a number and more, such as `one`, stays where it stands alone between other words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from echo_asr.text.numbers import NUMBERS, find_language, plain_words, read_number

LONGEST = 14  # words, or characters where there are no spaces, of a number
YEARS = range(13, 21)  # first halves of years that are said in two: thirteen fifty to twenty ninety-nine


class WrittenSpan(NamedTuple):
    """Words `first` to `end` (not included) of a spoken text, and what is written for them; nothing where empty."""

    first: int
    end: int
    text: str


def written(text: str, language: str) -> str:
    """A text with its numbers as digits.

    >>> written("they were three hundred and five of them", "en")
    'they were 305 of them'

    Args:
        text: as it is recognised, in lower case.
        language: one of `echo_asr.text.numbers.NUMBERS`.

    Raises:
        ValueError: the language is another.
    """
    return " ".join(span.text for span in written_spans(text, language))


def written_spans(text: str, language: str) -> list[WrittenSpan]:
    """What is written for each word of a text, or for several: all its words, in order.

    Args and Raises: as of `written`. Words are what stands between white space.
    """
    own = find_language(language)
    words = text.split()
    if own.joined:
        return [WrittenSpan(n, n + 1, _written_joined(word, language, len(words) == 1)) for n, word in enumerate(words)]
    spans: list[WrittenSpan] = []
    at = 0
    for first, end in _runs(words, language):
        spans += [WrittenSpan(n, n + 1, words[n]) for n in range(at, first)]
        spans += _in_run(words, first, end, language)
        at = end
    return spans + [WrittenSpan(n, n + 1, words[n]) for n in range(at, len(words))]


def _runs(words: list[str], language: str) -> Iterator[tuple[int, int]]:
    """Successive words that may be part of numbers."""
    first = 0
    while first < len(words):
        end = first
        while end < len(words) and _says_number(words[end], language):
            end += 1
        if end > first:
            yield first, end
        first = max(end, first + 1)


def _says_number(word: str, language: str) -> bool:
    """Whether a word is part of a number, or one as a whole, as in German."""
    vocabulary = _vocabulary(language)
    return all(part in vocabulary for part in word.split("-")) or read_number(word, language) is not None


class _Number(NamedTuple):
    """Words `first` to `end` that say a number; `digit`: one alone."""

    first: int
    end: int
    text: str
    digit: bool


def _in_run(words: list[str], first: int, end: int, language: str) -> list[WrittenSpan]:
    own = NUMBERS[language]
    numbers = _joined_years(_joined_digits(list(_numbers(words, first, end, language))), own.years)
    numbers = _with_decimals(words, numbers, language)
    spans, at = [], first
    for number in numbers:
        lone = number.end - number.first == 1 and words[number.first] in own.lone and len(words) > 1
        if not number.text or lone:
            continue
        spans += [WrittenSpan(n, n + 1, words[n]) for n in range(at, number.first)]
        spans.append(WrittenSpan(number.first, number.end, number.text))
        at = number.end
    return spans + [WrittenSpan(n, n + 1, words[n]) for n in range(at, end)]


def _numbers(words: list[str], first: int, end: int, language: str) -> Iterator[_Number]:
    """The numbers in a run of words, the longest first from left to right."""
    digits, gap = _digits(language), "" if NUMBERS[language].joined else " "
    at, before = first, -1  # the number that ends there
    while at < end:
        for last in range(min(end, at + LONGEST), at, -1):
            number = read_number(gap.join(words[at:last]), language)
            if number is not None:
                yield _Number(at, last, str(number), number < 10)
                at, before = last, number
                break
        else:
            halved = before in YEARS and at + 1 < end and words[at + 1] in digits  # `nineteen oh five`
            if words[at] in digits and (0 <= before < 10 or halved):  # `one oh five`
                yield _Number(at, at + 1, digits[words[at]], True)
                before = 0
            else:
                before = -1
            at += 1


def _joined_digits(numbers: list[_Number]) -> list[_Number]:
    """Digits one after the other are one number."""
    found: list[_Number] = []
    for number in numbers:
        if found and found[-1].digit and number.digit and found[-1].end == number.first:
            found[-1] = found[-1]._replace(end=number.end, text=found[-1].text + number.text)
        else:
            found.append(number)
    return found


def _joined_years(numbers: list[_Number], years: bool) -> list[_Number]:
    """Two numbers that are a year: `nineteen eighty four`, `twenty twelve`; `nineteen oh five` is read as digits."""
    found: list[_Number] = []
    for number in numbers:
        before = found[-1] if found else None
        halves = before is not None and before.text in map(str, YEARS) and len(number.text) == 2
        if years and before is not None and halves and before.end == number.first:
            found[-1] = before._replace(end=number.end, text=before.text + number.text)
        else:
            found.append(number)
    return found


def _with_decimals(words: list[str], numbers: list[_Number], language: str) -> list[_Number]:
    """A number, a word such as `point`, and a number."""
    own = NUMBERS[language]
    found: list[_Number] = []
    for number in numbers:
        before = found[-1] if found else None
        if before and before.end + 1 == number.first and words[before.end] in own.point:
            whole = before.text if own.point_sign not in before.text else ""
            if whole:
                found[-1] = before._replace(end=number.end, text=whole + own.point_sign + number.text, digit=False)
                continue
        found.append(number)
    return found


def _written_joined(word: str, language: str, alone: bool) -> str:
    """A text without spaces between words, whose numbers of two characters or more become digits."""
    own = NUMBERS[language]

    def replace(found: re.Match[str]) -> str:
        letters = list(found[0])
        spans = _in_run([*letters, *([] if alone and len(letters) == len(word) else [""])], 0, len(letters), language)
        return "".join(span.text for span in spans)

    characters = "".join(sorted(_vocabulary(language)))
    assert own.joined
    return re.sub(f"[{characters}]+", replace, word)


@cache
def _digits(language: str) -> dict[str, str]:
    """The digits of the words for them."""
    return {form: str(n) for n, forms in enumerate(NUMBERS[language].digits) for form in forms}


@cache
def _vocabulary(language: str) -> frozenset[str]:
    """All words that are part of numbers."""
    own = NUMBERS[language]
    numbers = [*range(1000), 1001, 2000, 2100, 11_000]
    words = {word for n in numbers for form in own.forms(n) for word in plain_words(form).split()}
    words |= {word for form in _digits(language) for word in form.split()} | set(own.point) | set(own.fillers)
    return frozenset("".join(words) if own.joined else (part for word in words for part in word.split()))
