"""What a language's numbers need to be spoken and read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

LARGEST = 999_999  # number that is spoken


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
        years: the first two digits of a year may be said as a number of their own.
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
    years: bool = False


def unique(texts: Iterable[str]) -> list[str]:
    """The different texts, in order."""
    return list(dict.fromkeys(texts))


def combined(*parts: Iterable[str], gap: str = " ") -> list[str]:
    """Each text of the first part with each of the second, and so on; empty ones add no gap."""
    return unique(gap.join(filter(None, some)) for some in product(*parts))
