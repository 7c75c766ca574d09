"""The forecast: from a history to a reorder point, in numbers that a person can check."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from statistics import NormalDist

import numpy as np

from app.rules.demand.censored import lost_sales
from app.rules.demand.classes import demand_classes
from app.rules.demand.counts import days_until, quantile
from app.rules.demand.history import Demand, Floats, Ints, divided
from app.rules.demand.learning import Learned, size_classes
from app.rules.demand.levels import EMPTY_DAYS, levels

OPEN_DAYS_FROM = 56
"""The share of open days among the last eight weeks is that of the days ahead."""

LOST_DAYS = 90
LONGEST = 730
"""Days: stock that lasts two years lasts."""

FEW_SELLING_DAYS, FEW_EXPOSED_DAYS = 8, 60
MANY_SELLING_DAYS, MANY_EXPOSED_DAYS = 30, 180

TYPICAL_DAYS = 90
TYPICAL_SHARE = 0.25


class Confidence(IntEnum):
    """How much history a forecast stands on."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """What a merchant wants, and how suppliers deliver, for each SKU [sku].

    ``service``: the share of deliveries before which the shelf does not run empty, 0.5 to 0.9999. ``lead_days``: the mean
    from an order to its arrival, ``lead_variance`` in days². ``review_days``: from one order to the next.
    ``available``: on hand, less reserved, and what is on order. ``category``: 0, 1, 2 ...
    """

    service: Floats
    lead_days: Floats
    lead_variance: Floats
    review_days: Floats
    available: Floats
    category: Ints

    def rows(self, chosen: slice) -> "Policy":
        """Those of some SKUs."""
        return Policy(
            self.service[chosen],
            self.lead_days[chosen],
            self.lead_variance[chosen],
            self.review_days[chosen],
            self.available[chosen],
            self.category[chosen],
        )

    def check(self) -> None:
        """``ValueError`` where a number cannot be."""
        if not bool(((self.service >= 0.5) & (self.service <= 0.9999)).all()):
            raise ValueError("service is a share from 0.5 to 0.9999")
        for numbers in (self.lead_days, self.lead_variance, self.review_days):
            if not bool((np.isfinite(numbers) & (numbers >= 0)).all()):
                raise ValueError("days and their variance are finite and 0 or more")
        if not bool(np.isfinite(self.available).all()):
            raise ValueError("available is a finite number")


@dataclass(frozen=True, slots=True)
class Forecast:
    """Arrays [sku]. Of units: ``level`` a full day, ``expected`` in lead and review days, ``reorder_point``,
    ``safety_stock``, ``order_up_to``. In days: ``days_left`` of what is available, ``days_left_low`` and ``days_left_high``
    (in one case of ten it is less, or more), ``reorder_in``. ``lost_sales`` is money of the last 90 days."""

    level: Floats
    demand_class: Ints
    size_class: Ints
    dispersion: Floats
    expected: Floats
    reorder_point: Floats
    safety_stock: Floats
    order_up_to: Floats
    days_left: Floats
    days_left_low: Floats
    days_left_high: Floats
    reorder_in: Floats
    lost_sales: Floats
    confidence: Ints


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a SKU's demand will be: ``level`` in units a full day, ``per_day`` in units a calendar day as expected,
    ``stock_per_day`` the mean that stock has to be kept for, and ``dispersion``, variance / mean of a sum of days [sku]."""

    level: Floats
    size_class: Ints
    per_day: Floats
    stock_per_day: Floats
    dispersion: Floats

    def quantile(self, share: Floats, days: Floats) -> Floats:
        """Whole units [sku] that are not exceeded in so many days with probability ``share``."""
        return quantile(share, self.stock_per_day * days, self.dispersion)

    def enough(self, share: Floats, days: Floats, days_variance: Floats) -> Floats:
        """Whole units [sku] that are enough for the days with probability ``share``, at least what is expected.

        mean + sqrt(spread^2 + (z x mean a day)^2 x variance of the days), where spread is the quantile of the negative
        binomial distribution less its mean, and z that of the normal one: the two uncertainties are independent (E. A.
        Silver, D. F. Pyke, D. J. Thomas, "Inventory and Production Management in Supply Chains", 4th edition, 2017,
        section 6.10, for normal demand).
        """
        mean = self.stock_per_day * days
        spread = np.maximum(self.quantile(share, days) - mean, 0.0)
        delay = _normal(share) * self.stock_per_day * np.sqrt(days_variance)
        level = np.maximum(mean + np.hypot(spread, delay), self.per_day * days)
        return np.ceil(level - 1e-9)


