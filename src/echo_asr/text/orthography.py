"""Finds what a normaliser does to an orthography: words that it merges or splits, because punctuation is part of the
orthography and is not configured, and signs of tone and length that it removes or tears from their word.

Sentence punctuation and quotation marks around words are ignored, so that ``"Hello!"`` and ``hello`` are one word.
Words that differ in other characters and are equal once normalised (``!ama``, ``//ama`` and ``ama``) are merged; words
with such a character inside (``ka:ti``) are split.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from echo_asr.text.normalize import Normalizer, lower_case, normalize_basic
from echo_asr.text.tones import CHAO_LETTERS, VOWELS, ToneNotation

EXAMPLES = 4  # of each kind, in a message
# Written alike: dashes, apostrophes.
_ALIKE = str.maketrans(
    {**dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"), **dict.fromkeys("\u2018\u2019\u201b\uff07", "'")}
)
_QUOTED = re.compile(r"(?<!\S)'(\w[^']*)'(?=[\s.,;:!?]|$)")
_BEFORE = '"([{<\u00ab\u201c\u201e\u2039\u00bf\u00a1\u2026.'  # punctuation before a word
_AFTER = '")]}>\u00bb\u201c\u201d\u203a\u2026.,;:!?'
_LENGTH = "\u02d0\u02d1\ua789:\u00b7"
# A vowel, its marks and tone letters, and its length.
_LONG = re.compile(
    f"[{''.join(sorted(VOWELS))}][\u0300-\u036f\u1dc4-\u1dc9{CHAO_LETTERS}]*([{_LENGTH}]+)(?![{_LENGTH}])"
)
SAMPLE = 200  # words of which advice is tried
# A character in a word that no text has by accident.
_CUTS = re.compile("[^\\W\\d_][:!\u00b7\u2027*#@%&\\\\][^\\W\\d_]")


@dataclass(frozen=True)
class Merged:
    """The effects of a normaliser on the words of texts.

    Attributes:
        groups: spellings that become equal, the most frequent first.
        cut: words that are split, the most frequent first.
        kept_by_basic: whether the normaliser `basic` merges and splits none of them.
        signs: the punctuation in which spellings differ, or at which words are split.
    """

    groups: tuple[tuple[str, ...], ...]
    cut: tuple[str, ...]
    kept_by_basic: bool = False
    signs: str = ""

    def __bool__(self) -> bool:
        return bool(self.groups or self.cut)

    def __str__(self) -> str:
        found = []
        if self.groups:
            shown = "; ".join(", ".join(group) for group in self.groups[:EXAMPLES])
            more = "; ..." if len(self.groups) > EXAMPLES else ""
            found.append(f"{sum(map(len, self.groups))} words fall together with others ({shown}{more})")
        if self.cut:
            shown = ", ".join(self.cut[:EXAMPLES])
            found.append(f"{len(self.cut)} are cut in two ({shown}{', ...' if len(self.cut) > EXAMPLES else ''})")
        mend = f"if {' '.join(self.signs)} are letters, name them in text.letters"
        if len(self.signs) < 2:
            mend = f"if {self.signs or 'what they differ in'} is a letter, name it in text.letters"
        if self.kept_by_basic:
            mend = "text.normalizer basic keeps them apart"
        return f"as normalised, {' and '.join(found)}; {mend}"


def merged_words(texts: Iterable[str], normalize: Normalizer, lost: frozenset[str] = frozenset()) -> Merged:
    """Words of different spelling that are equal once normalised, and words that are split.

    Args:
        lost: characters that are reported by themselves (`lost_signs`); words that differ in them alone are left out.
    """
    counts = _count_words(texts)
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    cut: Counter[str] = Counter()
    for token, count in counts.items():
        word = lower_case(token).lstrip(_BEFORE).rstrip(_AFTER)
        plain = normalize(word)
        if plain and any(map(str.isalpha, plain)):  # numbers are written in many ways
            word = _without(word, lost)
            spellings[plain][word] += count
            if " " in plain and _CUTS.search(word):
                cut[word] += count
    groups = [found for found in spellings.values() if len(found) > 1]
    groups.sort(key=lambda found: -found.total())
    ranked = [tuple(word for word, _ in counted.most_common()) for counted in (*groups, cut)]
    words = {word for group in ranked for word in group}
    apart = len({normalize_basic(word) for word in words}) == len(words) and not any(
        " " in normalize_basic(word) for word in words
    )
    differing = [{c for word in group for c in word if not all(c in other for other in group)} for group in ranked[:-1]]
    inside = [set(word.strip(_BEFORE + _AFTER)) for word in ranked[-1]]
    signs = sorted(c for c in set().union(*differing, *inside) if unicodedata.category(c)[0] == "P")
    return Merged(tuple(ranked[:-1]), ranked[-1], apart, "".join(signs))


def _count_words(texts: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        text = text.translate(_ALIKE)
        if "'" in text:
            text = _QUOTED.sub(r"\1", text)
        counts.update(text.split())
    return counts


def _without(word: str, characters: frozenset[str]) -> str:
    if not characters:
        return word
    apart = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", "".join(c for c in apart if c not in characters))


@dataclass(frozen=True)
class LostSigns:
    """Signs of tone and length that a normaliser removes, changes, or tears from their word.

    Attributes:
        tones, lengths: words that lose some, as they stand and as normalised, the most frequent first.
        toned, tone_words, length_words: occurrences of words with tones, of those that lose some, and of those that
            lose length.
        characters: the signs.
        advice: the setting that keeps them.
    """

    tones: tuple[tuple[str, str], ...] = ()
    lengths: tuple[tuple[str, str], ...] = ()
    toned: int = 0
    tone_words: int = 0
    length_words: int = 0
    characters: frozenset[str] = frozenset()
    advice: str = ""

    def __bool__(self) -> bool:
        return bool(self.tones or self.lengths)

    def __str__(self) -> str:
        found = [
            f"{name} of {number} word{'s' * (number != 1)} ({'; '.join(f'{a} -> {b}' for a, b in pairs[:EXAMPLES])})"
            for name, number, pairs in (
                ("the tones", self.tone_words, self.tones),
                ("the length", self.length_words, self.lengths),
            )
            if pairs
        ]
        return f"normalising removes or splits off {' and '.join(found)}; {self.advice}"


def lost_signs(texts: Iterable[str], normalize: Normalizer, notation: ToneNotation | None = None) -> LostSigns:
    """Signs of tone and length that are not, after normalising, what they were and on the word where they were.

    Args:
        notation: of the tones; without one, Chao's tone letters alone are looked for.
    """
    notation = notation or ToneNotation("chao_letters")
    tones: Counter[tuple[str, str]] = Counter()
    lengths: Counter[tuple[str, str]] = Counter()
    toned, characters = 0, set[str]()
    for token, count in _count_words(texts).items():
        word = lower_case(token).lstrip(_BEFORE).rstrip(_AFTER)
        if not any(map(str.isalpha, word)):
            continue
        before = _tones_of(word, notation)
        long = _long(word)
        if not before and not long:
            continue
        plain = normalize(word)
        toned += count * bool(before)
        if before and before != _tones_of(plain, notation):
            tones[word, plain] += count
            characters |= set("".join(before))
        if long and (_long(plain) != long or " " in plain):
            lengths[word, plain] += count
            characters |= set("".join(long))
    if not tones and not lengths:
        return LostSigns(toned=toned)
    lost, torn = (tuple(pair for pair, _ in counted.most_common()) for counted in (tones, lengths))
    advice = _advice([word for word, _ in (*lost, *torn)][:SAMPLE], notation)
    return LostSigns(lost, torn, toned, tones.total(), lengths.total(), frozenset(characters), advice)


def _tones_of(text: str, notation: ToneNotation) -> list[str]:
    """The tone of each syllable; empty where none has one."""
    found = [syllable.tone for syllable in notation.split(text)]
    return found if any(found) else []


def _long(word: str) -> list[str]:
    return _LONG.findall(unicodedata.normalize("NFD", word))


def _advice(words: list[str], notation: ToneNotation) -> str:
    """The first setting that leaves signs of tone and length in words as they are."""
    signs = "".join(sorted({c for word in words for c in word if unicodedata.category(c)[0] == "P" and c not in "'-"}))
    for letters in ("", signs, f"-{signs}"):
        pairs = notation.kind in ("digits", "superscripts")
        plain = partial(normalize_basic, letters=letters, tone_pairs=pairs)
        if all(_tones_of(w, notation) == _tones_of(plain(w), notation) and _long(w) == _long(plain(w)) for w in words):
            return "set text.normalizer basic" + (f' and text.letters "{letters}"' if letters else "")
    return "set text.normalizer none"
