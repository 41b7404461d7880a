r"""The 95 % interval of an error rate, for errors that come in clusters.

Words of one utterance go wrong together, so that `N` words say less than as many utterances of one word would. The
known method is the exact binomial interval at the *effective* sample size (Korn and Graubard 1998, "Confidence
intervals for proportions with small expected number of positive counts estimated from survey data", Survey Methodology
24): `N` is divided by the design effect `D`, the factor by which clusters multiply the variance. In the order of
computation, with errors `e_u` and reference units `n_u` of `U` utterances, `N` and `E` their sums, the rate `r = E /
N`, of which `p` are words replaced or left out and `i` words put in:

1. The variance of `r` between utterances, as for any ratio of sums, and that of `N` words which err each by itself:

       V   = U / (U - 1) sum_u (e_u - r n_u)^2 / N^2
       V_0 = (p (1 - p) + i) / N

2. The design effect `D = V / V_0`. Few errors tell little of it, and none tell nothing. It is therefore averaged with
   what is usual, `D_0 = 1 + 0.1 (\sum n_u^2 / N - 1)`, at most 2, as if that had been seen on 4 errors more; `V / V_0`
   has the weight of the errors there are (of the words that are right, where these are fewer: `N^2 V_0`). 0.1 is the
   correlation of the words of an utterance, and 2 the design effect of characters, in the records of our own studies
   (docs/findings/records). What `V / V_0` has above 1 counts `1 + 2 / m` times, for it is estimated from the `m`
   utterances that have an error, and is more often too small than too large. Student's t for few utterances multiplies
   it by `(t_{U-1} / z)^2`, as Korn and Graubard do. `D` is at least 1.

3. `T = N / D` trials with `x = r T` errors have the interval

       [B_0.025(x + 0.5, T - x + 0.5), B_0.975(x + 0.7, T - x + 0.3)]

   of quantiles of the beta distribution. Those of Clopper and Pearson (1934) are at `x, T - x + 1` and `x + 1, T - x`,
   and hold the truth too often; those of Jeffreys, with 0.5 throughout, too rarely where errors are few, at the high
   end. No error: from 0. Above one half errors and words that are right change places.

With words put in a rate may exceed 1. It is then that of a Poisson count: trials a thousand times as many, each with a
thousandth of the rate, and `V` as above, where two words more count as right, for none may be and the next one still.

In simulations of utterances of 1 to 10 words, with a correlation of 0.05 to 0.2 within them and 100 to 3,000 words, the
interval holds the truth in at least 94 of 100 samples at every rate, in 94 to 97 from five expected errors on (up to
98.5 of samples of 100 words), and is as wide as the exact binomial interval of the effective sample, or narrower
(`tests/evaluate/test_intervals.py`). It is up to a quarter wider than that where words err by themselves and hardly any
does; where whole utterances fail together and no more than about five words are wrong, it is too narrow: so few errors
do not show that.
"""

from __future__ import annotations

import numpy as np

from echo_asr.evaluate.distributions import beta_quantile, t_quantile

CORRELATION = 0.1  # of the errors of an utterance's words, where there are too few to see it
USUAL_MOST = 2.0  # design effect, however long utterances are
USUAL_WEIGHT = 4.0  # errors that what is usual counts as
TAIL = 0.025  # on either side of the interval
POISSON = 1000.0  # trials a unit, where units can be wrong more than once


def rate_interval(errors: np.ndarray, insertions: np.ndarray, units: np.ndarray) -> tuple[float, float]:
    """Low and high end of the 95 % interval of `sum(errors) / sum(units)`, as a share; see the head of the module.

    Without a reference unit nothing is known of the rate: from 0 to 1. Of a single utterance, the interval is about the
    words alone, and says nothing of other utterances.

    Args:
        errors: `(U,)`, of each utterance, insertions among them.
        insertions: `(U,)`, those of the errors that stand beside the reference units and not in their place.
        units: `(U,)`, in each reference.
    """
    errors, units = np.asarray(errors, dtype=np.float64), np.asarray(units, dtype=np.float64)
    total, inserted = float(units.sum()), float(np.sum(insertions))
    if not total > 0:
        return 0.0, 1.0
    rate, added = float(errors.sum()) / total, inserted / total
    spare = 2.0 if inserted else 0.0
    right = (total * (1.0 - rate + added) + spare) / (total + spare)
    single = (rate - added) * right + added  # variance of one unit that errs by itself
    most = POISSON * max(1.0, rate) if inserted else 1.0
    trials = total / _design_effect(errors, units, rate, single) * (rate * (most - rate) / single if inserted else 1.0)
    count = trials * rate / most
    if rate <= 0.5 * most:
        low, high = _beta_interval(count, trials - count)
    else:
        low, high = (1.0 - end for end in reversed(_beta_interval(trials - count, count)))
    return min(most * low, rate), max(most * high, rate)


def _beta_interval(rarer: float, other: float) -> tuple[float, float]:
    """Of the share of what is rarer, from how often it and the other were seen."""
    low = beta_quantile(TAIL, rarer + 0.5, other + 0.5) if rarer > 0 else 0.0
    return low, beta_quantile(1.0 - TAIL, rarer + 0.7, other + 0.3)


def _design_effect(errors: np.ndarray, units: np.ndarray, rate: float, single: float) -> float:
    """By what factor clusters multiply the variance of the rate; `single` is that of one unit by itself."""
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
