r"""Student's t and the beta distribution, for confidence intervals, in plain floats.

Both come from the regularised incomplete beta function,

.. math:: I_x(a, b) = \frac{1}{B(a, b)} \int_0^x u^{a - 1} (1 - u)^{b - 1} \, du,

by its continued fraction (Abramowitz and Stegun 1964, 26.5.8), which converges in about the square root of `a + b`
steps below the mean; above it `1 - I_{1 - x}(b, a)` is the same. Quantiles are found by bisection. The tests compare
with SciPy, which is not needed at run time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_TINY = 1e-300  # in place of a denominator of 0
_STEPS = 100_000  # of the continued fraction, at most


def beta_cdf(x: float, a: float, b: float) -> float:
    """The chance that a beta variable with parameters `a > 0` and `b > 0` is at most `x`."""
    if x <= 0.0 or x >= 1.0:
        return float(x > 0.0)
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - beta_cdf(1.0 - x, b, a)
    scale = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(scale) / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """`1 + d_1 / (1 + d_2 / (1 + ...))` with the coefficients of 26.5.8, evaluated forwards (Lentz 1976)."""
    value, numerator, denominator = 1.0, 1.0, 0.0
    for step in range(1, _STEPS):
        m = step // 2
        if step % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1.0 / ((1.0 + d * denominator) or _TINY)
        numerator = (1.0 + d / numerator) or _TINY
        value *= numerator * denominator
        if abs(numerator * denominator - 1.0) < 1e-15:
            break
    return value


def beta_quantile(share: float, a: float, b: float) -> float:
    """The quantile `share` of a beta variable; 0 where `a`, and 1 where `b` is 0 or less, as in the limit."""
    if a <= 0.0 or b <= 0.0:
        return float(a > 0.0)
    return _bisected(lambda x: beta_cdf(x, a, b) < share, 0.0, 1.0)


def t_cdf(t: float, freedom: float) -> float:
    r"""Student's distribution function, of any positive number of degrees of freedom."""
    if math.isinf(freedom):
        return 0.5 * math.erfc(-t / math.sqrt(2.0))
    tail = 0.5 * beta_cdf(freedom / (freedom + t * t), freedom / 2.0, 0.5)
    return 1.0 - tail if t > 0 else tail


def t_quantile(share: float, freedom: float) -> float:
    """The quantile `share` of Student's t, 0.5 to 1 (exclusive)."""
    high = 1.0
    while t_cdf(high, freedom) < share:
        high *= 2.0
    return _bisected(lambda t: t_cdf(t, freedom) < share, 0.0, high)


def _bisected(below: Callable[[float], bool], low: float, high: float) -> float:
    """The point where `below` changes from true to false, to twelve digits."""
    while high - low > 1e-12 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if below(middle) else (low, middle)
    return 0.5 * (low + high)
