"""Intervals against their definition, and against how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from echo_asr.research.compare import compare_errors, compare_values, holm


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
    """Exactly so when utterances are equally long."""
    random = np.random.default_rng(3)
    arm, baseline = random.integers(0, 5, (1, 80)), random.integers(0, 6, (1, 80))
    found = compare_errors(arm, baseline, np.full(80, 4), range(80))
    gap = 100 * (arm - baseline)[0] / 4
    expected = stats.ttest_1samp(gap, 0).confidence_interval(0.95)
    assert found.interval == pytest.approx((expected.low, expected.high), rel=1e-6)
    assert found.p == pytest.approx(stats.ttest_1samp(gap, 0).pvalue, rel=1e-6)


def test_one_number_a_seed_is_a_paired_t_interval_over_the_seeds() -> None:
    arm, baseline = [500.0, 700.0, 550.0, 900.0], [800.0, 950.0, 850.0, 1000.0]
    found = compare_values(arm, baseline)
    expected = stats.ttest_rel(arm, baseline)
    low, high = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((low, high), rel=1e-6)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.difference == -237.5 and found.relative == pytest.approx(100 * (662.5 / 900 - 1))


def test_seeds_that_agree_do_not_tell_how_much_others_would() -> None:
    """As updates do that were counted in steps of 250."""
    for arm in ([500, 750, 500], [750, 1000, 750]):
        found = compare_values(arm, [500, 750, 500])
        assert (found.interval, found.relative_interval, found.p) == (None, None, None)
        assert found.difference == arm[0] - 500


def test_texts_said_again_count_once() -> None:
    random = np.random.default_rng(0)
    arm, baseline = random.integers(0, 3, (1, 20)), random.integers(0, 4, (1, 20))
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


def two_way(gap: np.ndarray) -> tuple[float, float, float]:
    """Mean squares of seeds, of blocks and of the rest, by their textbook sums."""
    seeds, blocks = gap.shape
    mean, by_seed, by_block = gap.mean(), gap.mean(1), gap.mean(0)
    rest = sum((gap[s, b] - by_seed[s] - by_block[b] + mean) ** 2 for s in range(seeds) for b in range(blocks))
    return (
        blocks * sum((x - mean) ** 2 for x in by_seed) / (seeds - 1),
        seeds * sum((x - mean) ** 2 for x in by_block) / (blocks - 1),
        rest / ((seeds - 1) * (blocks - 1)),
    )


@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0])
def test_the_interval_is_that_of_the_two_way_layout(spread: float) -> None:
    random = np.random.default_rng(2)
    gap = random.normal(size=(4, 30)) + spread * random.normal(size=(4, 1)) + random.normal(size=(1, 30))
    found = compare_errors(50 + gap, np.full((4, 30), 50.0), np.full(30, 100), range(30))
    of_seeds, of_blocks, rest = (square / 120 for square in two_way(gap))
    variance = of_blocks + max(of_seeds - rest, 0.0)
    wide = of_seeds * 4 / 3 if of_seeds > rest else 0.0
    shared = rest if of_seeds > rest else 0.0
    freedom = (of_blocks + wide - shared) ** 2 / (of_blocks**2 / 29 + wide**2 / 3)
    assert found.difference == pytest.approx(gap.mean())
    assert found.interval is not None and found.p is not None
    reach = stats.t.ppf(0.975, freedom) * variance**0.5
    assert found.interval == pytest.approx((gap.mean() - reach, gap.mean() + reach))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(gap.mean()) / variance**0.5, freedom))


def test_no_error_is_taken_away_more_than_once() -> None:
    random = np.random.default_rng(4)
    arm, baseline = random.binomial(3, 0.02, (3, 20)), random.binomial(3, 0.5, (3, 20))
    found = compare_errors(arm, baseline, np.full(20, 3), range(20))
    assert found.relative is not None and found.relative_interval is not None
    low, high = found.relative_interval
    assert -100 < low < found.relative < high


def test_the_same_errors_have_the_same_interval() -> None:
    random = np.random.default_rng(6)
    arm, baseline, units = random.integers(0, 3, (3, 30)), random.integers(0, 4, (3, 30)), np.full(30, 3)
    assert compare_errors(arm, baseline, units, range(30)) == compare_errors(arm, baseline, units, range(30))


@pytest.mark.parametrize("units", [1, 3, 7])
@pytest.mark.parametrize(
    ("arm", "baseline"),
    [
        (np.ones((3, 4)), np.zeros((3, 4))),
        (np.full((3, 4), 0.1), np.full((3, 4), 0.3)),  # no two sums of which come out alike
        (np.ones((1, 4)), np.zeros((1, 4))),
        (np.ones((3, 1)), np.zeros((3, 1))),
        (np.array([[3, 1], [1, 3]]), np.zeros((2, 2))),  # means of seeds and of texts agree, cells do not
        (np.array([[2, 0], [0, 2]]), np.ones((2, 2))),  # the same, without a difference
    ],
)
def test_results_that_all_differ_alike_do_not_tell_how_much_others_would(
    arm: np.ndarray, baseline: np.ndarray, units: int
) -> None:
    for one, other in ((arm, baseline), (baseline, arm)):
        found = compare_errors(one, other, np.full(arm.shape[1], units), range(arm.shape[1]))
        assert (found.interval, found.relative_interval, found.p) == (None, None, None)
        assert found.difference == pytest.approx(100 * (one - other).mean() / units)


def test_errors_that_are_all_twice_as_many_have_no_interval_of_the_factor() -> None:
    errors = np.random.default_rng(6).integers(1, 5, (3, 9))
    found = compare_errors(2 * errors, errors, np.full(9, 10), range(9))
    assert found.interval is not None and found.relative == pytest.approx(100) and found.relative_interval is None


@pytest.mark.parametrize("errors", [np.zeros((3, 4)), np.ones((3, 4)), np.array([[0, 1], [1, 0]])])
def test_equal_arms_do_not_differ_however_little_they_spread(errors: np.ndarray) -> None:
    found = compare_errors(errors, errors, np.full(errors.shape[1], 3), range(errors.shape[1]))
    assert (found.difference, found.interval, found.p) == (0.0, (0.0, 0.0), 1.0)
