r"""Paired comparison of two arms of a study over the same seeds and texts, with intervals.

Symbols: `S` seeds, `U` utterances, `B` blocks of utterances (those of one text, or of one speaker), `R` resamples.

With errors :math:`e_{su}` of an arm, :math:`e'_{su}` of the arm that it is compared with, and reference units
:math:`n_u`, everything below is about

.. math:: D = \frac{1}{S} \sum_s (E_s - E'_s), \qquad E_s = 100 \, \frac{\sum_u e_{su}}{\sum_u n_u} \text{ percent},

the mean difference of the error rates. Seeds and blocks are both drawn, and every seed meets every block; a resample
therefore draws seeds and blocks, both with replacement, and forms D anew from the cells that are in both (Owen 2007,
"The pigeonhole bootstrap", Annals of Applied Statistics 1). Arms are resampled together, which is what pairs them.
A sample of n drawn n times understates a variance by `(n - 1) / n`, which is a third of it for
three seeds; so `S - 1` seeds and `B - 1` blocks are drawn each time (McCarthy and Snowden 1985).

The standard error is the root mean square of the resamples about D, and the interval is `D ± t SE`, with Student's t
at Satterthwaite's degrees of freedom,

.. math:: \nu = (V_S + V_B)^2 / (V_S^2 / (S - 1) + V_B^2 / (B - 1)),

where V_S and V_B are the variances when seeds alone, or blocks alone, are drawn. We do not take percentiles: three
seeds have ten distinct resamples, whose percentiles cover far less than they say. With one seed V_S is not known, is
left out, and the interval is about the texts alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

LEVEL = 0.95  # of the intervals
RESAMPLES = 2000


@dataclass(frozen=True)
class Comparison:
    """An arm less what it is compared with.

    Attributes:
        difference: D, in percentage points for error rates, in the unit of the values otherwise; negative: less.
        interval: low and high end of the 95 % interval of `difference`; None where nothing is left to judge it by.
        relative: `100 (E / E' - 1)` of the mean rates, in percent; None where E' is 0.
        relative_interval: of `relative`, `100 (t SE of E - (E / E') E') / E'` to either side (the delta method); None
            where either rate is 0.
        p: two-sided, of no difference, from the same t; None without an interval.
        seeds, blocks: drawn from; blocks is 0 for values that are not sums over utterances.
    """

    difference: float
    interval: tuple[float, float] | None
    relative: float | None
    relative_interval: tuple[float, float] | None
    p: float | None
    seeds: int
    blocks: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return asdict(self)


def compare_errors(
    arm: np.ndarray,
    baseline: np.ndarray,
    units: np.ndarray,
    blocks: Sequence[Hashable],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare the error rates of two arms; the definition stands at the head of the module.

    Args:
        arm, baseline: errors `(S, U)` of each seed on each utterance, seeds and utterances in the same order.
        units: `(U,)`, units in each reference.
        blocks: `(U,)`, what each utterance belongs to; utterances of a block are drawn together.
        resamples: R.
        seed: of the resampling; the same seed gives the same interval.

    Raises:
        ValueError: shapes that do not agree, or no reference unit.
    """
    arm, baseline, units = (np.asarray(x, dtype=np.float64) for x in (arm, baseline, units))
    if arm.ndim != 2 or arm.shape != baseline.shape or units.shape != arm.shape[1:] or len(blocks) != len(units):
        raise ValueError(f"expected (S, U) twice, (U,) and U blocks; got {arm.shape}, {baseline.shape}, {units.shape}")
    if not units.sum() > 0:
        raise ValueError("units: expected at least one reference unit")
    index = {name: number for number, name in enumerate(dict.fromkeys(blocks))}
    member = np.zeros((len(units), len(index)))
    member[np.arange(len(units)), [index[name] for name in blocks]] = 1.0
    held = units @ member
    drawn = _draws(len(arm), len(index), resamples, seed)

    def error_of(gap: np.ndarray) -> tuple[float, float] | None:
        return _standard_error(100.0 * (gap @ member), held, *drawn)

    return _comparison(arm, baseline, float(units.sum()) / 100.0, error_of, len(index))


