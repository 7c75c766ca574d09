"""A shop whose true demand is known: shelves run empty, and what customers wanted then is never sold.

Demand of a day is Poisson around a rate of its own, and the rates of a SKU's days are gamma distributed around its true
level (so a day is negative binomial). Customers come at random moments of the day. Each shelf is filled up once a week.
"""

from typing import NamedTuple

import numpy as np

from app.rules.demand.history import Bools, Demand, Floats

DELIVERED_EVERY = 7


class Shelves(NamedTuple):
    """What the till shows, and what it does not: the true units a day [sku], and the days on which a shelf ran empty."""

    demand: Demand
    level: Floats
    ran_empty: Bools


def shelves(
    *, seed: int, skus: int, days: int, fill: float, dispersion: float, mean: float = 4.0, closed_every: int = 0
) -> Shelves:
    """``fill`` is what a shelf holds after a delivery, in weeks of its true demand: the lower, the more sell-outs."""
    dice = np.random.default_rng(seed)
    level = mean * dice.lognormal(0.0, 0.8, skus)
    full = np.ceil(level * DELIVERED_EVERY * fill)
    units, exposure = np.zeros((skus, days)), np.zeros((skus, days))
    opened = np.ones((1, days))
    stock = np.zeros(skus)
    for day in range(days):
        if day % DELIVERED_EVERY == 0:
            stock = full.copy()
        if closed_every and day % closed_every == closed_every - 1:
            opened[0, day] = 0.0
            continue
        rate = dice.gamma(level / (dispersion - 1), dispersion - 1) if dispersion > 1 else level
        wanted = dice.poisson(rate).astype(np.float64)
        units[:, day] = np.minimum(wanted, stock)
        exposure[:, day] = _share_in_stock(dice, wanted, stock)
        stock -= units[:, day]
    prices = np.full(skus, 250.0)
    return Shelves(Demand(units, exposure, opened, prices), level, (exposure < opened) & (opened > 0))


def _share_in_stock(dice: np.random.Generator, wanted: Floats, stock: Floats) -> Floats:
    """When the customer came who took the last unit: of ``wanted`` random moments, the one of that rank."""
    share = np.ones_like(wanted)
    share[stock == 0] = 0.0
    sold_out = (stock > 0) & (wanted >= stock)
    share[sold_out] = dice.beta(stock[sold_out], wanted[sold_out] - stock[sold_out] + 1)
    return share
