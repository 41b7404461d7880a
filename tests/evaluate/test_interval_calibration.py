"""Whether the comparisons of studies find what is not there in 5 of 100 studies, and hold the truth in 95: studies are
simulated whose seeds and texts spread as those of our own records do (docs/findings/records)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import special

from echo_asr.research.compare import Comparison, compare_errors


@dataclass(frozen=True)
class Kind:
    """Studies of one kind. An arm has an error in a word with the chance `logistic(m + text + seed + ...)`: `m` of the
    arm, normal effects with these standard deviations of the seed of an arm, of a text in both arms, of a text in one
    arm, and of a text in one training.

    Attributes:
        rate: chance of the baseline where all effects are 0; `ratio` times that of the arm.
        words: of a text, at most.
    """

    texts: int
    words: int
    rate: float
    ratio: float
    seed: float
    text: float
    own: float
    rest: float = 0.5

    def studies(self, seeds: int, count: int) -> list[Comparison]:
        random = np.random.default_rng([seeds, self.texts, self.words])
        found = []
        for _ in range(count):
            units = random.integers(1, self.words + 1, self.texts)
            text = self.text * random.normal(size=self.texts)
            arms = []
            for rate in (self.rate * self.ratio, self.rate):
                seed = self.seed * random.normal(size=(seeds, 1))
                own = text + self.own * random.normal(size=self.texts)
                rest = self.rest * random.normal(size=(seeds, self.texts))
                arms.append(random.binomial(units, special.expit(special.logit(rate) + seed + own + rest)))
            found.append(compare_errors(arms[0], arms[1], units, range(self.texts)))
        return found

    @property
    def truth(self) -> tuple[float, float]:
        """Difference of the expected error rates in points, and relative difference in percent."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        spread = float(np.hypot(np.hypot(self.seed, self.text), np.hypot(self.own, self.rest)))
        arm, baseline = (
            float(weights @ special.expit(special.logit(rate) + spread * nodes) / weights.sum())
            for rate in (self.rate * self.ratio, self.rate)
        )
        return 100 * (arm - baseline), 100 * (arm / baseline - 1)


NULLS = {
    "as in the records": Kind(400, 3, 0.09, 1.0, seed=0.1, text=2.0, own=0.3),
    "no spread of texts": Kind(400, 3, 0.09, 1.0, seed=0.1, text=1.5, own=0.1),
    "no spread of seeds": Kind(400, 3, 0.09, 1.0, seed=0.0, text=2.0, own=0.8),
    "much of both": Kind(100, 10, 0.3, 1.0, seed=0.15, text=0.7, own=0.5),
}
EFFECTS = {
    "four tenths less": Kind(400, 3, 0.3, 0.6, seed=0.15, text=1.5, own=0.3),
    "nine tenths less": Kind(100, 4, 0.3, 0.1, seed=0.2, text=1.0, own=0.3),
    "sentences": Kind(100, 10, 0.3, 0.9, seed=0.1, text=0.7, own=0.2),
    "much of both": Kind(100, 10, 0.3, 0.7, seed=0.3, text=0.7, own=0.6),
}


def rejected(found: list[Comparison]) -> float:
    return float(np.mean([each.p is not None and each.p < 0.05 for each in found]))


def held(found: list[Comparison], truth: tuple[float, float]) -> tuple[float, float]:
    """Shares of the intervals of the difference and of the relative difference that hold the truth."""
    shares = []
    for ends, value in (([c.interval for c in found], truth[0]), ([c.relative_interval for c in found], truth[1])):
        shares.append(float(np.mean([each is not None and each[0] <= value <= each[1] for each in ends])))
    return shares[0], shares[1]


@pytest.mark.parametrize("seeds", [3, 5])
def test_what_is_not_there_is_found_in_five_of_a_hundred_studies(seeds: int) -> None:
    """Of 400 studies, four kinds; a bootstrap of seeds and texts together finds it in 1."""
    shares = [rejected(kind.studies(seeds, 100)) for kind in NULLS.values()]
    assert 0.02 <= np.mean(shares) <= 0.08  # three standard errors


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_hold_the_truth_in_ninety_five_of_a_hundred_studies(seeds: int) -> None:
    shares = [held(kind.studies(seeds, 60), kind.truth) for kind in EFFECTS.values()]
    assert np.mean(shares, axis=0) == pytest.approx([0.95, 0.95], abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("kind", NULLS)
def test_nulls_of_each_kind(kind: str, seeds: int) -> None:
    """3 to 7 of 100; of 2000 studies, within two standard errors of that."""
    assert 0.02 <= rejected(NULLS[kind].studies(seeds, 2000)) <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("kind", EFFECTS)
def test_effects_of_each_kind(kind: str, seeds: int) -> None:
    found = held(EFFECTS[kind].studies(seeds, 2000), EFFECTS[kind].truth)
    assert found == pytest.approx((0.95, 0.95), abs=0.03)
