"""The level: how many units of a SKU customers want on a full day, as its sales so far tell.

Five steps, each of which a pocket calculator can follow (``docs/forecast.md`` has an example): complete the days on which
the shelf ran empty; cut the largest days; take a discounted mean; allow for a short history; add a quarter of the 30-day
mean, which keeps the forecast from being much worse than that of anybody who looks at last month.
"""

from typing import NamedTuple

import numpy as np

from app.rules.demand.censored import is_exposed_in_part, mean_level, without_sell_outs
from app.rules.demand.history import Demand, Floats, divided

ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Weights of the newest day, of which each SKU takes the one that would have forecast it best."""

CUT_AT = 0.95
CUT_FROM = 8
"""From so many selling days on, no day counts for more than this quantile of them."""

EMPTY_DAYS = 12.0
"""A history begins with a sale, which is the reason that we look at it; so many days without one make up for that."""

RECENT_DAYS = 30
RECENT_SHARE = 0.25

_ROUNDS = 2


class Levels(NamedTuple):
    """Of each SKU, in units a full day: ``discounted``, the mean of days that are cut and count less with age, after
    ``EMPTY_DAYS``, and ``recent``, the mean of the last 30 days as they were. ``dispersion`` is variance / mean of a full
    day; ``units`` and ``units_cut`` are all units before and after the cut."""

    discounted: Floats
    recent: Floats
    dispersion: Floats
    units: Floats
    units_cut: Floats

    def level(self, given_back: float) -> Floats:
        """Units a full day [sku]; ``given_back`` is the factor that makes up for the cut, over all SKUs."""
        return (1 - RECENT_SHARE) * given_back * self.discounted + RECENT_SHARE * self.recent


def levels(demand: Demand) -> Levels:
    """What each SKU sells on a full day; 0 for one that never sold."""
    full = completed(demand)
    cut = largest_days_cut(full)
    exposed = full.exposed_days
    return Levels(
        discounted=best_discounted_mean(cut) * exposed / (exposed + EMPTY_DAYS),
        recent=recent_mean(full),
        dispersion=dispersion_of_days(full, mean_level(full)),
        units=full.units.sum(axis=1),
        units_cut=cut.units.sum(axis=1),
    )


def recent_mean(demand: Demand) -> Floats:
    """Units a full day [sku] of the last 30 days. Days before a SKU was first exposed count as days without a sale, later
    ones by their exposure."""
    had_begun = np.maximum.accumulate(demand.exposure > 0, axis=1)
    days = np.where(had_begun, demand.exposure, demand.opened)[:, -RECENT_DAYS:].sum(axis=1)
    units = demand.units[:, -RECENT_DAYS:].sum(axis=1)
    return divided(units, days)


def completed(demand: Demand) -> Demand:
    """The history without sell-outs; level and dispersion, which that takes, come from the round before it."""
    full = demand
    if is_exposed_in_part(demand).any():
        for _ in range(_ROUNDS):
            level = mean_level(full)
            full = without_sell_outs(demand, level, dispersion_of_days(full, level))
    return full


def dispersion_of_days(demand: Demand, level: Floats) -> Floats:
    """Variance / mean of a full day [sku], at least 1: the sum of (units - exposure x level)^2, divided by
    level x (exposed days - 1)."""
    distances = np.square(demand.units - demand.exposure * level[:, np.newaxis]).sum(axis=1)
    scale = level * np.maximum(demand.exposed_days - 1, 1.0)
    return np.maximum(np.divide(distances, scale, out=np.ones_like(level), where=scale > 0), 1.0)


def largest_days_cut(demand: Demand) -> Demand:
    """The history in which no day sells more than the 95 % quantile of the SKU's selling days (the value at rank
    0.95 x (days - 1), between two days in proportion); as it is with fewer than 8 selling days."""
    rates = divided(demand.units, demand.exposure)
    selling = (rates > 0).sum(axis=1)
    rank = CUT_AT * np.maximum(selling - 1, 0)
    below = np.floor(rank).astype(np.int64)
    ordered = np.sort(rates, axis=1)
    first = ordered.shape[1] - selling  # after the days without a sale
    last = ordered.shape[1] - 1
    low, high = (
        np.take_along_axis(ordered, np.minimum(first + at, last)[:, np.newaxis], axis=1)[:, 0]
        for at in (below, below + 1)
    )
    cap = np.where(selling >= CUT_FROM, low + (rank - below) * (high - low), np.inf)
    units = np.where(demand.units > 0, np.minimum(rates, cap[:, np.newaxis]) * demand.exposure, 0.0)
    return Demand(units, demand.exposure, demand.opened, demand.prices)


def best_discounted_mean(demand: Demand) -> Floats:
    """The discounted mean [sku] with that alpha whose forecasts of the next day were off least: the sum of error²."""
    means, errors = discounted_means(demand, ALPHAS)
    best = errors.argmin(axis=0)
    return np.take_along_axis(means, best[np.newaxis], axis=0)[0]


def discounted_means(demand: Demand, alphas: tuple[float, ...], *, from_first: bool = False) -> tuple[Floats, Floats]:
    """The mean of the days [alpha, sku], older ones counting less and less, and the sum of error² of each day's forecast.

    A day of exposure e has the weight 1 - (1 - alpha)^e at its end, and leaves (1 - alpha)^e to all before it; the mean is
    the weighted sum divided by the sum of weights. That is simple exponential smoothing (R. G. Brown, 1956) for days of
    unequal length (D. J. Wright, "Forecasting data published at irregular time intervals", Management Science 32, 1986,
    pages 499 to 510), so a day of exposure 0 moves nothing and two half days are a whole one. ``from_first`` gives the
    first day all the weight, as textbooks do; without it no value has to be made up for the time before.
    """
    shape = (len(alphas), demand.skus)
    rates = divided(demand.units, demand.exposure)
    column = np.array(alphas)[:, np.newaxis]
    total, weight, errors = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for rate, exposed in zip(rates.T.copy(), demand.exposure.T.copy(), strict=True):
        known = weight > 0
        mean = divided(total, weight)
        errors += known * np.square(exposed * (rate - mean))
        share = _shares(column, exposed)
        if from_first:
            share = np.where(known | (exposed == 0), share, 1.0)
        total += share * (rate - total)
        weight += share * (1 - weight)
    return divided(total, weight), errors


def _shares(alphas: Floats, exposed: Floats) -> Floats:
    """1 - (1 - alpha)^exposed [alpha, sku]; plainly alpha for a whole day, so that nobody's days decide how another's are
    rounded."""
    whole = exposed == 1
    if (whole | (exposed == 0)).all():
        return alphas * exposed
    return np.where(whole, alphas, 1 - (1 - alphas) ** exposed)
