"""The words of a text as a person wrote them, each beside its normalised form."""

from __future__ import annotations

from typing import NamedTuple

from echo_asr.text.linebreak import unbreakable_parts
from echo_asr.text.normalize import Normalizer

WIDEST = 10**6  # columns: no word is wider, so that none is split for its width


class WrittenWord(NamedTuple):
    """A word: what stands between spaces, or an ideograph with its punctuation.

    Attributes:
        written: as in the text.
        normal: normalised; several words where normalising splits it, empty where it is punctuation alone.
        spaced: whether a space precedes it.
    """

    written: str
    normal: str
    spaced: bool


def written_words(text: str, normalize: Normalizer) -> list[WrittenWord]:
    """The words of a text, each normalised by itself."""
    return [WrittenWord(part, normalize(part), spaced) for part, spaced in unbreakable_parts(text, WIDEST)]


def join_words(words: list[WrittenWord]) -> str:
    """The text of successive words as it was written, its white space as single spaces."""
    return "".join(" " * word.spaced + word.written for word in words).strip()
