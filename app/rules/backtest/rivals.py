"""Methods of the literature that ours was chosen against; a backtest shows them in its table.

Each takes the history until a morning and the days ahead [sku], and knows closed days as ours does.
"""

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np

from app.rules.backtest.textbook import Method
from app.rules.demand.forecast import OPEN_DAYS_FROM
from app.rules.demand.history import Demand, Floats
from app.rules.demand.levels import ALPHAS, discounted_means, largest_days_cut

BETAS = (0.02, 0.05, 0.1)
"""Weights of the newest selling day, for its frequency and for its size."""


def smoothing(past: Demand) -> Floats:
    """Simple exponential smoothing, units a full day [sku]: with the first day as first mean, the best of 5 alphas."""
    means, errors = discounted_means(past, ALPHAS, from_first=True)
    return _best(means, errors)


def teunter_syntetos_babai(past: Demand) -> Floats:
    """TSB, units a full day [sku], the best of 3 x 3 weights."""
    found = [tsb(past, frequency, size) for frequency, size in product(BETAS, BETAS)]
    means, errors = zip(*found, strict=True)
    return _best(np.stack(means), np.stack(errors))


def tsb(past: Demand, alpha: float, beta: float) -> tuple[Floats, Floats]:
    """The share of days that sell times what a selling day sells [sku], and the sum of error² of each day's forecast.

    R. H. Teunter, A. A. Syntetos, M. Z. Babai, "Intermittent demand: Linking forecasting to inventory obsolescence",
    European Journal of Operational Research 214, 2011, pages 606 to 615. The share moves on every exposed day, the size on
    selling days; the first sale sets both.
    """
    share, size, errors = np.zeros(past.skus), np.zeros(past.skus), np.zeros(past.skus)
    for units, exposed in zip(past.units.T.copy(), past.exposure.T.copy(), strict=True):
        has_sold, is_selling = size > 0, units > 0
        errors += has_sold * np.square(units - exposed * share * size)
        moved = share + alpha * exposed * (is_selling - share)
        share = np.where(has_sold, moved, is_selling)
        size = np.where(is_selling, np.where(has_sold, size + beta * (units - size), units), size)
    return share * size, errors


def both(past: Demand) -> Floats:
    """The mean of smoothing and TSB, units a full day [sku]."""
    return (smoothing(past) + teunter_syntetos_babai(past)) / 2


def both_cut(past: Demand) -> Floats:
    """The same, of a history whose largest days are cut."""
    return both(largest_days_cut(past))


def _best(means: Floats, errors: Floats) -> Floats:
    best = errors.argmin(axis=0)
    return np.take_along_axis(means, best[np.newaxis], axis=0)[0]


def _over_days(level: Callable[[Demand], Floats]) -> Method:
    def units(past: Demand, days: Floats) -> Floats:
        return level(past) * past.opened[:, -OPEN_DAYS_FROM:].mean(axis=1) * days

    return units


RIVALS: Mapping[str, Method] = {
    "SES, best of 5": _over_days(smoothing),
    "TSB, best of 9": _over_days(teunter_syntetos_babai),
    "both, averaged": _over_days(both),
    "both, large days cut": _over_days(both_cut),
}
