"""Word and character error rates, with the three kinds of error and an interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jiwer
import numpy as np

from echo_asr.evaluate.intervals import rate_interval

Unit = Literal["word", "character"]


@dataclass(frozen=True)
class ErrorRate:
    """An error rate with the counts of errors and a confidence interval."""

    percent: float  # 100 * (insertions + deletions + substitutions) / reference
    insertions: int  # units in the hypotheses alone
    deletions: int  # units in the references alone
    substitutions: int  # units of the references that are replaced in the hypotheses
    reference: int  # units in all references
    ci95: tuple[float, float]  # low and high end of the 95 % interval of percent

    @property
    def errors(self) -> int:
        """Insertions, deletions and substitutions together."""
        return self.insertions + self.deletions + self.substitutions

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them, the interval as a list."""
        return {**dataclasses.asdict(self), "ci95": list(self.ci95)}

    def __str__(self) -> str:
        return (
            f"{self.percent:.2f} % ({self.ci95[0]:.2f} to {self.ci95[1]:.2f}; {self.insertions} ins, "
            f"{self.deletions} del, {self.substitutions} sub of {self.reference})"
        )


def error_rate(references: Sequence[str], hypotheses: Sequence[str], unit: Unit = "word") -> ErrorRate:
    r"""The error rate of hypotheses against references, summed over all utterances.

        percent = 100 (I + D + S) / N

    with the insertions I, deletions D and substitutions S of a shortest alignment of each pair, and N units
    in the references. Texts are not normalised. Whitespace separates words,
    however much of it there is; among characters (Unicode code points) a run of it counts as one space, none
    at the ends.

    A reference may be empty: all words of its hypothesis are insertions. Where all references are empty, percent
    is 0 without an error and 100 otherwise, and the interval is from 0 to 100.

    The interval accounts for the choice of utterances: it is the exact binomial interval of the effective sample, which
    is smaller where errors of an utterance are correlated (`echo_asr.evaluate.intervals`). Without any error its high
    end is above 0.

    Args:
        references: the correct text of each utterance.
        hypotheses: the recognised texts in the same order.
        unit: what is counted, ``word`` or ``character``.

    Raises:
        ValueError: no utterance, lists of different length, or an unknown unit.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"hypotheses: expected {len(references)}, one a reference, got {len(hypotheses)}")
    if not references:
        raise ValueError("references: expected at least one utterance, got none")
    return rate_of_counts(count_errors(references, hypotheses, unit))


def rate_of_counts(counts: np.ndarray) -> ErrorRate:
    """The error rate of the counts of utterances, `(utterances, 4)` as `count_errors` gives them."""
    low, high = rate_interval(counts[:, :3].sum(axis=1), counts[:, 0], counts[:, 3])
    total = counts.sum(axis=0)
    insertions, deletions, substitutions, reference = total.tolist()
    interval = (100.0 * low, 100.0 * high)
    return ErrorRate(_percent(total), insertions, deletions, substitutions, reference, interval)


def count_errors(references: Sequence[str], hypotheses: Sequence[str], unit: str) -> np.ndarray:
    """(utterances, 4) int64: insertions, deletions, substitutions and reference units of each utterance."""
    left = [" ".join(text.split()) for text in references]
    right = [" ".join(text.split()) for text in hypotheses]
    if unit not in get_args(Unit):
        raise ValueError(f"unit: expected word or character, got {unit!r}")
    output = (jiwer.process_words if unit == "word" else jiwer.process_characters)(left, right)
    column = {"insert": 0, "delete": 1, "substitute": 2}
    counts = np.zeros((len(left), 4), dtype=np.int64)
    for row, units, alignment in zip(counts, output.references, output.alignments, strict=True):
        row[3] = len(units)
        for chunk in alignment:
            if chunk.type in column:
                spans = chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx
                row[column[chunk.type]] += max(spans)
    return counts


def matched_words(reference: str, hypothesis: str) -> list[bool]:
    """Of each word of the hypothesis, whether a shortest alignment pairs it with an equal word of the reference."""
    found = [False] * len(hypothesis.split())
    if found and reference.split():
        output = jiwer.process_words(" ".join(reference.split()), " ".join(hypothesis.split()))
        for chunk in output.alignments[0]:
            if chunk.type == "equal":
                found[chunk.hyp_start_idx : chunk.hyp_end_idx] = [True] * (chunk.hyp_end_idx - chunk.hyp_start_idx)
    return found


def _percent(counts: np.ndarray) -> float:
    """100 * errors / reference of `(4,)`; without a reference 0, or 100 if there are errors."""
    errors, reference = int(counts[:3].sum()), int(counts[3])
    return 100.0 * errors / reference if reference else 100.0 * min(errors, 1)
