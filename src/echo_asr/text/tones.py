"""Where an orthography writes tone: it splits words into syllables, each a base and a tone, and joins them again.

| kind | written | example |
| --- | --- | --- |
| `digits` | one or more digits behind the syllable: a tone's number, or its contour in Chao's | `ma3`, `ma35` |
| `superscripts` | the same, raised | `ma³⁵` |
| `chao_letters` | Chao's tone letters, either way round, also a tone and what sandhi makes of it | `ma˧˥` |
| `diacritics` | marks on the syllable's nucleus: a vowel, or a syllabic consonant | `mǎ`, `kɔ̃̂`, `ńjà` |
| `letters` | letters at the end of the word | `pob`, `poj` (Hmong) |

What counts as a syllable under `diacritics` is the `unit`: every vowel (Mixtec and Yoruba write a long vowel twice, and
each half carries a tone), a nucleus, that is a run of vowels with one tone between them (Pinyin), or a whole word
(Vietnamese). The letters and numbers for contours are those of Chao 1930.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

Kind = Literal["digits", "superscripts", "chao_letters", "diacritics", "letters"]
Unit = Literal["vowel", "nucleus", "word"]

DIGITS = "0123456789"
SUPERSCRIPTS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
CHAO_LETTERS = "".join(map(chr, (*range(0x2E5, 0x2EA), *range(0xA708, 0xA717))))  # also reversed and dotted ones
TRAILING: dict[str, str] = {"digits": DIGITS, "superscripts": SUPERSCRIPTS, "chao_letters": CHAO_LETTERS}

GRAVE, ACUTE, CIRCUMFLEX, TILDE, MACRON, CARON = "\u0300", "\u0301", "\u0302", "\u0303", "\u0304", "\u030c"
HOOK, DOT_BELOW, HORN = "\u0309", "\u0323", "\u031b"
# Level and contour tones of the IPA and of African, American and East Asian orthographies (a line below is low tone in
# some of Mixtec), and the marks of Thai and Lao.
MARKS = "".join(
    (GRAVE, ACUTE, CIRCUMFLEX, MACRON, CARON, "\u030b\u030f\u030d\u1dc4\u1dc5\u1dc6\u1dc7\u1dc8\u1dc9")
    + ("\u0331\u0e48\u0e49\u0e4a\u0e4b", "\u0ec8\u0ec9\u0eca\u0ecb")
)
VIETNAMESE_MARKS = GRAVE + ACUTE + TILDE + HOOK + DOT_BELOW
SYLLABIC = "\u0329\u030d"  # below and above a consonant that is a nucleus
VOWELS = frozenset("aeiou\u0131\u026a\u028a\u028f\u026f\u0268\u0289\u0258\u0275\u0264\u0259\u025b\u0153\u025c\u025e"
                   "\u028c\u0254\u00e6\u0250\u0251\u0252\u0276\u00f8\u0269\u0277\u027f\u0285\u02ae\u02af\u025a\u025d"
                   "\u01dd\u1d7b\u0277")  # fmt: skip
LENGTH = frozenset(":\u02d0\u02d1\u00b7")
SURE = 0.5  # share of the words with letters that carry a tone, from which digits behind them are tones
MARKED = 0.2  # share of the nuclei that carry a mark, from which diacritics are tones
BROAD = 3  # vowels on which a mark stands that is not the mark of one of them
FEWEST = 20  # words, below which nothing is concluded from shares


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
    def _trailing(self) -> re.Pattern[str]:
        tone = f"[{re.escape(''.join(sorted(self.written)))}]"
        # A sandhi pair of numbers is written with a hyphen: 35-21.
        pair = f"{tone}+(?:-{tone}+)?" if self.kind in ("digits", "superscripts") else f"{tone}+"
        return re.compile(f"({tone}*[^{tone[1:]}+)({pair})?")

    def syllables(self, word: str) -> list[Syllable]:
        """The syllables of a word, whose texts together are the word (composed)."""
        apart = unicodedata.normalize("NFD", word)
        if self.kind == "diacritics":
            return self._marked(apart)
        if self.kind == "letters":
            ends = len(apart) > 1 and apart[-1] in self.written
            return [_syllable(apart[:-1], apart[-1]) if ends else _syllable(apart, "")] if apart else []
        found = [_syllable(base, tone or "") for base, tone in self._trailing.findall(apart)]
        if not found:
            return [_syllable(apart, "")] if apart else []
        if len(found) > 1 and not found[-1].tone and not any(map(str.isalpha, found[-1].base)):
            rest = found.pop()  # a full stop is no syllable
            last = found[-1]
            found[-1] = replace(last, base=last.base + rest.base)
        return found

    def _marked(self, apart: str) -> list[Syllable]:
        """The syllables of a decomposed word whose tones are marks."""
        if self.unit == "word":
            tones = [n for n, character in enumerate(apart) if character in self.written]
            return [self._without(apart, tones)] if apart else []
        clusters = list(_clusters(apart))
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
            while cut > last + 1 and not nuclei[cut - 1] and apart[clusters[cut - 1][0]] not in LENGTH:
                cut -= 1
            cuts.append(clusters[cut][0])
        cuts.append(len(apart))
        parts = [apart[a:b] for a, b in zip(cuts, cuts[1:], strict=False) if a < b]
        return [self._without(part, [n for n, c in enumerate(part) if c in self.written]) for part in parts]

    def _is_nucleus(self, apart: str, clusters: Sequence[tuple[int, int]], n: int) -> bool:
        start, end = clusters[n]
        letter, marks = apart[start].lower(), apart[start + 1 : end]
        if letter in VOWELS or any(c in self.written or c in SYLLABIC for c in marks):
            return True
        follows = apart[clusters[n + 1][0]].lower() if n + 1 < len(clusters) else ""
        return letter == "y" and follows not in VOWELS

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


def _syllable(base: str, tone: str) -> Syllable:
    return Syllable(unicodedata.normalize("NFC", base), tone, (len(base),) * len(tone))


def _clusters(apart: str) -> Iterator[tuple[int, int]]:
    """Beginning and end of each character of a decomposed text with the combining marks on it."""
    start = 0
    for n in range(1, len(apart) + 1):
        if n == len(apart) or not unicodedata.category(apart[n]).startswith("M"):
            yield start, n
            start = n


@dataclass(frozen=True)
class FoundNotation:
    """A notation that texts seem to be written in.

    Attributes:
        notation: the notation, or None where there is none.
        share: of the words (of the nuclei, under `diacritics`) that carry a tone, 0 to 1.
        doubtful: marks that look like tone and are too seldom, or on too few vowels, to be taken for it.
    """

    notation: ToneNotation | None
    share: float
    doubtful: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = "vowels" if self.notation and self.notation.kind == "diacritics" else "words"
        return f"{self.notation or 'none found'} ({100 * self.share:.0f} % of the {what} carry one)"


def find_notation(texts: Iterable[str]) -> FoundNotation:
    """The tone notation of a corpus, from its texts alone.

    Tone letters mean tone wherever they are common; digits and superscripts where most words end in them. Diacritics
    mean tone if at least two marks stand on many vowels each, and a fifth of the nuclei carries one: French or Czech
    accents stand on few vowels or few words. A single mark, as where only high tone is written, is never taken by
    itself; it is named as doubtful.
    """
    words = Counter(word for text in texts for word in unicodedata.normalize("NFD", text).split())
    words = Counter({word: n for word, n in words.items() if any(map(str.isalpha, word))})
    total = words.total()
    if not total:
        return FoundNotation(None, 0.0)
    for kind in ("chao_letters", "superscripts", "digits"):
        notation = ToneNotation(kind)
        carrying = Counter({w: n for w, n in words.items() if any(s.tone for s in notation.syllables(w))})
        share = carrying.total() / total
        if share >= (MARKED if kind == "chao_letters" else SURE):
            bare = sum(n for w, n in words.items() if not all(s.tone for s in notation.syllables(w)))
            return FoundNotation(ToneNotation(kind, unmarked=bare / total >= 0.001), share)
    return _find_diacritics(words)


def _find_diacritics(words: Counter[str]) -> FoundNotation:
    vietnamese = any(HOOK in word for word in words) and any(HORN in word for word in words)
    candidates = VIETNAMESE_MARKS if vietnamese else MARKS
    bearers: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for word, number in words.items():
        for start, end in _clusters(word):
            for mark in word[start + 1 : end]:
                if mark in candidates:
                    bearers[mark].add(word[start].lower())
                    counts[mark] += number
    letters = {word[start].lower() for word in words for start, _ in _clusters(word)} & VOWELS
    enough = min(BROAD, max(2, len(letters)))
    broad = [
        m
        for m in candidates
        if m in bearers and (vietnamese or len(bearers[m] & VOWELS) >= enough or not bearers[m] & VOWELS)
    ]
    notation = ToneNotation("diacritics", "".join(broad) or ACUTE, "word" if vietnamese else "nucleus")
    nuclei = marked = doubled = runs = 0
    for word, number in words.items():
        found = notation.syllables(word)
        nuclei += number * len(found)
        marked += number * sum(bool(s.tone) for s in found)
        for run in re.findall("(?:[" + "".join(VOWELS) + "][\u0300-\u036f\u1dc4-\u1dc9]*){2,}", word):
            runs += number
            doubled += number * (sum(c in broad for c in run) > 1)
    share = marked / nuclei if nuclei else 0.0
    if len(broad) < 2 or share < MARKED or words.total() < FEWEST:
        return FoundNotation(None, share, tuple(m for m in counts if counts[m] >= 0.02 * words.total()))
    unit: Unit = "word" if vietnamese else "vowel" if runs and doubled / runs > 0.5 else "nucleus"
    return FoundNotation(
        ToneNotation("diacritics", "".join(broad), unit), share, tuple(sorted(set(counts) - set(broad)))
    )
