"""Texts that differ in the tone of one syllable: how they are written, and which of their tokens differ."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from echo_asr.decode.given_bases import NUCLEI
from echo_asr.errors import EchoError
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import Syllable, ToneNotation, letter_clusters


class Exchange(NamedTuple):
    """A text in which one syllable has another tone.

    Attributes:
        syllable: its number.
        tone: that it has then.
        start, end: of it in the text as it is.
        written: what stands there instead.
        first, after: of the tokens of the text that are replaced, the first, and the one behind the last.
        tokens: that stand there instead.
        alone: the number of the one token that differs, where its probability is that of the tone: no other tone begins
            as the two that are exchanged do. Else -1.
    """

    syllable: int
    tone: str
    start: int
    end: int
    written: str
    first: int
    after: int
    tokens: list[int]
    alone: int

    @property
    def token(self) -> int:
        """That stands there instead of the one that differs alone."""
        return self.tokens[self.alone - self.first]

    def in_place(self, text: Sequence[int]) -> list[int]:
        """The whole text, as ids."""
        return [*text[: self.first], *self.tokens, *text[self.after :]]


def exchanges(
    tokenizer: Tokenizer,
    notation: ToneNotation,
    tokens: Sequence[int],
    syllables: Sequence[Syllable],
    wanted: Mapping[int, Collection[str]],
) -> Iterator[Exchange]:
    """The texts that differ from one in the tone of a syllable, all else, the other syllables among it, as it is.

    Args:
        tokens: of the text.
        syllables: of it, with those of words without a letter, which have no tone.
        wanted: the tones that a syllable of a number may have; its own does not count.
    """
    text, at, number = tokenizer.decode(list(tokens)), 0, 0
    pieces = iter(_pieces(tokenizer, text, list(tokens)))
    piece = next(pieces, None)
    known = {tone for n, tones in wanted.items() for tone in (*tones, syllables[n].tone) if tone}
    decided = {one for one in known if not any(other != one and other[0] == one[0] for other in known)}
    if notation.kind == "diacritics" and tokenizer.kind == "character":  # a letter without a mark is a symbol, too
        decided.add("")
    for word in text.split():
        at = text.index(word, at)
        own = notation.syllables(word)
        if list(syllables[number : number + len(own)]) != own or "".join(map(str, own)) != word:
            return  # the text is not composed as syllables are
        while piece is not None and piece.end < at + len(word):
            piece = next(pieces, None)
        assert piece is not None
        head, tail, start = text[piece.start : at], text[at + len(word) : piece.end], 0
        for place, syllable in enumerate(own):
            spoken = len(str(syllable))
            others = wanted.get(number + place, ()) if any(map(str.isalpha, word)) else ()
            for tone in (one for one in others if one != syllable.tone):
                meant = [(one.base, tone if n == place else one.tone) for n, one in enumerate(own)]
                for written in _written(syllable, tone, notation):
                    new = word[:start] + written + word[start + spoken :]
                    if [(one.base, one.tone) for one in notation.syllables(new)] != meant:
                        continue
                    try:
                        encoded = tokenizer.encode(head + new + tail)
                    except EchoError:  # no symbol for that letter with that mark
                        continue
                    different = [n for n, (a, b) in enumerate(zip(encoded, piece.tokens, strict=False)) if a != b]
                    alone = len(encoded) == len(piece.tokens) and len(different) == 1 and bool(syllable.tone)
                    alone = alone and {tone, syllable.tone} <= decided
                    first, where = piece.first, (at + start, at + start + spoken)
                    after, one = first + len(piece.tokens), first + different[0] if alone else -1
                    yield Exchange(number + place, tone, *where, written, first, after, encoded, one)
            start += spoken
        at, number = at + len(word), number + len(own)


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


def _written(syllable: Syllable, tone: str, notation: ToneNotation) -> Iterator[str]:
    """A syllable with another tone, in each of the ways in which that may be written: where its own is; if it has none,
    behind it, or as marks on each of its vowels, or, in a script whose vowels are not known, of its letters."""
    apart = unicodedata.normalize("NFD", syllable.base)
    places = [syllable.at[0] if syllable.at else len(apart)]
    if notation.kind == "diacritics" and tone and not syllable.tone:
        letters = [(start, end) for start, end in letter_clusters(apart) if apart[start].isalpha()]
        nuclei = [end for start, end in letters if not NUCLEI.isdisjoint(apart[start:end].lower())]
        places = nuclei or [end for _, end in letters]
    for place in places:
        yield str(replace(syllable, tone=tone, at=(place,) * len(tone)))
