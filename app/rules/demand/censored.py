"""What an empty shelf hides: the sales of a day on which a SKU was not in stock from opening to closing."""

import numpy as np

from app.rules.demand.history import Bools, Demand, Floats, divided


def mean_level(demand: Demand) -> Floats:
    """Units a full day [sku]: all units divided by all exposure; 0 where nothing was ever exposed."""
    return divided(demand.units.sum(axis=1), demand.exposed_days)


def without_sell_outs(demand: Demand, level: Floats, dispersion: Floats) -> Demand:
    """The same history as if no day had ended, or begun, with an empty shelf.

    A day that was exposed in part gets the units it was not there to sell: (opened - exposure) x rate, with

        rate = (level + (dispersion - 1) x units) / (1 + (dispersion - 1) x exposure)

    the expected rate of *that* day: rates of days are gamma distributed around the level, and what was sold is Poisson
    (A. Gelman et al., "Bayesian Data Analysis", 3rd edition, 2013, section 2.6). Where days are alike (dispersion 1) it is
    the level; where they differ, a day that sold out was probably a good one. A day without any exposure says nothing, and
    stays without weight. ``level`` and ``dispersion`` [sku] are of a day: units, and variance / mean.
    """
    sku, day = np.nonzero(is_exposed_in_part(demand))
    sold, exposed = demand.units[sku, day], demand.exposure[sku, day]
    over = dispersion[sku] - 1
    rate = (level[sku] + over * sold) / (1 + over * exposed)
    units, exposure = demand.units.copy(), demand.exposure.copy()
    exposure[sku, day] = np.broadcast_to(demand.opened, units.shape)[sku, day]
    units[sku, day] += (exposure[sku, day] - exposed) * rate
    return Demand(units, exposure, demand.opened, demand.prices)


def is_exposed_in_part(demand: Demand) -> Bools:
    """[sku, day]: in stock for a part of the day."""
    return (demand.exposure > 0) & (demand.exposure < demand.opened)


def lost_sales(demand: Demand, level: Floats, days: int) -> Floats:
    """Money [sku] that empty shelves cost in the last so many days: the sum of (opened - exposure) x level x price.

    Days before a SKU was first in stock cost nothing. ``level`` [sku] is units a full day."""
    had_begun = np.maximum.accumulate(demand.exposure > 0, axis=1)
    missing = np.where(had_begun, demand.opened - demand.exposure, 0.0)[:, -days:]
    return missing.sum(axis=1) * level * demand.prices
