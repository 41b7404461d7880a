"""What is written into files of annotations: phrases with their words, in whole milliseconds."""

from __future__ import annotations

from typing import NamedTuple

PHRASES, WORDS, CONFIDENCES, SYMBOLS = "phrases", "words", "confidences", "symbols"  # names of the tiers


class TimedWord(NamedTuple):
    """A word, from `start` to `end` in ms."""

    start: int
    end: int
    text: str
    confidence: str = ""  # a number from 0 to 1


class Phrase(NamedTuple):
    """A phrase, from `start` to `end` in ms, and its words and the symbols of these, which lie within it, or none.

    Phrases, and words and symbols in one, are in order, do not overlap, and last a millisecond or more.
    """

    start: int
    end: int
    text: str
    words: tuple[TimedWord, ...] = ()
    symbols: tuple[TimedWord, ...] = ()


def confidence_tier(name: str) -> str:
    """The name of the tier of confidences beside a tier of that name."""
    return f"{name} ({CONFIDENCES})"
