"""What a shop's own past teaches about its forecasts: how far they were off, and how widely the truth lay around them.

A forecast is made as of some earlier morning (an origin) and compared with what came. All figures are sums over SKUs, so
they are as good as there are many SKUs; a sample of 20,000 is plenty.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.rules.demand.history import BLOCK, Demand, Floats, Ints
from app.rules.demand.levels import Levels, levels

SIZE_EDGES: Floats = 2.0 ** np.arange(-3, 8) / 28
"""Units a full day that part the 12 size classes: an eighth, a quarter, a half, 1, 2 ... 128 units in four weeks."""

SIZES = SIZE_EDGES.size + 1

ORIGIN_STEP = 28
SHORTEST_PAST = 60
MOST_ORIGINS = 12
"""Origins lie so many days apart, the first at least so many days after the history begins; at most so many, the latest."""

DRIFT_BELIEVED = 0.75
DRIFT_BETWEEN = (0.7, 1.4)
"""How much of a common error is corrected, and up to which factors. The rest is the season's and will not stay."""

PRIOR_UNITS = 5.0
"""A size class is believed as far as more units than these were forecast in it; up to there it goes with all others."""

UNKNOWN_DISPERSION = 3.0

OUTLIERS = 0.99
OUTLIERS_FROM = 20
"""The largest sums of a size class, one in a hundred, count no more than the one below them for the spread: a single order
of 70,000 pieces says little about next month. Only in classes with so many sums."""


class Experience(NamedTuple):
    """Forecasts as of one origin: the levels, in how many of the days ahead each SKU could be bought, and the units that
    came [sku]."""

    levels: Levels
    exposed: Floats
    came: Floats


class Learned(NamedTuple):
    """``given_back``: what cutting the largest days took, as a factor for all levels. ``drift``: the factor by which all
    forecasts go with the time. ``lift`` [size] and ``phi`` [size]: by the size of the forecast, the mean of what came as a
    factor, and its variance / mean. ``hardly``: units a full day of a SKU in the smallest class, where a factor says
    nothing: some have died and some come back."""

    given_back: float
    drift: float
    lift: Floats
    phi: Floats
    hardly: float

    def stock_level(self, level: Floats, size: Ints) -> Floats:
        """Units a full day [sku] that stock has to be kept for; none for what never sold."""
        return np.where((size == 0) & (level > 0), self.hardly, level * self.lift[size])


NOTHING_LEARNED = Learned(1.0, 1.0, np.ones(SIZES), np.full(SIZES, UNKNOWN_DISPERSION), 0.0)


def size_classes(level: Floats) -> Ints:
    """0 to 11 for each SKU [sku], by its units a full day."""
    return np.digitize(level, SIZE_EDGES).astype(np.int64)


def past_origins(days: int, longest: int) -> tuple[int, ...]:
    """The days (counted from the beginning) to look back from, oldest first, after each of which ``longest`` days came."""
    latest = days - longest
    count = min(MOST_ORIGINS, (latest - SHORTEST_PAST) // ORIGIN_STEP + 1)
    return tuple(latest - ORIGIN_STEP * back for back in reversed(range(count)))


def experience(demand: Demand, origin: int, days: Floats) -> Experience:
    """What was expected on the morning of a day for the ``days`` [sku] ahead, and what came of it.

    Of the days ahead only the exposed ones count: that a shelf was empty is not the forecast's fault. SKUs that had never
    sold are left out.
    """
    had_sold = np.flatnonzero((demand.units[:, :origin] > 0).any(axis=1))
    parts = [
        _experience(demand.rows(rows), origin, days[rows])
        for rows in (had_sold[begin : begin + BLOCK] for begin in range(0, max(had_sold.size, 1), BLOCK))
    ]
    return Experience(
        Levels(*(np.concatenate(column) for column in zip(*(one.levels for one in parts), strict=True))),
        np.concatenate([one.exposed for one in parts]),
        np.concatenate([one.came for one in parts]),
    )


def _experience(known: Demand, origin: int, days: Floats) -> Experience:
    is_ahead = np.arange(known.units.shape[1] - origin) < days[:, np.newaxis]
    exposed = (known.exposure[:, origin:] * is_ahead).sum(axis=1)
    came = (known.units[:, origin:] * is_ahead).sum(axis=1)
    return Experience(levels(known.until(origin)), exposed, came)


def learned_from(experiences: Sequence[Experience]) -> Learned:
    """The factors that would have been right on all these mornings together."""
    if not experiences:
        return NOTHING_LEARNED
    latest = experiences[-1].levels
    given_back = _ratio(latest.units, latest.units_cut, 1.0)
    level = np.concatenate([one.levels.level(given_back) for one in experiences])
    exposed = np.concatenate([one.exposed for one in experiences])
    came = np.concatenate([one.came for one in experiences])
    size = size_classes(level)
    expected = level * exposed
    common = _ratio(came, expected, 1.0)
    drift = 1 + DRIFT_BELIEVED * (float(np.clip(common, *DRIFT_BETWEEN)) - 1)
    lift = _by_size(size, came, expected, common)
    hardly = _ratio(came[size == 0], exposed[size == 0], 0.0)
    learned = Learned(given_back, drift, lift, NOTHING_LEARNED.phi, hardly)
    mean = learned.stock_level(level, size) * exposed
    distances = np.square(_without_outliers(size, came) - mean)
    phi = _by_size(size, distances, mean, _ratio(distances, mean, UNKNOWN_DISPERSION))
    return learned._replace(phi=np.maximum(phi, 1.0))


def learn(demand: Demand, days: Floats) -> Learned:
    """From forecasts for the ``days`` [sku] ahead, as of every earlier origin that the history allows."""
    longest = int(np.ceil(days.max(initial=1.0)))
    return learned_from([experience(demand, origin, days) for origin in past_origins(demand.units.shape[1], longest)])


def _without_outliers(size: Ints, came: Floats) -> Floats:
    result = came.copy()
    for one in range(SIZES):
        mine = size == one
        if mine.sum() >= OUTLIERS_FROM:
            result[mine] = np.minimum(came[mine], np.quantile(came[mine], OUTLIERS))
    return result


def _by_size(size: Ints, part: Floats, whole: Floats, common: float) -> Floats:
    """part / whole of each size class; of one with few units, near the ratio of all."""
    parts = np.bincount(size, part, minlength=SIZES) + PRIOR_UNITS * common
    return np.asarray(parts / (np.bincount(size, whole, minlength=SIZES) + PRIOR_UNITS), dtype=np.float64)


def _ratio(part: Floats, whole: Floats, otherwise: float) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else otherwise
