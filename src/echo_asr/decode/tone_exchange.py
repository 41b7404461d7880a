"""Texts that differ in a tone: which token writes another one in its place, or how else the text is then written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from echo_asr.decode.given_bases import NUCLEI
from echo_asr.errors import EchoError
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import Syllable, ToneNotation, letter_clusters


@dataclass(frozen=True)
class TonePlace:
    """A token of a text that writes a tone, and which token would write each of the others in its place."""

    syllable: int
    position: int
    tokens: dict[str, int]


def tone_places(
    tokenizer: Tokenizer,
    notation: ToneNotation,
    tokens: Sequence[int],
    syllables: Sequence[Syllable],
    tones: Sequence[str],
) -> Iterator[TonePlace]:
    """Where tones of a text, given as ids, may be exchanged: where another token in the place of one makes the same
    text with another tone. Syllables without a written tone, or whose other tones take more or fewer tokens, are left
    out."""
    text, at = tokenizer.decode(list(tokens)), 0
    pieces = iter(_pieces(tokenizer, text, list(tokens)))
    piece = next(pieces)
    for number, syllable in enumerate(syllables):
        start = text.find(str(syllable), at)
        if start < 0 or text[at:start].strip():
            return  # the text is not composed as syllables are
        at = start + len(str(syllable))
        while piece.end < at:
            piece = next(pieces)
        if syllable.tone not in tones:
            continue
        before, after = text[piece.start : start], text[at : piece.end]
        base = notation.without_tones((before + str(syllable) + after).strip())
        found = dict[int, dict[str, int]]()  # by position
        for tone in tones:
            other = before + with_tone(syllable, tone) + after
            if tone == syllable.tone or notation.without_tones(other.strip()) != base:
                continue
            try:
                encoded = tokenizer.encode(other)
            except EchoError:
                continue
            different = [n for n, (a, b) in enumerate(zip(encoded, piece.tokens, strict=False)) if a != b]
            if len(encoded) == len(piece.tokens) and len(different) == 1:
                found.setdefault(different[0], {})[tone] = encoded[different[0]]
        if len(found) == 1:
            ((position, others),) = found.items()
            yield TonePlace(number, piece.first + position, {syllable.tone: piece.tokens[position], **others})


class _Piece(NamedTuple):
    """A part of a text that is encoded by itself: where it is in the text, its tokens, and the number of the first."""

    start: int
    end: int
    tokens: list[int]
    first: int


def _pieces(tokenizer: Tokenizer, text: str, tokens: list[int]) -> list[_Piece]:
    """The words of a text, each with the space before it, if they are encoded as in the text; else the text."""
    found, start, first = list[_Piece](), 0, 0
    for match in re.finditer(r" *[^ ]+", text):
        try:
            own = tokenizer.encode(match.group())
        except EchoError:  # a tokenizer that does not keep the space
            break
        found.append(_Piece(start, match.end(), own, first))
        start, first = match.end(), first + len(own)
    if found and [token for piece in found for token in piece.tokens] == tokens:
        return found
    return [_Piece(0, len(text), tokens, 0)]


def with_tone(syllable: Syllable, tone: str) -> str:
    """The syllable with another tone, written where its own is."""
    places = syllable.at[:1] or (len(unicodedata.normalize("NFD", syllable.base)),)
    return str(replace(syllable, tone=tone, at=places * len(tone)))


def with_tone_anywhere(syllable: Syllable, tone: str, notation: ToneNotation) -> Iterator[str]:
    """The syllable with another tone, in each of the ways in which it may be written: where its own is, and if it has
    none behind it, or with marks on each of its vowels."""
    if syllable.tone or not tone or notation.kind != "diacritics":
        yield with_tone(syllable, tone)
        return
    apart = unicodedata.normalize("NFD", syllable.base)
    for start, end in letter_clusters(apart):
        if apart[start].lower() in NUCLEI:
            yield str(replace(syllable, tone=tone, at=(end,) * len(tone)))


def exchanged(
    notation: ToneNotation, text: str, syllables: Sequence[Syllable], number: int, tone: str
) -> Iterator[tuple[int, int, str]]:
    """Where a syllable of a text stands, its beginning and end, and what may stand there for it to have another tone,
    all others as they are; nothing where it is not found, or where no such text is."""
    at, first = 0, 0  # of the text, and the first syllable of its word
    for n, syllable in enumerate(syllables[: number + 1]):
        start = text.find(str(syllable), at)
        if start < 0 or text[at:start].strip():
            return
        first = n if start > at else first
        at = start + len(str(syllable))
    begins, ends = text.rfind(" ", 0, start) + 1, (text + " ").find(" ", at)
    before = notation.syllables(text[begins:ends])
    wanted = [(one.base, tone if first + n == number else one.tone) for n, one in enumerate(before)]
    for other in with_tone_anywhere(syllables[number], tone, notation):
        found = notation.syllables(text[begins:start] + other + text[at:ends])
        if [(one.base, one.tone) for one in found] == wanted:
            yield start, at, other
