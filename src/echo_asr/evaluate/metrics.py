"""Word and character error rates, with the three kinds of error and a bootstrap interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jiwer
import numpy as np


@dataclass(frozen=True)
class ErrorRate:
    """An error rate with what is needed to judge it."""

    percent: float  # 100 * (insertions + deletions + substitutions) / reference
    insertions: int  # units in the hypotheses alone
    deletions: int  # units in the references alone
    substitutions: int  # units of the references that stand as another one in the hypotheses
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


def error_rate(
    references: Sequence[str],
    hypotheses: Sequence[str],
    unit: Literal["word", "character"] = "word",
    seed: int = 0,
    resamples: int = 1000,
) -> ErrorRate:
    r"""The error rate of hypotheses against references, summed over all utterances.

    .. math:: \text{percent} = 100 \, \frac{I + D + S}{N}

    with the insertions I, deletions D and substitutions S of a shortest alignment of each pair, and N units
    in the references. Texts are compared as they come; normalise them first. Whitespace separates words,
    however much of it there is; among characters (Unicode code points) a run of it counts as one space, none
    at the ends.

    An empty reference is legal: all that is heard there counts as insertions. Where all references are empty,
    percent is 0 without an error and 100 with any, for want of a denominator.

    The interval is the percentile bootstrap over utterances (Bisani and Ney 2004): utterances are drawn with
    replacement, and the sums formed anew. It knows nothing of what the sample does not show: one utterance,
    or not one error, gives an interval without width.

    Args:
        references: one text an utterance, as it should be.
        hypotheses: the recognised texts in the same order.
        unit: what is counted, ``word`` or ``character``.
        seed: of the bootstrap; the same seed gives the same interval.
        resamples: of the bootstrap.

    Raises:
        ValueError: no utterance, lists of different length, an unknown unit, or no resample.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"hypotheses: expected {len(references)}, one a reference, got {len(hypotheses)}")
    if not references:
        raise ValueError("references: expected at least one utterance, got none")
    if resamples < 1:
        raise ValueError(f"resamples: expected at least 1, got {resamples}")
    counts = count_errors(references, hypotheses, unit)

    rng = np.random.default_rng(seed)
    size = len(counts)
    drawn = np.stack([counts[rng.integers(size, size=size)].sum(axis=0) for _ in range(resamples)])
    low, high = np.quantile(_percent(drawn), (0.025, 0.975))

    total = counts.sum(axis=0)
    insertions, deletions, substitutions, reference = (int(number) for number in total)
    return ErrorRate(
        percent=float(_percent(total)),
        insertions=insertions,
        deletions=deletions,
        substitutions=substitutions,
        reference=reference,
        ci95=(float(low), float(high)),
    )


def count_errors(references: Sequence[str], hypotheses: Sequence[str], unit: str) -> np.ndarray:
    """(utterances, 4) int64: insertions, deletions, substitutions and reference units of each utterance."""
    left = [" ".join(text.split()) for text in references]
    right = [" ".join(text.split()) for text in hypotheses]
    output: jiwer.WordOutput | jiwer.CharacterOutput
    if unit == "word":
        output = jiwer.process_words(left, right)
    elif unit == "character":
        output = jiwer.process_characters(left, right)
    else:
        raise ValueError(f"unit: expected word or character, got {unit!r}")
    column = {"insert": 0, "delete": 1, "substitute": 2}
    counts = np.zeros((len(left), 4), dtype=np.int64)
    for row, units, alignment in zip(counts, output.references, output.alignments, strict=True):
        row[3] = len(units)
        for chunk in alignment:
            if chunk.type in column:
                reference_units = chunk.ref_end_idx - chunk.ref_start_idx
                row[column[chunk.type]] += max(reference_units, chunk.hyp_end_idx - chunk.hyp_start_idx)
    return counts


def _percent(counts: np.ndarray) -> np.ndarray:
    """100 * errors / reference over the last axis (4); without a reference 0, or 100 if there are errors."""
    errors, reference = counts[..., :3].sum(axis=-1), counts[..., 3]
    ratio = errors / np.maximum(reference, 1)
    return 100.0 * np.where(reference > 0, ratio, np.minimum(errors, 1))


def matched_words(reference: str, hypothesis: str) -> list[bool]:
    """Of each word of the hypothesis, whether a shortest alignment pairs it with an equal word of the reference."""
    found = [False] * len(hypothesis.split())
    if found and reference.split():
        output = jiwer.process_words(" ".join(reference.split()), " ".join(hypothesis.split()))
        for chunk in output.alignments[0]:
            if chunk.type == "equal":
                found[chunk.hyp_start_idx : chunk.hyp_end_idx] = [True] * (chunk.hyp_end_idx - chunk.hyp_start_idx)
    return found
