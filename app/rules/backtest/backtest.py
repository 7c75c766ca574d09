"""The backtest: every origin's forecasts, from what was known on that morning, beside what came."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.rules.backtest.origins import origins
from app.rules.backtest.rivals import RIVALS
from app.rules.backtest.textbook import RULES, normal_level
from app.rules.demand.classes import demand_classes
from app.rules.demand.forecast import Outlook, outlook, typical_levels
from app.rules.demand.history import Bools, Demand, Floats, Ints
from app.rules.demand.learning import Experience, Learned, experience, learned_from, past_origins

SHARES = (0.5, 0.8, 0.9, 0.95, 0.98)
"""Of a level: how often it is promised to be enough."""

IN_STOCK = 0.9
"""A row is judged where the SKU could be bought in so much of the days ahead: what an empty shelf would have sold, nobody
knows, and to forecast it is no mistake."""

OURS = "Tallyhook"
BASE = "30-day mean"
TEXTBOOK = "mean + z sd sqrt(H)"


@dataclass(frozen=True, slots=True)
class Judged:
    """One row for each origin and each reported SKU that had sold before it and was in stock after it.

    ``forecasts`` {method: [row]} and ``actual`` [row] are units in the days ahead; ``levels`` {method: {share: [row]}} is
    stock that is promised to be enough for them.
    """

    origin: Ints
    actual: Floats
    price: Floats
    demand_class: Ints
    forecasts: Mapping[str, Floats]
    levels: Mapping[str, Mapping[float, Floats]]


def backtest(demand: Demand, days: Floats, is_reported: Bools) -> Judged:
    """Forecast the ``days`` [sku] ahead on every origin, and keep what came.

    What is learned at an origin comes from forecasts, of all SKUs, whose last day was before it. Raises ``ValueError``
    where the history is too short, or where there is nothing to judge.
    """
    longest = int(np.ceil(days.max(initial=1.0)))
    total = demand.units.shape[1]
    reported = demand.rows(is_reported)
    lessons = _Lessons(demand, days, longest)
    found = [_at(reported, lessons, origin, days[is_reported]) for origin in origins(total, longest)]
    if not any(one.actual.size for one in found):
        raise ValueError("no SKU that had sold before one of the mornings and was in stock in the days after it")
    return Judged(
        np.concatenate([one.origin for one in found]),
        np.concatenate([one.actual for one in found]),
        np.concatenate([one.price for one in found]),
        np.concatenate([one.demand_class for one in found]),
        {name: np.concatenate([one.forecasts[name] for one in found]) for name in found[0].forecasts},
        {
            name: {share: np.concatenate([one.levels[name][share] for one in found]) for share in SHARES}
            for name in found[0].levels
        },
    )


class _Lessons:
    """What can be learned by a morning; each earlier forecast is made once."""

    def __init__(self, demand: Demand, days: Floats, longest: int) -> None:
        self.demand = demand
        self._days = days
        self._longest = longest
        self._made: dict[int, Experience] = {}

    def by(self, origin: int) -> Learned:
        """From the origins that a forecast on this morning could look back to."""
        return learned_from([self._experience(earlier) for earlier in past_origins(origin, self._longest)])

    def _experience(self, origin: int) -> Experience:
        if origin not in self._made:
            known = self.demand.until(origin + self._longest)
            self._made[origin] = experience(known, origin, self._days)
        return self._made[origin]


def _at(demand: Demand, lessons: _Lessons, origin: int, days: Floats) -> Judged:
    chosen = np.flatnonzero((demand.units[:, :origin] > 0).any(axis=1) & _was_in_stock(demand, origin, days))
    known, ahead = demand.rows(chosen), days[chosen]
    past = known.until(origin)
    everyone = lessons.demand.until(origin)
    typical = typical_levels(everyone, np.zeros(everyone.skus, dtype=np.int64), 1)
    ours = outlook(past, lessons.by(origin), typical.repeat(past.skus))
    is_ahead = np.arange(demand.units.shape[1] - origin) < ahead[:, np.newaxis]
    methods = {**RULES, **RIVALS}
    return Judged(
        np.full(chosen.size, origin, dtype=np.int64),
        (known.units[:, origin:] * is_ahead).sum(axis=1),
        known.prices,
        demand_classes(past),
        {**{name: method(past, ahead) for name, method in methods.items()}, OURS: ours.per_day * ahead},
        {
            TEXTBOOK: {share: normal_level(past, ahead, share) for share in SHARES},
            OURS: {share: _enough(ours, ahead, share) for share in SHARES},
        },
    )


def _was_in_stock(demand: Demand, origin: int, days: Floats) -> Bools:
    is_ahead = np.arange(demand.units.shape[1] - origin) < days[:, np.newaxis]
    exposed, opened = ((part[:, origin:] * is_ahead).sum(axis=1) for part in (demand.exposure, demand.opened))
    return exposed >= IN_STOCK * opened


def _enough(ours: Outlook, days: Floats, share: float) -> Floats:
    return ours.quantile(np.full(days.size, share), days)
