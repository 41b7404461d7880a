"""Finds words that a normaliser merges or splits, because punctuation is part of the orthography and is not configured.

Sentence punctuation and quotation marks around words are ignored, so that ``"Hello!"`` and ``hello`` are one word.
Words that differ in other characters and are equal once normalised (``!ama``, ``//ama`` and ``ama``) are merged; words
with such a character inside (``ka:ti``) are split.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from echo_asr.text.normalize import Normalizer, lower_case

EXAMPLES = 4  # of each kind, in a message
# Written alike: dashes, apostrophes.
_ALIKE = str.maketrans(
    {**dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"), **dict.fromkeys("\u2018\u2019\u201b\uff07", "'")}
)
_QUOTED = re.compile(r"(?<!\S)'(\w[^']*)'(?=[\s.,;:!?]|$)")
_BEFORE = '"([{<\u00ab\u201c\u201e\u2039\u00bf\u00a1\u2026.'  # punctuation before a word
_AFTER = '")]}>\u00bb\u201c\u201d\u203a\u2026.,;:!?'
# A character in a word that no text has by accident.
_CUTS = re.compile("[^\\W\\d_][:!\u00b7\u2027*#@%&\\\\][^\\W\\d_]")


@dataclass(frozen=True)
class Merged:
    """The effects of a normaliser on the words of texts.

    Attributes:
        groups: spellings that become equal, the most frequent first.
        cut: words that are split, the most frequent first.
    """

    groups: tuple[tuple[str, ...], ...]
    cut: tuple[str, ...]

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
        mend = 'if these characters are letters, name them in text.letters, as in --text.letters "\':"'
        return f"as normalised, {' and '.join(found)}; {mend}"


def merged_words(texts: Iterable[str], normalize: Normalizer) -> Merged:
    """Words of different spelling that are equal once normalised, and words that are split."""
    counts: Counter[str] = Counter()
    for text in texts:
        text = text.translate(_ALIKE)
        if "'" in text:
            text = _QUOTED.sub(r"\1", text)
        counts.update(text.split())
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    cut: Counter[str] = Counter()
    for token, count in counts.items():
        word = lower_case(token).lstrip(_BEFORE).rstrip(_AFTER)
        plain = normalize(word)
        if plain and any(map(str.isalpha, plain)):  # numbers are written in many ways
            spellings[plain][word] += count
            if " " in plain and _CUTS.search(word):
                cut[word] += count
    groups = [found for found in spellings.values() if len(found) > 1]
    groups.sort(key=lambda found: -found.total())
    ranked = [tuple(word for word, _ in counted.most_common()) for counted in (*groups, cut)]
    return Merged(tuple(ranked[:-1]), ranked[-1])
