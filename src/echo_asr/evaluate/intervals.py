r"""The 95 % interval of an error rate, for errors that occur in clusters.

Errors of words in one utterance are correlated, so that `N` words are less informative than as many utterances of one
word. The known method is the exact binomial interval at the *effective* sample size (Korn and Graubard 1998,
"Confidence intervals for proportions with small expected number of positive counts estimated from survey data", Survey
Methodology 24): `N` is divided by the design effect `D`, the factor by which clusters multiply the variance. In the
order of computation, with errors `e_u` and reference units `n_u` of `U` utterances, `N` and `E` their sums, and the
rate `r = E / N`, of which `p` are substitutions and deletions and `i` insertions:

1. The variance of `r` between utterances, as for any ratio of sums, and that of `N` words with independent errors:

       V   = U / (U - 1) sum_u (e_u - r n_u)^2 / N^2
       V_0 = (p (1 - p) + i) / N

2. The design effect `D = V / V_0`. It is uncertain for few errors and undefined for none, and therefore averaged with
   a usual value, `D_0 = 1 + 0.1 (\sum n_u^2 / N - 1)`, at most 2, with the weight of 4 errors; `V / V_0` has the
   weight of the errors (of the correct words, where these are fewer: `N^2 V_0`). 0.1 is the correlation of the words of
   an utterance, and 2 the design effect of characters, in the records of our own studies (docs/findings/records). The
   part of `V / V_0` above 1 counts `1 + 2 / m` times, since it is estimated from the `m` utterances that have an error,
   and is more often too small than too large. Student's t for few utterances multiplies it by `(t_{U-1} / z)^2`, as
   Korn and Graubard do. `D` is at least 1.

3. `T = N / D` trials with `x = r T` errors have the interval

       [B_0.025(x + 0.5, T - x + 0.5), B_0.975(x + 0.7, T - x + 0.3)]

   of quantiles of the beta distribution. Those of Clopper and Pearson (1934) are at `x, T - x + 1` and `x + 1, T - x`,
   and cover the true rate too often; those of Jeffreys, with 0.5 throughout, too rarely at the high end where errors
   are few. Without errors the low end is 0. Above a rate of one half, errors and correct words are exchanged.

With insertions a rate may exceed 1. It is then treated as that of a Poisson count: a thousand times as many trials,
each with a thousandth of the rate, and `V` as above, with two more correct words, since there may be none.

In simulations of utterances of 1 to 10 words, with a correlation of 0.05 to 0.2 within them and 100 to 3,000 words, the
interval covers the true rate in at least 94 of 100 samples at every rate, in 94 to 97 from five expected errors on (up
to 98.5 of samples of 100 words), and is as wide as the exact binomial interval of the effective sample, or narrower
(`tests/evaluate/test_intervals.py`). It is up to a quarter wider than that where errors are independent and very rare;
where whole utterances fail together and no more than about five words are wrong, it is too narrow, since so few errors
do not show the clustering.
"""

from __future__ import annotations

import numpy as np

from echo_asr.evaluate.distributions import beta_quantile, t_quantile

CORRELATION = 0.1  # of the errors in an utterance, where too few to estimate it
USUAL_MOST = 2.0  # design effect, however long utterances are
USUAL_WEIGHT = 4.0  # errors, the weight of the usual design effect
TAIL = 0.025  # on either side of the interval
POISSON = 1000.0  # trials a unit, where there are insertions


def rate_interval(errors: np.ndarray, insertions: np.ndarray, units: np.ndarray) -> tuple[float, float]:
    """Low and high end of the 95 % interval of `sum(errors) / sum(units)`, as a share; see the head of the module.

    Without a reference unit the interval is 0 to 1. That of a single utterance does not account for differences between
    utterances.

    Args:
        errors: `(U,)`, of each utterance, insertions among them.
        insertions: `(U,)`, the insertions of each.
        units: `(U,)`, in each reference.
    """
    errors, units = np.asarray(errors, dtype=np.float64), np.asarray(units, dtype=np.float64)
    total, inserted = float(units.sum()), float(np.sum(insertions))
    if not total > 0:
        return 0.0, 1.0
    rate, added = float(errors.sum()) / total, inserted / total
    spare = 2.0 if inserted else 0.0
    right = (total * (1.0 - rate + added) + spare) / (total + spare)
    single = (rate - added) * right + added  # variance of one unit with independent errors
    most = POISSON * max(1.0, rate) if inserted else 1.0
    trials = total / _design_effect(errors, units, rate, single) * (rate * (most - rate) / single if inserted else 1.0)
    count = trials * rate / most
    if rate <= 0.5 * most:
        low, high = _beta_interval(count, trials - count)
    else:
        low, high = (1.0 - end for end in reversed(_beta_interval(trials - count, count)))
    return min(most * low, rate), max(most * high, rate)


def _beta_interval(rarer: float, other: float) -> tuple[float, float]:
    """The interval of the share of the rarer outcome, from the counts of both outcomes."""
    low = beta_quantile(TAIL, rarer + 0.5, other + 0.5) if rarer > 0 else 0.0
    return low, beta_quantile(1.0 - TAIL, rarer + 0.7, other + 0.3)


def _design_effect(errors: np.ndarray, units: np.ndarray, rate: float, single: float) -> float:
    """The factor by which clusters multiply the variance of the rate; `single` is the variance of one unit."""
    total, utterances = float(units.sum()), len(units)
    usual = min(1.0 + CORRELATION * (float((units**2).sum()) / total - 1.0), USUAL_MOST)
    if single <= 0.0 or utterances < 2:
        return max(usual, 1.0)
    spread = utterances / (utterances - 1) * float(((errors - rate * units) ** 2).sum()) / (total * single)
    clusters = max(1, min(int((errors > 0).sum()), int((errors < units).sum())))
    seen = spread + max(0.0, spread - 1.0) * 2.0 / clusters
    student = (t_quantile(1.0 - TAIL, utterances - 1) / t_quantile(1.0 - TAIL, float("inf"))) ** 2
    weight = total * single  # errors
    return max(1.0, (weight * seen * student + USUAL_WEIGHT * usual) / (weight + USUAL_WEIGHT))
