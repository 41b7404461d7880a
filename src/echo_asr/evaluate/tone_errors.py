"""Errors of tones and of base syllables, read from one alignment of the syllables of reference and hypothesis.

A text's words are split into syllables, each a base and a tone (`echo_asr.text.tones`), and the syllables of the whole
text are aligned with the fewest insertions, deletions and substitutions; among alignments with as few, one whose pairs
differ in the fewest bases and tones. From it are read

- the **tone error**: pairs whose tones differ, and tones of syllables that are missing or too many, over the
  reference's tones;
- the **base error**: pairs whose bases differ, and missing and extra syllables, over the reference's syllables;
- the **confusions**: how often each tone of the reference was recognised as which, missed, or put where none is.

A tone counts as right only on the syllable that it belongs to. The edit distance of the bare sequences of tones, which
some publications report as tone error, is at most as large: it may pair a tone with that of any other syllable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from echo_asr.evaluate.metrics import ErrorRate, count_errors, rate_of_counts
from echo_asr.text.linebreak import display_width
from echo_asr.text.tones import Syllable, ToneNotation, show_tone, tone_order

Pair = tuple[Syllable | None, Syllable | None]


@dataclass(frozen=True)
class ToneErrors:
    """What was wrong in tones, in bases, and in words without their tones.

    Attributes:
        tone, base: error rates over the reference's tones and syllables.
        toneless: word error rate of the texts without tones.
        confusions: how often a tone of the reference (None: no syllable there) met one of the hypothesis (None: the
            syllable is missing); a syllable without a mark has the tone `""`.
    """

    tone: ErrorRate
    base: ErrorRate
    toneless: ErrorRate
    confusions: dict[tuple[str | None, str | None], int]
    notation: ToneNotation

    def to_dict(self) -> dict[str, Any]:
        """The errors, and the confusions as `[reference, recognised, count]`, null where there is no tone."""
        confusions = [[left, right, count] for (left, right), count in sorted(self.confusions.items(), key=_place)]
        rates = {"tone": self.tone, "base": self.base, "toneless": self.toneless}
        found = {name: rate.to_dict() for name, rate in rates.items()}
        return {**found, "tones": asdict(self.notation), "confusions": confusions}

    def lines(self) -> list[str]:
        """The errors and the table of confusions as they are printed."""
        cells = self.table()
        widths = [
            max(display_width(row[column]) for row in cells if column < len(row)) for column in range(len(cells[0]))
        ]
        rows = ("  ".join(_right(cell, width) for cell, width in zip(row, widths, strict=False)) for row in cells)
        return [
            f"tone error       {self.tone}",
            f"base syllables   {self.base}",
            f"without tones    {self.toneless}",
            "tones (rows: in the texts; columns: recognised)",
            *(f"  {row}".rstrip() for row in rows),
        ]

    def table(self) -> list[list[str]]:
        """Confusions as rows of text: a row for each tone of the reference, a column for each recognised."""
        rows = sorted({r for r, _ in self.confusions if r is not None}, key=tone_order)
        columns = sorted({h for _, h in self.confusions if h is not None} | set(rows), key=tone_order)
        found = [["", *map(show_tone, columns), "missed"]]
        for row in rows:
            counts = [self.confusions.get((row, column), 0) for column in (*columns, None)]
            found.append([show_tone(row), *map(str, counts)])
        extra = [self.confusions.get((None, column), 0) for column in columns]
        if any(extra):
            found.append(["extra", *map(str, extra), ""])
        return found


def tone_errors(references: Sequence[str], hypotheses: Sequence[str], notation: ToneNotation) -> ToneErrors:
    """Errors of hypotheses in tones, bases and toneless words; texts are compared as they come, normalise them first.

    Raises:
        ValueError: no utterance, or lists of different length.
    """
    if not references or len(references) != len(hypotheses):
        raise ValueError(f"hypotheses: expected one for each of {len(references)} references, got {len(hypotheses)}")
    tones, bases, confusions = count_tone_errors(references, hypotheses, notation)
    ours, theirs = ([notation.without_tones(text) for text in texts] for texts in (references, hypotheses))
    toneless = rate_of_counts(count_errors(ours, theirs, "word"))
    return ToneErrors(rate_of_counts(tones), rate_of_counts(bases), toneless, dict(confusions), notation)


def count_tone_errors(
    references: Sequence[str], hypotheses: Sequence[str], notation: ToneNotation
) -> tuple[np.ndarray, np.ndarray, Counter[tuple[str | None, str | None]]]:
    """Of tones and of bases `(U, 4)` each: insertions, deletions, substitutions and the reference's units of each
    utterance; and how often which tone met which."""
    tones, bases = (np.zeros((len(references), 4), dtype=np.int64) for _ in range(2))
    confusions: Counter[tuple[str | None, str | None]] = Counter()
    for row, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
        for left, right in align_syllables(notation.split(reference), notation.split(hypothesis)):
            pair = _tone(left, notation), _tone(right, notation)
            _count(tones[row], *pair)
            _count(bases[row], *(None if one is None else one.base for one in (left, right)))
            if pair != (None, None):
                confusions[pair] += 1
    return tones, bases, confusions


def _place(item: tuple[tuple[str | None, str | None], int]) -> tuple[object, ...]:
    """Where a pair of tones stands: what has no tone comes last."""
    (left, right), _ = item
    return left is None, tone_order(left or ""), right is None, tone_order(right or "")


def _right(cell: str, width: int) -> str:
    return " " * (width - display_width(cell)) + cell


def _tone(syllable: Syllable | None, notation: ToneNotation) -> str | None:
    """The tone of a syllable; None where there is no syllable, or one that has no tone."""
    if syllable is None or not (syllable.tone or notation.unmarked):
        return None
    return syllable.tone


def _count(counts: np.ndarray, reference: str | None, hypothesis: str | None) -> None:
    """Add a pair to insertions, deletions, substitutions and reference units `(4,)`."""
    if reference is not None:
        counts[3] += 1
    if reference != hypothesis:
        counts[0 if reference is None else 1 if hypothesis is None else 2] += 1


def align_syllables(reference: Sequence[Syllable], hypothesis: Sequence[Syllable]) -> list[Pair]:
    """Pairs of a shortest alignment (Levenshtein), in order; of several, one whose pairs are the most alike."""
    ours, theirs = [(s.base, s.tone) for s in reference], [(s.base, s.tone) for s in hypothesis]
    if ours == theirs:
        return list(zip(reference, hypothesis, strict=True))
    rows, columns = len(ours), len(theirs)
    # Edits come first, then bases and tones that differ within pairs, then errors of tones, then missing and extra
    # syllables: the counts are those of the other direction, with missing and extra syllables exchanged.
    unit = rows + columns + 1
    part, edit = unit**2, 2 * unit**3
    alone = edit + unit + 1

    def difference(left: tuple[str, str], right: tuple[str, str]) -> int:
        if left == right:
            return 0
        tones = left[1] != right[1]
        return edit + part * ((left[0] != right[0]) + tones) + unit * tones

    cost = [[column * alone for column in range(columns + 1)]]
    for i, left in enumerate(ours):
        before, now = cost[i], [(i + 1) * alone]
        for j, right in enumerate(theirs):
            now.append(min(before[j] + difference(left, right), before[j + 1] + alone, now[j] + alone))
        cost.append(now)
    pairs: list[Pair] = []
    i, j = rows, columns
    while i or j:
        if i and j and cost[i][j] == cost[i - 1][j - 1] + difference(ours[i - 1], theirs[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((reference[i], hypothesis[j]))
        elif i and cost[i][j] == cost[i - 1][j] + alone:
            i -= 1
            pairs.append((reference[i], None))
        else:
            j -= 1
            pairs.append((None, hypothesis[j]))
    return pairs[::-1]
