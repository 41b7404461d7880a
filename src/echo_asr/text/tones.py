"""Where an orthography writes tone: it splits words into syllables, each a base and a tone, and joins them again.

| kind | written | example |
| --- | --- | --- |
| `digits` | one or more digits behind the syllable: a tone's number, or its contour in Chao's | `ma3`, `ma35` |
| `superscripts` | the same, raised, also before the syllable | `ma³⁵` |
| `chao_letters` | Chao's tone letters, either way round, also before the syllable | `ma˧˥`, `꜒ma` |
| `diacritics` | marks on the syllable's nucleus: a vowel, or a syllabic consonant | `mǎ`, `kɔ̃̂`, `ńjà` |
| `letters` | a letter at the end of the word, or other signs at both its ends | `pob` (Hmong), `-kpa'` |

Of the first three a tone and what sandhi makes of it are one: `ma35-21`, `ma˥˩→˥˧`.

What counts as a syllable under `diacritics` is the `unit`: every vowel (Mixtec and Yoruba write a long vowel twice, and
each half carries a tone), a nucleus, that is a run of vowels with one tone between them (Pinyin), or a whole word
(Vietnamese). Consonants between two nuclei go with the second, but for the codas n, ng and r where the marks are those
of Pinyin. The letters and numbers for contours are those of Chao 1930.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Kind = Literal["digits", "superscripts", "chao_letters", "diacritics", "letters"]
Unit = Literal["vowel", "nucleus", "word"]

DIGITS = "0123456789"
SUPERSCRIPTS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
CHAO_LETTERS = "".join(map(chr, (*range(0x2E5, 0x2EA), *range(0xA708, 0xA717))))  # also reversed and dotted ones
TRAILING: dict[str, str] = {"digits": DIGITS, "superscripts": SUPERSCRIPTS, "chao_letters": CHAO_LETTERS}

GRAVE, ACUTE, CIRCUMFLEX, TILDE, MACRON, CARON = "\u0300", "\u0301", "\u0302", "\u0303", "\u0304", "\u030c"
HOOK, DOT_BELOW, HORN, DOUBLE_ACUTE = "\u0309", "\u0323", "\u031b", "\u030b"
# Level and contour tones of the IPA and of African, American and East Asian orthographies (a line below is low tone in
# some of Mixtec), and the marks of Thai and Lao.
SCRIPT_MARKS = "\u0e48\u0e49\u0e4a\u0e4b\u0ec8\u0ec9\u0eca\u0ecb"  # of Thai and Lao
LEVELS = GRAVE + ACUTE + CIRCUMFLEX + MACRON + CARON
MARKS = LEVELS + DOUBLE_ACUTE + "\u030f\u030d\u1dc4\u1dc5\u1dc6\u1dc7\u1dc8\u1dc9\u0331\u0332" + SCRIPT_MARKS
PINYIN_MARKS = GRAVE + ACUTE + MACRON + CARON
VIETNAMESE_MARKS = GRAVE + ACUTE + TILDE + HOOK + DOT_BELOW
SYLLABIC = frozenset("\u0329\u030d")  # below and above a consonant that is a nucleus
VOWELS = frozenset("aeiou\u0131\u026a\u028a\u028f\u026f\u0268\u0289\u0258\u0275\u0264\u0259\u025b\u0153\u025c\u025e"
                   "\u028c\u0254\u00e6\u0250\u0251\u0252\u0276\u00f8\u0269\u0277\u027f\u0285\u02ae\u02af\u025a\u025d"
                   "\u01dd\u1d7b\u03b5")  # fmt: skip
LENGTH = frozenset(":\u02d0\u02d1\u00b7")
# What belongs to the syllable before it: length, a rhotic hook, punctuation, vowels of Thai and Lao.
CLOSING = LENGTH | set("\u02de.,;?)-\u2013\u2014\u2026\u0e30\u0e32\u0e33\u0e45\u0eb0\u0eb2\u0eb3")
SANDHI = "-\u2013\u207b\u2192>/"  # between a tone and what becomes of it
ONSET = re.compile("(?:[zcs]h|['\u2019]?.)$", re.IGNORECASE | re.DOTALL)  # of a syllable of Pinyin, behind a coda


@dataclass(frozen=True)
class Syllable:
    """A part of a word that carries one tone or none.

    Attributes:
        base: without its tone, composed (NFC).
        tone: digits, letters or combining marks, as written; empty where none is.
        at: of each character of the tone, behind how many characters of the decomposed base it stands.
    """

    base: str
    tone: str
    at: tuple[int, ...]

    def __str__(self) -> str:
        whole = list(unicodedata.normalize("NFD", self.base))
        for number, (character, place) in enumerate(zip(self.tone, self.at, strict=True)):
            whole.insert(place + number, character)
        return unicodedata.normalize("NFC", "".join(whole))


@dataclass(frozen=True)
class ToneNotation:
    """How an orthography writes tone.

    Attributes:
        kind: where tone is written, see the table above.
        marks: the characters that write it: combining marks under `diacritics`, letters under `letters`; empty for all
            that the kind knows.
        unit: what carries one tone under `diacritics`.
        unmarked: whether a syllable without a mark has a tone of its own (low where high is marked, or neutral).
    """

    kind: Kind
    marks: str = ""
    unit: Unit = "nucleus"
    unmarked: bool = True

    def __post_init__(self) -> None:
        if self.kind == "letters" and not self.marks:
            raise ValueError("tone notation letters: name the letters that write tone, such as bjvsmgd")

    @cached_property
    def written(self) -> frozenset[str]:
        default = MARKS if self.kind == "diacritics" else TRAILING.get(self.kind, "")
        return frozenset(unicodedata.normalize("NFD", self.marks or default))

    @cached_property
    def letters_and_signs(self) -> tuple[frozenset[str], str]:
        """Of what writes tone under `letters`, the letters of an alphabet and all else."""
        letters = frozenset(mark for mark in self.written if unicodedata.category(mark) in ("Ll", "Lu", "Lo"))
        return letters, "".join(sorted(self.written - letters))

    @cached_property
    def _beside(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        """Patterns of a syllable's base and the tone behind it, and of the tone before it and the base."""
        one = f"[{re.escape(''.join(sorted(self.written)))}]"
        tone, base = f"{one}+(?:[{SANDHI}]{one}+)*", f"[^{one[1:]}+"
        return re.compile(f"({one}*{base})({tone})?"), re.compile(f"({tone})({base})?")

    def syllables(self, word: str) -> list[Syllable]:
        """The syllables of a word, whose texts together are the word (composed)."""
        apart = unicodedata.normalize("NFD", word)
        if not any(map(str.isalpha, apart)):
            return [_syllable(apart)] if apart else []
        if self.kind == "diacritics":
            return self._marked(apart)
        if self.kind == "letters":
            return [self._ended(apart)]
        return self._beside_bases(apart)

    def _beside_bases(self, apart: str) -> list[Syllable]:
        """The syllables of a decomposed word whose tones stand behind them, or before them if it begins with one."""
        behind, before = self._beside
        if self.kind != "digits" and apart[0] in self.written:
            return _merged(_syllable(base, tone, 0 if base else None) for tone, base in before.findall(apart))
        parts: list[Syllable] = []
        for base, tone in behind.findall(apart):
            rest = base.lstrip("".join(CLOSING)) if parts else base
            if rest != base:
                parts[-1] = _append(parts[-1], _syllable(base[: len(base) - len(rest)]))
            parts.append(_syllable(rest, tone))
        return _merged(parts)

    def _ended(self, apart: str) -> Syllable:
        """A decomposed word whose tone is a letter at its end, or other signs at either end."""
        letters, signs = self.letters_and_signs
        start, end = len(apart) - len(apart.lstrip(signs)), len(apart.rstrip(signs))
        tones = [*range(start), *range(end, len(apart))]
        if end == len(apart) > start + 1 and {apart[-1], apart[-1].lower()} & letters:
            tones.append(end - 1)
        return self._without(apart, tones)

    def _marked(self, apart: str) -> list[Syllable]:
        """The syllables of a decomposed word whose tones are marks."""
        if self.unit == "word":
            tones = [n for n, character in enumerate(apart) if character in self.written]
            return [self._without(apart, tones)] if apart else []
        clusters = list(letter_clusters(apart))
        nuclei = [self._is_nucleus(apart, clusters, n) for n in range(len(clusters))]
        starts, toned, before = [], False, -2
        for n, (start, end) in enumerate(clusters):
            if not nuclei[n]:
                continue
            mark = any(c in self.written for c in apart[start:end])
            goes_on = self.unit == "nucleus" and before == n - 1 and not (mark and toned)
            if not goes_on:
                starts.append(n)
                toned = False
            toned, before = toned or mark, n
        # The consonants between two nuclei go with the second.
        cuts = [0]
        for last, now in zip(starts, starts[1:], strict=False):
            cut = now
            while cut > last + 1 and not nuclei[cut - 1] and apart[clusters[cut - 1][0]] not in CLOSING:
                cut -= 1
            between = "".join(apart[start] for start, _ in clusters[cut:now])
            if self.written == set(PINYIN_MARKS) and (onset := ONSET.search(between)):
                cut += onset.start()
            cuts.append(clusters[cut][0])
        cuts.append(len(apart))
        parts = [apart[a:b] for a, b in zip(cuts, cuts[1:], strict=False) if a < b]
        return [self._without(part, [n for n, c in enumerate(part) if c in self.written]) for part in parts]

    def _is_nucleus(self, apart: str, clusters: Sequence[tuple[int, int]], n: int) -> bool:
        start, end = clusters[n]
        letter, marks = apart[start].lower(), apart[start + 1 : end]
        if letter in VOWELS or any(c in self.written for c in marks):
            return True
        follows = apart[clusters[n + 1][0]].lower() if n + 1 < len(clusters) else ""
        return (letter == "y" or not SYLLABIC.isdisjoint(marks)) and follows not in VOWELS

    @staticmethod
    def _without(part: str, tones: Sequence[int]) -> Syllable:
        base = "".join(c for n, c in enumerate(part) if n not in set(tones))
        tone = "".join(part[n] for n in tones)
        return Syllable(unicodedata.normalize("NFC", base), tone, tuple(n - before for before, n in enumerate(tones)))

    def split(self, text: str) -> list[Syllable]:
        """The syllables of all words of a text that have a letter; numbers and the symbols of events have none."""
        return [s for word in text.split() if any(map(str.isalpha, word)) for s in self.syllables(word)]

    def without_tones(self, text: str) -> str:
        """A text without its tones, words separated by single spaces."""
        return " ".join("".join(s.base for s in self.syllables(word)) for word in text.split())

    def tones(self, text: str) -> list[str]:
        """The tones of a text's syllables; `""` for those without, where that is a tone by itself."""
        return [s.tone for s in self.split(text) if s.tone or self.unmarked]

    def __str__(self) -> str:
        shown = " ".join(show_tone(mark) for mark in self.marks)
        unmarked = ", unmarked syllables have a tone of their own" if self.unmarked else ""
        return f"{self.kind}{' ' if shown else ''}{shown}{unmarked}"


