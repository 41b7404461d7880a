"""Finds where texts write tone, from the texts alone."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from echo_asr.text.tones import (
    ACUTE,
    DOUBLE_ACUTE,
    HOOK,
    HORN,
    MARKS,
    SCRIPT_MARKS,
    VIETNAMESE_MARKS,
    VOWELS,
    ToneNotation,
    Unit,
    letter_clusters,
)  # fmt: skip

VOWEL_RUN = re.compile("(?:[" + "".join(sorted(VOWELS)) + "][\u0300-\u036f\u1dc4-\u1dc9]*){2,}", re.IGNORECASE)
SURE = 0.5  # share of the words with letters, or of the nuclei, that carry a tone, from which signs are tones
MARKED = 0.2  # share of the nuclei that carry a mark, from which diacritics are tones
BROAD, SECOND = 3, 2  # vowels on which one mark must stand, and each other one, to be no part of a vowel's letter
SEVERAL = 0.05  # share of the words of several nuclei with several marks, unless half of the nuclei carry one
DOUBLED = 0.1  # share of the runs of vowels with two marks, from which each vowel carries a tone
FEWEST = 20  # words, below which nothing is concluded from shares


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
    mean tone if one mark stands on three vowels, another on two, and half of the nuclei carry one, or a fifth and some
    words several: accents of French or Czech stand on few vowels or words, on consonants, or once in a word. A single
    mark, as where only high tone is written, is never taken by itself; it is named as doubtful.
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
        for start, end in letter_clusters(word):
            for mark in filter(candidates.__contains__, word[start + 1 : end]):
                bearers[mark].add(word[start].lower())
                counts[mark] += number
    letters = {word[start].lower() for word in words for start, _ in letter_clusters(word)} & VOWELS
    vowels = {mark: len(bearers[mark] & VOWELS) for mark in bearers}
    # Hungarian has the double acute on two vowels, beside an acute on all.
    least = {mark: BROAD if mark == DOUBLE_ACUTE else SECOND for mark in bearers}
    own = vietnamese or any(mark in SCRIPT_MARKS for mark in bearers)
    if own or max(vowels.values(), default=0) >= min(BROAD, max(SECOND, len(letters))):
        broad = [m for m in candidates if m in bearers and (own or vowels[m] >= least[m])]
    else:
        broad = []
    notation = ToneNotation("diacritics", "".join(broad) or ACUTE, "word" if vietnamese else "nucleus")
    nuclei = marked = long = several = doubled = runs = 0
    for word, number in words.items():
        found = notation.syllables(word)
        nuclei += number * len(found)
        tones = sum(bool(s.tone) for s in found)
        marked += number * tones
        long += number * (len(found) > 1)
        several += number * (tones > 1)
        for run in VOWEL_RUN.findall(word):
            runs += number
            doubled += number * (sum(c in broad for c in run) > 1)
    share = marked / nuclei if nuclei else 0.0
    enough = share >= SURE or (share >= MARKED and several >= SEVERAL * long)
    if len(broad) < 2 or not enough or words.total() < FEWEST:
        return FoundNotation(None, share, tuple(m for m in counts if counts[m] >= 0.02 * words.total()))
    unit: Unit = "word" if vietnamese else "vowel" if doubled > DOUBLED * runs else "nucleus"
    return FoundNotation(
        ToneNotation("diacritics", "".join(broad), unit), share, tuple(sorted(set(counts) - set(broad)))
    )
