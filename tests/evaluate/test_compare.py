"""Intervals against their definition, and against how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from echo_asr.evaluate.compare import compare_errors, compare_values, holm, t_cdf, t_quantile


def crossed(seeds: int, blocks: int, truth: float, spreads: tuple[float, float, float], random: np.random.Generator):
    """Errors of two arms, `(S, B)`, that differ by `truth` and by effects of seeds, of texts, and of both."""
    shared = 50 + 10 * random.normal(size=(seeds, blocks))
    parts = (random.normal(size=(seeds, 1)), random.normal(size=(1, blocks)), random.normal(size=(seeds, blocks)))
    return shared + truth + sum(s * part for s, part in zip(spreads, parts, strict=True)), shared


@pytest.mark.parametrize("freedom", [1.0, 1.7, 2.0, 5.0, 40.0, 5000.0])
def test_students_t_is_scipys(freedom: float) -> None:
    for t in (-30.0, -2.0, 0.0, 0.3, 1.96, 6.0, 40.0):
        assert t_cdf(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-9)
    for share in (0.6, 0.975, 0.9995):
        assert t_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-7)
    assert t_cdf(1.96, math.inf) == pytest.approx(stats.norm.cdf(1.96))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_holm_is_as_published(values: list[float]) -> None:
    """Adjusted below a level exactly where the step-down procedure refuses at that level."""
    adjusted = holm(values)
    for level in (0.01, 0.05, 0.3):
        refused = [False] * len(values)
        for rank, at in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
            if values[at] * (len(values) - rank) > level:
                break
            refused[at] = True
        assert [p is not None and p <= level for p in adjusted] == refused


def test_holm_passes_over_what_has_no_value() -> None:
    assert holm([0.01, None, 0.04]) == [0.02, None, 0.04]


def test_differences_are_of_rates_and_not_of_utterances() -> None:
    arm, baseline = np.array([[0, 5], [0, 3]]), np.array([[1, 9], [1, 9]])
    found = compare_errors(arm, baseline, np.array([1, 9]), ["a", "b"])
    assert found.difference == pytest.approx(40 - 100)
    assert found.relative == pytest.approx(-60)
    assert (found.seeds, found.blocks) == (2, 2)


def test_one_seed_is_a_paired_t_interval_over_the_texts() -> None:
    """Exactly so when utterances are equally long and blocks are many."""
    random = np.random.default_rng(3)
    arm, baseline = random.integers(0, 5, (1, 80)), random.integers(0, 6, (1, 80))
    found = compare_errors(arm, baseline, np.full(80, 4), range(80), resamples=20_000)
    gap = 100 * (arm - baseline)[0] / 4
    expected = stats.ttest_1samp(gap, 0).confidence_interval(0.95)
    assert found.interval == pytest.approx((expected.low, expected.high), rel=0.03)
    assert found.p == pytest.approx(stats.ttest_1samp(gap, 0).pvalue, rel=0.1)


def test_one_number_a_seed_is_a_paired_t_interval_over_the_seeds() -> None:
    arm, baseline = [500.0, 700.0, 550.0, 900.0], [800.0, 950.0, 850.0, 1000.0]
    found = compare_values(arm, baseline, resamples=20_000)
    expected = stats.ttest_rel(arm, baseline)
    low, high = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((low, high), rel=0.03)
    assert found.p == pytest.approx(expected.pvalue, rel=0.1)
    assert found.difference == -237.5 and found.relative == pytest.approx(100 * (662.5 / 900 - 1))


def test_seeds_that_agree_do_not_tell_how_much_others_would() -> None:
    """As updates do that were counted in steps of 250."""
    for arm in ([500, 750, 500], [750, 1000, 750]):
        found = compare_values(arm, [500, 750, 500])
        assert (found.interval, found.relative_interval, found.p) == (None, None, None)
        assert found.difference == arm[0] - 500


def test_texts_said_again_count_once() -> None:
    random = np.random.default_rng(0)
    arm, baseline = random.integers(0, 3, (2, 20)), random.integers(0, 4, (2, 20))
    once = compare_errors(arm, baseline, np.full(20, 3), range(20))
    again = compare_errors(
        np.repeat(arm, 9, 1), np.repeat(baseline, 9, 1), np.full(180, 3), np.repeat(np.arange(20), 9).tolist()
    )
    assert again.interval == pytest.approx(once.interval)
    blind = compare_errors(np.repeat(arm, 9, 1), np.repeat(baseline, 9, 1), np.full(180, 3), range(180))
    assert blind.interval is not None and once.interval is not None
    assert blind.interval[1] - blind.interval[0] < once.interval[1] - once.interval[0]


def test_what_one_arm_has_of_errors_the_other_has_less() -> None:
    random = np.random.default_rng(5)
    arm, baseline, units = random.integers(0, 3, (3, 30)), random.integers(0, 4, (3, 30)), np.full(30, 3)
    one, other = (compare_errors(*pair, units, range(30)) for pair in ((arm, baseline), (baseline, arm)))
    assert one.difference == -other.difference and one.p == pytest.approx(other.p)
    assert one.interval is not None and other.interval == pytest.approx((-one.interval[1], -one.interval[0]))


def test_equal_arms_do_not_differ() -> None:
    errors = np.random.default_rng(1).integers(0, 3, (3, 10))
    found = compare_errors(errors, errors, np.full(10, 3), range(10))
    assert (found.difference, found.interval, found.p) == (0.0, (0.0, 0.0), 1.0)


def test_nothing_is_told_from_one_seed_and_one_text() -> None:
    found = compare_errors(np.array([[1]]), np.array([[2]]), np.array([4]), ["a"])
    assert (found.difference, found.interval, found.p) == (-25.0, None, None)


def test_a_baseline_without_errors_has_no_relative_change() -> None:
    found = compare_errors(np.ones((2, 3)), np.zeros((2, 3)), np.full(3, 5), "abc")
    assert found.relative is None and found.relative_interval is None


def test_shapes_that_do_not_agree_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(S, U\) twice"):
        compare_errors(np.ones((2, 3)), np.ones((2, 4)), np.ones(3), "abc")
    with pytest.raises(ValueError, match="at least one reference unit"):
        compare_errors(np.ones((2, 3)), np.ones((2, 3)), np.zeros(3), "abc")


@pytest.mark.parametrize(
    ("seeds", "blocks", "spreads"),
    [(3, 40, (1.0, 1.0, 1.0)), (3, 40, (0.0, 8.0, 8.0)), (5, 12, (2.0, 4.0, 4.0)), (2, 40, (1.0, 8.0, 4.0))],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    seeds: int, blocks: int, spreads: tuple[float, float, float]
) -> None:
    """95 in 100; of 120 studies at least 107 (fewer by chance: 1 in 100), and not all the time without need."""
    random = np.random.default_rng([seeds, blocks])
    held = relative = 0
    for _ in range(120):
        arm, baseline = crossed(seeds, blocks, 2.0, spreads, random)
        found = compare_errors(arm, baseline, np.full(blocks, 100.0), range(blocks), resamples=200)
        assert found.interval is not None and found.relative_interval is not None
        held += found.interval[0] <= 2.0 <= found.interval[1]
        relative += found.relative_interval[0] <= 4.0 <= found.relative_interval[1]
    assert held >= 107 and relative >= 105