def join_syllables(syllables: Iterable[Syllable]) -> str:
    """The word that syllables make, composed (NFC)."""
    return unicodedata.normalize("NFC", "".join(map(str, syllables)))


def show_tone(tone: str) -> str:
    """A tone as it is printed: combining marks on a dotted circle, none as `-`."""
    return f"\u25cc{tone}" if tone and unicodedata.combining(tone[0]) else tone or "-"


def tone_order(tone: str) -> tuple[str, str]:
    """A key by which tones are sorted: superscripts as the digits that they are."""
    return unicodedata.normalize("NFKC", tone), tone


def _syllable(base: str, tone: str = "", at: int | None = None) -> Syllable:
    """A syllable of a decomposed base whose tone stands at one place, behind the base unless another is named."""
    return Syllable(unicodedata.normalize("NFC", base), tone, (len(base) if at is None else at,) * len(tone))


def _append(one: Syllable, other: Syllable) -> Syllable:
    """Two parts of a word as one syllable."""
    length = len(unicodedata.normalize("NFD", one.base))
    base = unicodedata.normalize("NFC", one.base + other.base)
    return Syllable(base, one.tone + other.tone, one.at + tuple(length + place for place in other.at))


def _merged(parts: Iterable[Syllable]) -> list[Syllable]:
    """Parts of a word, those appended to the one before that are no syllables: without letters, or an r alone."""
    found: list[Syllable] = []
    for part in parts:
        if found and (not any(map(str.isalpha, part.base)) or (part.base in "rR" and not part.tone)):
            found[-1] = _append(found[-1], part)
        else:
            found.append(part)
    return found


def letter_clusters(apart: str) -> Iterator[tuple[int, int]]:
    """Beginning and end of each character of a decomposed text with the combining marks on it."""
    start = 0
    for n in range(1, len(apart) + 1):
        if n == len(apart) or not unicodedata.category(apart[n]).startswith("M"):
            yield start, n
            start = n