def compare_values(
    arm: Sequence[float], baseline: Sequence[float], resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare one number a seed, such as the updates that it took to reach an error; seeds alone are resampled. Where
    all seeds differ by the same, as numbers that were rounded may, they do not tell how much others would: no interval.

    Args:
        arm, baseline: `(S,)`, seeds in the same order.
    """
    one, other = np.asarray(arm, dtype=np.float64)[:, None], np.asarray(baseline, dtype=np.float64)[:, None]
    drawn = _draws(len(one), 1, resamples, seed)

    def error_of(gap: np.ndarray) -> tuple[float, float] | None:
        return _standard_error(gap, np.ones(1), *drawn) if np.ptp(one - other) > 0 else None

    return _comparison(one, other, 1.0, error_of, 0)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (1979): the least level at which each hypothesis is refused, in the order given.

    With the values sorted, `p_(1) <= ... <= p_(m)`, the adjusted one is `max over i <= k of min(1, (m - i + 1) p_(i))`.
    The chance of a single wrong refusal among all is then at most the level. What has no value counts for nothing.
    """
    known = sorted((p, at) for at, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, at) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[at] = highest
    return adjusted


@cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(128)


def t_cdf(t: float, freedom: float) -> float:
    """Student's distribution function. With `t = sqrt(nu) tan(u)` the density becomes proportional to
    `cos(u)^(nu - 1)`, which Gauss and Legendre's rule integrates to rounding."""
    if math.isinf(freedom):
        return 0.5 * math.erfc(-t / math.sqrt(2.0))
    angle = math.atan(abs(t) / math.sqrt(freedom))
    nodes, weights = _gauss_legendre()
    values = np.cos(0.5 * angle * (nodes + 1.0)) ** (freedom - 1.0)
    scale = math.exp(math.lgamma((freedom + 1.0) / 2.0) - math.lgamma(freedom / 2.0)) / math.sqrt(math.pi)
    half = min(0.5, scale * 0.5 * angle * float(weights @ values))
    return 0.5 + math.copysign(half, t)


def t_quantile(share: float, freedom: float) -> float:
    """The value that Student's t stays under with probability `share`, 0.5 to 1 (exclusive), by bisection."""
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < share:
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if t_cdf(middle, freedom) < share else (low, middle)
    return 0.5 * (low + high)


def _comparison(
    arm: np.ndarray,
    baseline: np.ndarray,
    scale: float,
    error_of: Callable[[np.ndarray], tuple[float, float] | None],
    blocks: int,
) -> Comparison:
    """The comparison of `(S, U)` with `(S, U)`, whose sums over `scale` are the values compared."""
    seeds = len(arm)
    value, against = float(arm.sum()) / (seeds * scale), float(baseline.sum()) / (seeds * scale)
    ratio = value / against if against > 0 else None
    relative = None if ratio is None else 100.0 * (ratio - 1.0)
    found = error_of(arm - baseline)
    if found is None:
        return Comparison(value - against, None, relative, None, None, seeds, blocks)
    error, freedom = found
    difference, quantile = value - against, t_quantile(0.5 + LEVEL / 2, freedom)
    interval = (difference - quantile * error, difference + quantile * error)
    relative_interval = None
    if ratio and relative is not None and (scaled := error_of(arm - ratio * baseline)) is not None:
        reach = 100.0 * t_quantile(0.5 + LEVEL / 2, scaled[1]) * scaled[0] / against
        relative_interval = (relative - reach, relative + reach)
    if error > 0:
        p = 2.0 * (1.0 - t_cdf(abs(difference) / error, freedom))
    else:
        p = 1.0 if difference == 0 else 0.0
    return Comparison(difference, interval, relative, relative_interval, p, seeds, blocks)


def _draws(seeds: int, blocks: int, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each seed `(R, S)` and each block `(R, B)` is drawn; a single one always is, once."""
    random = np.random.default_rng([seed, seeds, blocks])
    by_seed, by_block = (
        random.multinomial(size - 1, np.full(size, 1.0 / size), resamples) if size > 1 else np.ones((resamples, 1))
        for size in (seeds, blocks)
    )
    return by_seed.astype(np.float64), by_block.astype(np.float64)


def _standard_error(
    gap: np.ndarray, held: np.ndarray, by_seed: np.ndarray, by_block: np.ndarray
) -> tuple[float, float] | None:
    """Standard error of `sum(gap) / (S sum(held))` for `gap` `(S, B)` and `held` `(B,)`, and its degrees of freedom;
    None with one seed and one block, from which nothing can be told."""
    seeds, blocks = gap.shape
    centre = gap.sum() / (seeds * held.sum())

    def variance(of_seeds: np.ndarray, of_blocks: np.ndarray) -> float:
        mass = of_seeds.sum(axis=1) * (of_blocks @ held)
        total = ((of_blocks @ gap.T) * of_seeds).sum(axis=1)
        kept = mass > 0  # blocks without a reference unit may be all that was drawn
        return float(np.mean((total[kept] / mass[kept] - centre) ** 2))

    if seeds == blocks == 1:
        return None
    among_seeds = variance(by_seed, np.ones_like(by_block)) if seeds > 1 else 0.0
    among_blocks = variance(np.ones_like(by_seed), by_block) if blocks > 1 else 0.0
    parts = [(v, size - 1) for v, size in ((among_seeds, seeds), (among_blocks, blocks)) if size > 1]
    total = sum(v for v, _ in parts)
    freedom = total**2 / sum(v**2 / n for v, n in parts) if total > 0 else float(max(n for _, n in parts))
    return math.sqrt(variance(by_seed, by_block)), freedom