def outlook(demand: Demand, learned: Learned, typical: Floats) -> Outlook:
    """The demand ahead, from the history, what the shop's past taught, and the ``typical`` level of its category [sku]."""
    found = levels(demand)
    exposed = demand.exposed_days
    is_new = exposed < FEW_EXPOSED_DAYS
    level = found.level(learned.given_back) + is_new * typical * EMPTY_DAYS / (exposed + EMPTY_DAYS)
    size = size_classes(level)
    open_share = demand.opened[:, -OPEN_DAYS_FROM:].mean(axis=1)
    per_day, stock_per_day = level * learned.drift * open_share, learned.stock_level(level, size) * open_share
    dispersion = (found.dispersion + learned.phi[size]) / 2
    return Outlook(level, size, per_day, stock_per_day, dispersion)


def forecast(demand: Demand, policy: Policy, learned: Learned, typical: Floats) -> Forecast:
    """Everything that is said about each SKU; ``typical`` [category] as ``typical_levels`` finds it."""
    ahead = outlook(demand, learned, typical[policy.category])
    cycle = policy.lead_days + policy.review_days
    reorder_point = ahead.enough(policy.service, policy.lead_days, policy.lead_variance)
    left = {
        share: days_until(share, policy.available, ahead.stock_per_day, ahead.dispersion, longest=LONGEST)
        for share in (0.1, 0.5, 0.9)
    }
    above = policy.available - reorder_point
    until_reorder = days_until(0.5, above, ahead.stock_per_day, ahead.dispersion, longest=LONGEST)
    return Forecast(
        level=ahead.level,
        demand_class=demand_classes(demand),
        size_class=ahead.size_class,
        dispersion=ahead.dispersion,
        expected=ahead.per_day * cycle,
        reorder_point=reorder_point,
        safety_stock=np.maximum(reorder_point - ahead.per_day * policy.lead_days, 0.0),
        order_up_to=ahead.enough(policy.service, cycle, policy.lead_variance),
        days_left=left[0.5],
        days_left_low=left[0.9],
        days_left_high=left[0.1],
        reorder_in=np.where(above <= 0, 0.0, until_reorder),
        lost_sales=lost_sales(demand, ahead.level, LOST_DAYS),
        confidence=confidence(demand),
    )


def forecasts(demand: Demand, policy: Policy, learned: Learned, typical: Floats) -> Iterator[tuple[slice, Forecast]]:
    """The same in blocks of SKUs, so that memory does not grow with their number."""
    for chosen, block in demand.blocks():
        yield chosen, forecast(block, policy.rows(chosen), learned, typical)


def typical_levels(demand: Demand, category: Ints, categories: int) -> Floats:
    """Units a full day [category] that a newcomer counts on: three of four SKUs of its category sold more in the last 90
    days. 0 where nothing was exposed. The average would be that of the best sellers."""
    exposed = demand.exposure[:, -TYPICAL_DAYS:].sum(axis=1)
    sold = demand.units[:, -TYPICAL_DAYS:].sum(axis=1)
    rates = divided(sold, exposed)
    result = np.zeros(categories)
    for one in range(categories):
        mine = rates[(category == one) & (exposed > 0)]
        result[one] = np.quantile(mine, TYPICAL_SHARE) if mine.size else 0.0
    return result


def confidence(demand: Demand) -> Ints:
    """The ``Confidence`` [sku], by selling days and exposed days."""
    selling, exposed = (demand.units > 0).sum(axis=1), demand.exposed_days
    is_low = (selling < FEW_SELLING_DAYS) | (exposed < FEW_EXPOSED_DAYS)
    is_high = (selling >= MANY_SELLING_DAYS) & (exposed >= MANY_EXPOSED_DAYS)
    return np.where(is_low, Confidence.LOW, np.where(is_high, Confidence.HIGH, Confidence.MEDIUM)).astype(np.int64)


def _normal(share: Floats) -> Floats:
    """The quantile of the normal distribution [sku]; each share that occurs is looked up once."""
    known, where = np.unique(share, return_inverse=True)
    return np.array([NormalDist().inv_cdf(one) for one in known.tolist()])[where]
