"""Whether speakers agree, in words; the figures are made up."""

import numpy as np
import pytest

from echo_asr.research.compare import Comparison
from echo_asr.research.study.speakers import MOST_SHOWN, GroupRow, agreement, compare_groups, mean_errors


def row(group: str, difference: float, interval: tuple[float, float] | None) -> GroupRow:
    found = Comparison(difference, interval, None, None, None, 2, 9)
    return GroupRow("a new person", "tone error", group, 9, "axis", 10.0, "static", found)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([(-2.0, (-3.0, -1.0)), (-1.0, (-1.5, -0.5))], "lower for all 2, each clear of zero."),
        ([(2.0, (1.0, 3.0)), (1.0, (0.5, 1.5))], "higher for all 2, each clear of zero."),
        ([(-2.0, (-3.0, -1.0)), (-1.0, (-2.5, 0.5))], "lower for all 2, 1 of 2 clear of zero."),
        ([(-2.0, (-3.0, -1.0)), (-1.0, None)], "lower for all 2, 1 of 2 clear of zero."),
        ([(-2.0, (-3.0, -1.0)), (1.0, (0.5, 1.5))], "they do not agree: lower for 1 of 2, higher for 1."),
        ([(-2.0, (-3.0, -1.0)), (0.0, (0.0, 0.0))], "they do not agree: lower for 1 of 2, higher for 0."),
    ],
)
def test_speakers_agree_where_all_differences_have_one_sign(
    differences: list[tuple[float, tuple[float, float] | None]], verdict: str
) -> None:
    text = agreement([row(f"s{n}", *each) for n, each in enumerate(differences)], "speaker")
    assert text.startswith("axis against static by speaker, tone error (a new person): s0 ")
    assert text.endswith(f": {verdict}")


def test_every_difference_is_shown_up_to_many() -> None:
    assert "s0 -2.00 (-3.00 to -1.00); s1 +1.00 (no interval): they" in agreement(
        [row("s0", -2.0, (-3.0, -1.0)), row("s1", 1.0, None)], "speaker"
    )
    many = [row(f"s{n}", -1.0, (-2.0, -0.5)) for n in range(MOST_SHOWN + 3)]
    assert "; and 3 more: lower for all 23, each clear" in agreement(many, "fold")


def test_a_group_without_a_reference_unit_has_no_figure() -> None:
    errors, units, groups = np.array([[1, 0, 2], [0, 0, 2]]), np.array([2, 0, 4]), ["b", "a", "c"]
    assert mean_errors(errors, units, groups) == {"b": (1, 25.0), "c": (1, 50.0)}
    assert set(compare_groups(errors, 0 * errors, units, groups, ["x", "x", "y"])) == {"b", "c"}
