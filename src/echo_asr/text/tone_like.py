"""Finds what looks like tone in texts and is not in their notation: another notation, stray signs, tones of few
syllables."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from echo_asr.text.tones import MARKS, TRAILING, VIETNAMESE_MARKS, ToneNotation, show_tone, tone_order

MIXED = 0.02  # share of the words from which another notation is in use, and no slip
RARE = 0.0005  # share of the syllables up to which a tone is rare
ENOUGH = 1000  # syllables, below which no tone is called rare
EXAMPLES = 3
NAMES = {
    "digits": "digits",
    "superscripts": "superscripts",
    "chao_letters": "Chao's tone letters",
    "diacritics": "diacritics",
    "letters": "letters",
}
_LETTER = f"[^\\W\\d_{TRAILING['superscripts']}][\\u0300-\\u036f\\u1dc4-\\u1dc9\\u02d0\\u02d1:]*"
_BEHIND = {kind: re.compile(f"{_LETTER}[{signs}]") for kind, signs in TRAILING.items()}


@dataclass(frozen=True)
class ToneLike:
    """Signs of tone in words.

    Attributes:
        signs: their kind, or a combining mark.
        words: occurrences of words that have them.
        share: of all words with letters.
        examples: such words, the most frequent first.
        notation: whether the signs are a kind of notation by themselves, rather than marks that this one has not.
    """

    signs: str
    words: int
    share: float
    examples: tuple[str, ...]
    notation: bool = True

    def __str__(self) -> str:
        name = NAMES.get(self.signs) or show_tone(self.signs)
        return f"{name} in {self.words} word{'s' * (self.words != 1)} ({', '.join(self.examples)})"


@dataclass(frozen=True)
class ToneUse:
    """What of tone the words of texts have.

    Attributes:
        own: signs of the notation; None without one, or where no word has any.
        others: signs that are not of it, the most frequent first.
        rare: tones that few syllables have: the tone, how many, and words that have it.
        syllables: that carry a tone of the notation.
    """

    own: ToneLike | None
    others: tuple[ToneLike, ...]
    rare: tuple[tuple[str, int, tuple[str, ...]], ...]
    syllables: int


def tone_use(texts: Iterable[str], notation: ToneNotation | None, doubtful: Sequence[str] = ()) -> ToneUse:
    """Signs of tone in texts: those of a notation, and others.

    Args:
        doubtful: combining marks that may be tone where there is no notation.
    """
    words = Counter(word for text in texts for word in unicodedata.normalize("NFD", text).split())
    words = Counter({word: n for word, n in words.items() if any(map(str.isalpha, word))})
    found: dict[str, Counter[str]] = defaultdict(Counter)
    carrying: Counter[str] = Counter()
    tones: Counter[str] = Counter()
    bearers: dict[str, Counter[str]] = defaultdict(Counter)
    marks = _other_marks(notation, doubtful)
    for word, count in words.items():
        own = [s.tone for s in notation.syllables(word) if s.tone] if notation else []
        for tone in own:
            tones[tone] += count
            bearers[tone][word] += count
        if own:
            carrying[word] += count
        for kind, pattern in _BEHIND.items():
            if (notation is None or kind != notation.kind) and pattern.search(word):
                found[kind][word] += count
        inside = notation is None or notation.kind == "diacritics"
        for mark in marks & set(word):
            if inside:
                found[mark][word] += count
            elif not own:
                found["diacritics"][word] += count
    total = max(1, words.total())
    others = [_tone_like(signs, among, total, len(signs) > 1) for signs, among in found.items()]
    syllables = tones.total()
    few = [tone for tone, count in tones.items() if syllables >= ENOUGH and count <= RARE * syllables]
    rare = [(tone, tones[tone], _examples(bearers[tone])) for tone in sorted(few, key=tone_order)]
    own_signs = _tone_like(notation.kind, carrying, total, True) if notation and carrying else None
    return ToneUse(own_signs, tuple(sorted(others, key=lambda one: -one.words)), tuple(rare), syllables)


def _other_marks(notation: ToneNotation | None, doubtful: Sequence[str]) -> set[str]:
    """Combining marks that may be tone and are not of a notation."""
    if notation is None:
        return set(doubtful)
    if notation.kind != "diacritics":
        return set(MARKS)
    candidates = VIETNAMESE_MARKS if notation.unit == "word" else MARKS
    return set(candidates) - notation.written


def _tone_like(signs: str, words: Counter[str], total: int, notation: bool) -> ToneLike:
    return ToneLike(signs, words.total(), words.total() / total, _examples(words), notation)


def _examples(words: Counter[str]) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", word) for word, _ in words.most_common(EXAMPLES))
