"""How many units a sum of demand may come to: the negative binomial distribution, on arrays of SKUs.

The mean is that of the sum; ``dispersion`` is its variance divided by its mean, at least 1. The distribution is exact at
every size, so that a quantile never falls where the mean, the probability or the days grow.
"""

import numpy as np

from app.rules.demand.history import Floats, Ints

LEAST_DISPERSION = 1.05
"""Below it the distribution is as good as Poisson's, and its parameter ``r`` grows without end."""

_NOTHING = 1e-9
_PRECISION = 1e-10
_MAX_ROUNDS = 5_000
_TINY = 1e-300

_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680)
"""Coefficients of Stirling's series for the logarithm of the gamma function (DLMF 5.11.1)."""

_SHIFT = 8
"""From here on four terms of the series are good for eleven digits."""


def probability(count: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """P(demand <= ``count``), for whole counts; all arrays of one shape.

    With p = 1 / dispersion and r = mean / (dispersion - 1) it is the regularised incomplete beta function I_p(r, count + 1)
    (N. L. Johnson, A. W. Kemp, S. Kotz, "Univariate Discrete Distributions", 3rd edition, 2005, section 5.6).
    """
    spread = np.maximum(dispersion, LEAST_DISPERSION)
    sold = (mean > _NOTHING) & (count >= 0)
    result = np.where(count >= 0, 1.0, 0.0)
    r = mean[sold] / (spread[sold] - 1)
    result[sold] = _incomplete_beta(1 / spread[sold], r, count[sold] + 1)
    return result


def quantile(share: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """The least whole count that is enough with probability ``share``, found by halving; all arrays of one shape."""
    deviation = np.sqrt(mean * np.maximum(dispersion, LEAST_DISPERSION))
    low = np.full(mean.shape, -1.0)
    high = np.ceil(mean + np.sqrt(share / (1 - share)) * deviation) + 1  # Cantelli's inequality: always enough
    while (open_ := np.flatnonzero(high - low > 1)).size:
        middle = np.floor((low[open_] + high[open_]) / 2)
        enough = probability(middle, mean[open_], dispersion[open_]) >= share[open_]
        high[open_] = np.where(enough, middle, high[open_])
        low[open_] = np.where(enough, low[open_], middle)
    return high


def days_until(share: float, available: Floats, per_day: Floats, dispersion: Floats, *, longest: int) -> Floats:
    """The first day at whose end the demand so far exceeds ``available`` with probability 1 - ``share`` or more, that is,
    on which the quantile ``share`` of the cumulative demand passes it; ``longest`` where it is that day or later."""
    stock = np.floor(available)
    low, high = np.zeros(stock.shape), np.full(stock.shape, float(longest))
    high[stock < 0] = 0
    while (open_ := np.flatnonzero(high - low > 1)).size:
        middle = np.floor((low[open_] + high[open_]) / 2)
        passed = probability(stock[open_], per_day[open_] * middle, dispersion[open_]) < share
        high[open_] = np.where(passed, middle, high[open_])
        low[open_] = np.where(passed, low[open_], middle)
    return high


def log_gamma(x: Floats) -> Floats:
    """The logarithm of the gamma function for x > 0, by Stirling's series after a shift (DLMF 5.5.1, 5.11.1)."""
    product = np.ones_like(x)
    for step in range(_SHIFT):
        product *= x + step
    z = x + _SHIFT
    tail = sum(coefficient / z ** (2 * power + 1) for power, coefficient in enumerate(_STIRLING))
    return (z - 0.5) * np.log(z) - z + 0.5 * np.log(2 * np.pi) + tail - np.log(product)


def _incomplete_beta(x: Floats, a: Floats, b: Floats) -> Floats:
    """I_x(a, b) by its continued fraction (DLMF 8.17.22), taken on the side on which it converges fast (8.17.4)."""
    front = np.exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * np.log(x) + b * np.log1p(-x))
    other = x >= (a + 1) / (a + b + 2)
    x, a, b = np.where(other, 1 - x, x), np.where(other, b, a), np.where(other, a, b)
    part = front * _continued_fraction(x, a, b) / a
    return np.clip(np.where(other, 1 - part, part), 0.0, 1.0)


def _continued_fraction(x: Floats, a: Floats, b: Floats) -> Floats:
    """Evaluated from the front by Lentz's method (W. H. Press et al., "Numerical Recipes", 3rd edition, section 6.4)."""
    result = np.empty_like(x)
    open_: Ints = np.arange(x.size)
    c, d = np.ones_like(x), 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d.copy()
    for m in range(1, _MAX_ROUNDS):
        if not open_.size:
            break
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            value = value * d * c
        near = np.abs(d * c - 1) < _PRECISION
        if near.any():
            result[open_[near]] = value[near]
            open_ = open_[~near]
            x, a, b, c, d, value = (kept[~near] for kept in (x, a, b, c, d, value))
    result[open_] = value
    return result


def _not_zero(x: Floats) -> Floats:
    return np.where(np.abs(x) < _TINY, _TINY, x)
