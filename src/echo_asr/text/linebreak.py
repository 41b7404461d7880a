"""Line breaking: at spaces, between ideographs, and in a word that is longer than a line."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby, pairwise

# Control characters, line separators, and the byte order mark.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
_BREAKING = re.compile(r"[^\S\u00a0\u2007\u202f]+")  # white space except no-break spaces
# Thai and Lao AM, half-width voicing marks, skin tones: part of the character before them, though not marks.
_EXTENDING = re.compile("[\u0e33\u0eb3\uff9e\uff9f\U0001f3fb-\U0001f3ff]")
_REGIONAL = re.compile("[\U0001f1e6-\U0001f1ff]")  # two make a flag
_HANGUL = re.compile("[\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff]")
_LEADING = re.compile("[\u1100-\u115f\ua960-\ua97c]")  # the consonant that begins a Korean syllable
_FOLLOWING = re.compile("[\u1160-\u11ff\ud7b0-\ud7fb]")  # its vowel, and the consonant that ends it
_MARKS = ("Mn", "Mc", "Me", "Cf")  # categories of marks, and of joiners and the like
_NO_BEGINNING = "ーヽヾゝゞ々〻ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ"  # no Japanese line begins with these


def clean_text(text: str) -> str:
    """The text on one line: line breaks and control characters become spaces, and lone surrogates question marks."""
    return _CONTROLS.sub(" ", text.encode("utf-8", "replace").decode("utf-8")).strip()


def display_width(text: str) -> int:
    """Columns of a text in a terminal or subtitle: two for a wide East Asian character, none for a combining mark, else
    one.

    After Unicode Standard Annex #11, East Asian Width.
    """
    visible = (c for c in text if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in visible)


def grapheme_clusters(text: str) -> list[str]:
    """Split a text into user-perceived characters: a letter with its marks, a syllable, a flag, an emoji.

    After the extended grapheme clusters of Unicode Standard Annex #29, except for rare letters; other deviations keep
    more characters together.
    """
    cuts = [0, *(index for index in range(1, len(text)) if not _belongs(text, index)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts) if end > start]


def unbreakable_parts(text: str, columns: int) -> list[tuple[str, bool]]:
    """The parts of a text that no line break should split, each with whether a space precedes it.

    These are words between spaces; where a word has ideographs or emoji, each of them with the punctuation that
    belongs to it; and of a word wider than `columns`, its grapheme clusters. No part is wider than `columns` or
    blank.
    """
    found: list[tuple[str, bool]] = []
    for word in _BREAKING.split(text):
        whole = display_width(word) <= columns and not any(map(_stands_alone, word))
        for token in [word.strip()] if whole else word.split():
            found += [(unit, index == 0) for index, unit in enumerate(_split_token(token, columns))]
    return found


def _split_token(token: str, columns: int) -> list[str]:
    units: list[str] = []
    for alone, run in groupby(grapheme_clusters(token), _stands_alone):
        parts = list(run)
        if not alone and sum(map(display_width, parts)) <= columns:
            parts = ["".join(parts)]
        for part in parts:
            closes = part[0] in _NO_BEGINNING or unicodedata.category(part[0]) in ("Pe", "Pf", "Po")
            opened = bool(units) and unicodedata.category(units[-1][-1]) in ("Ps", "Pi")
            if units and (closes or opened) and display_width(units[-1] + part) <= columns:
                units[-1] += part
            else:
                units += [part] if display_width(part) <= columns else part  # not a cluster of any script
    return units


def _stands_alone(cluster: str) -> bool:
    """Whether lines may end beside it without a space. Korean is as wide, but has spaces between words."""
    return unicodedata.east_asian_width(cluster[0]) in "WF" and not _HANGUL.match(cluster)


def _belongs(text: str, index: int) -> bool:
    """Whether the character at `index` is part of the cluster before it."""
    before, here = text[index - 1], text[index]
    if unicodedata.category(here) in _MARKS or _EXTENDING.match(here):
        return True
    if unicodedata.category(before) == "Cf":  # the zero-width joiner of emoji, Arabic number signs
        return before not in "\u00ad\u200b"  # soft hyphen and zero-width space allow breaks
    if _FOLLOWING.match(here) or _LEADING.match(before) and _HANGUL.match(here):
        return True
    start = index
    if _REGIONAL.match(here):
        while start and _REGIONAL.match(text[start - 1]):
            start -= 1
        return (index - start) % 2 == 1
    while start and unicodedata.category(text[start - 1]) in _MARKS:
        start -= 1
    return any(unicodedata.combining(mark) == 9 for mark in text[start:index])  # a virama joins two consonants
