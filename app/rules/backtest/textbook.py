"""The rules of thumb that ours is compared with, as they stand in handbooks and in most inventory programs.

They know nothing of empty shelves or closed days. Each takes the history until a morning and the days ahead [sku].
"""

from collections.abc import Callable, Mapping
from statistics import NormalDist

import numpy as np

from app.rules.demand.history import Demand, Floats

WINDOW = 30
"""Days that the mean is taken over."""

Method = Callable[[Demand, Floats], Floats]


def mean_of_30_days(past: Demand, days: Floats) -> Floats:
    """Units [sku] in the days ahead: what the last 30 days sold, divided by 30, times the days."""
    return past.units[:, -WINDOW:].mean(axis=1) * days


def last_days_again(past: Demand, days: Floats) -> Floats:
    """Units [sku] in the days ahead: what as many days before sold. "Naive" in the literature."""
    upto = np.concatenate([np.zeros((past.skus, 1)), past.units.cumsum(axis=1)], axis=1)
    begin = np.maximum(upto.shape[1] - 1 - days.astype(np.int64), 0)
    return upto[:, -1] - np.take_along_axis(upto, begin[:, np.newaxis], axis=1)[:, 0]


def normal_level(past: Demand, days: Floats, share: float) -> Floats:
    """Units [sku] that are enough with probability ``share``, were demand normal and its days independent:
    mean x H + z x sd x sqrt(H), with the mean of the last 30 days and the standard deviation of all days (that of the last
    30 reaches less)."""
    deviation = past.units.std(axis=1, ddof=1)
    return mean_of_30_days(past, days) + NormalDist().inv_cdf(share) * deviation * np.sqrt(days)


RULES: Mapping[str, Method] = {"30-day mean": mean_of_30_days, "naive": last_days_again}
