"""What a study found for each speaker, or each fold, and whether they agree.

Under a condition whose utterances are of several speakers, every row of an error has one for each of them: the paired
difference of that speaker alone, with an interval over seeds and that speaker's texts. Of few speakers, the difference
of all together holds for them and not for people in general. That an arm is better for new people needs more: that the
differences of all of them have one sign, each with an interval that leaves out 0.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from echo_asr.research.compare import Comparison, compare_errors

MOST_SHOWN = 20  # speakers or folds in a table or sentence


@dataclass(frozen=True)
class GroupRow:
    """One arm on one speaker, or in one fold, by one endpoint under one condition.

    Attributes:
        group: the name of the speaker or fold.
        utterances: of the group.
        mean: error in percent, a mean over the seeds.
        against: the arm compared with, empty for the baseline.
        comparison: over the seeds that both have and the texts of the group.
    """

    condition: str
    endpoint: str
    group: str
    utterances: int
    arm: str
    mean: float
    against: str = ""
    comparison: Comparison | None = None

    @property
    def clear(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        interval = self.comparison.interval if self.comparison else None
        return interval is not None and not interval[0] <= 0.0 <= interval[1]


def mean_errors(errors: np.ndarray, units: np.ndarray, groups: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Utterances and error in percent of each group that has a reference unit.

    Args:
        errors: `(S, U)` of each seed on each utterance.
        units: `(U,)`, in each reference.
        groups: `(U,)`.
    """
    found = {}
    for group, own in _members(groups).items():
        if total := float(units[own].sum()):
            found[group] = len(own), 100.0 * float(errors[:, own].sum()) / (len(errors) * total)
    return found


def compare_groups(
    arm: np.ndarray, baseline: np.ndarray, units: np.ndarray, groups: Sequence[str], texts: Sequence[Hashable]
) -> dict[str, Comparison]:
    """The comparison of two arms in each group that has a reference unit, blocked by text.

    Args:
        arm, baseline: errors `(S, U)` of each seed on each utterance, seeds and utterances in the same order.
        units: `(U,)`, in each reference.
        groups, texts: `(U,)`.
    """
    return {
        group: compare_errors(arm[:, own], baseline[:, own], units[own], [texts[i] for i in own])
        for group, own in _members(groups).items()
        if units[own].sum()
    }


def _members(groups: Sequence[str]) -> dict[str, np.ndarray]:
    """The places of each group, in the order of their names."""
    found: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        found.setdefault(group, []).append(place)
    return {group: np.array(found[group]) for group in sorted(found)}


def agreement(rows: Sequence[GroupRow], kind: str) -> str:
    """Whether the groups agree on an arm, in words.

    Args:
        rows: of one arm, against one other, by one endpoint under one condition.
        kind: what groups are, `speaker` or `fold`.
    """
    compared = [row for row in rows if row.comparison is not None]
    shown = "; ".join(f"{row.group} {_difference(row.comparison)}" for row in compared[:MOST_SHOWN])
    more = f"; and {len(compared) - MOST_SHOWN} more" if len(compared) > MOST_SHOWN else ""
    differences = [row.comparison.difference for row in compared if row.comparison is not None]
    lower, higher = sum(d < 0 for d in differences), sum(d > 0 for d in differences)
    count = len(compared)
    if max(lower, higher) < count:
        verdict = f"they do not agree: lower for {lower} of {count}, higher for {higher}"
    else:
        way = "lower" if lower else "higher"
        unclear = [row.group for row in compared if not row.clear]
        clear = f"{count - len(unclear)} of {count} clear of zero" if unclear else "each clear of zero"
        verdict = f"{way} for all {count}, {clear}"
    first = rows[0]
    where = f"{first.endpoint} ({first.condition})"
    return f"{first.arm} against {first.against} by {kind}, {where}: {shown}{more}: {verdict}."


def _difference(found: Comparison | None) -> str:
    if found is None:
        return ""
    ends = "no interval" if found.interval is None else f"{found.interval[0]:+.2f} to {found.interval[1]:+.2f}"
    return f"{found.difference:+.2f} ({ends})"
