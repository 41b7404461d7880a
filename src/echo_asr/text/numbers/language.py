"""What a language's numbers need to be spoken and read."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

LARGEST = 999_999  # number that is spoken


def composed(text: str) -> str:
    """A text in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text)


def no_forms(n: int) -> list[str]:
    """The ways to say a year where a language has none of its own."""
    return []


@dataclass(frozen=True)
class NumberLanguage:
    """The numbers of a language.

    Attributes:
        forms: the ways to say a number, 0 to `LARGEST`, in lower case, the usual one first.
        digits: of each digit, the ways to say it where a number is said digit by digit.
        scale: the words for `scale_value`, from whose parts larger numbers are read.
        fillers: words that may stand behind it, before a small rest.
        point: words between a whole number and its decimals.
        point_sign: how that is written.
        lone: words for numbers that are other words, too (English `one`); alone among other words they stay.
        joined: words are written without spaces between.
        fold: the spelling under which words are looked up, so that several spellings of a word are read alike.
        years: the ways to say a year other than as it is counted: `nineteen eighty four`.
        before_years: words after which two numbers that may be a year or an estimate (`fifteen twenty`) are a year.
        after_years: words before which they are.
        links: words of numbers that may also stand between two numbers, as `and`.
        year_words: words that are a number, or mean `year` beside one (Vietnamese `năm`).
        larger: pattern of words beside which number words stay words: they are parts of numbers from a million on.
        fractions: pattern of words before which number words stay words: ordinals and fractions.
        clock: words after which what looks like a decimal number is a time.
        compounds: a number is one word, which a recogniser may have split.
        digit_run: how many digits said one after the other are one number; fewer are an estimate.
        lists: a number directly behind another is a second number; else both stay words, as they may be an estimate
            (`五六个`: five or six) or a short form (`三百二`: 320).
        decimal_digits: decimals are said digit by digit, never as a number.
    """

    forms: Callable[[int], list[str]]
    digits: tuple[tuple[str, ...], ...]
    scale: tuple[str, ...]
    scale_value: int = 1000
    fillers: tuple[str, ...] = ()
    point: tuple[str, ...] = ()
    point_sign: str = ","
    lone: frozenset[str] = frozenset()
    joined: bool = False
    fold: Callable[[str], str] = composed
    years: Callable[[int], list[str]] = no_forms
    before_years: frozenset[str] = frozenset()
    after_years: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    year_words: frozenset[str] = frozenset()
    larger: str = ""
    fractions: str = ""
    clock: frozenset[str] = frozenset()
    compounds: bool = False
    digit_run: int = 2
    lists: bool = True
    decimal_digits: bool = False


def unique(texts: Iterable[str]) -> list[str]:
    """The different texts, in order."""
    return list(dict.fromkeys(texts))


def combined(*parts: Iterable[str], gap: str = " ") -> list[str]:
    """Each text of the first part with each of the second, and so on; empty ones add no gap."""
    return unique(gap.join(filter(None, some)) for some in product(*parts))
