"""The history that a forecast is made from: units sold, and for how much of each day they could be."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BLOCK = 2_048
"""SKUs at a time: what is made of their histories on the way takes some 50 MB, whatever the size of the shop."""

SURELY_OPEN = 10.0
"""If so many SKUs sell on an average day, a day without any sale was closed: by chance it happens once in e^10 days."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What was sold of each SKU at one location on each of its business days, oldest first.

    ``units`` [sku, day] are sales without returns, 0 or more. ``exposure`` [sku, day] is the share of the day in which the
    shop was open and the SKU in stock, 0 to ``opened``. ``opened`` [sku or 1, day] is the share of the day in which the shop
    was open: 1, 0 on a closed day, between them only where a day is split. ``prices`` [sku] is money per unit.
    """

    units: Floats
    exposure: Floats
    opened: Floats
    prices: Floats

    def check(self) -> None:
        """``ValueError`` where shapes do not fit, or a number cannot be."""
        skus, days = self.units.shape
        if self.exposure.shape != (skus, days) or self.prices.shape != (skus,):
            raise ValueError("units and exposure are [sku, day], prices [sku]")
        if self.opened.shape not in ((1, days), (skus, days)):
            raise ValueError("opened is [sku, day], or [1, day] for all SKUs")
        if not (_is_within(self.units, np.inf) and _is_within(self.prices, np.inf)):
            raise ValueError("units and prices are finite and 0 or more")
        if not (_is_within(self.opened, 1.0) and bool((self.exposure >= 0).all())):
            raise ValueError("exposure and opened are shares, 0 to 1")
        if not bool((self.exposure <= self.opened).all()):
            raise ValueError("no SKU is in stock for longer than the shop is open")
        if bool(((self.units > 0) & (self.exposure == 0)).any()):
            raise ValueError("nothing is sold on a day whose exposure is 0")

    @property
    def skus(self) -> int:
        """How many rows there are."""
        return self.units.shape[0]

    @property
    def exposed_days(self) -> Floats:
        """[sku]: full days on which it could be bought."""
        return self.exposure.sum(axis=1)

    def until(self, day: int) -> "Demand":
        """What was known before that day began."""
        return Demand(self.units[:, :day], self.exposure[:, :day], self.opened[:, :day], self.prices)

    def rows(self, chosen: slice | Ints | Bools) -> "Demand":
        """The same days of some SKUs."""
        opened = self.opened if self.opened.shape[0] == 1 else self.opened[chosen]
        return Demand(self.units[chosen], self.exposure[chosen], opened, self.prices[chosen])

    def blocks(self) -> Iterator[tuple[slice, "Demand"]]:
        """Slices of at most ``BLOCK`` SKUs."""
        for begin in range(0, self.skus, BLOCK):
            chosen = slice(begin, min(begin + BLOCK, self.skus))
            yield chosen, self.rows(chosen)


def divided(part: Floats, whole: Floats) -> Floats:
    """part / whole of each element; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _is_within(numbers: Floats, most: float) -> bool:
    return bool(np.isfinite(numbers).all() and (numbers >= 0).all() and (numbers <= most).all())


def closed_days(units: Floats) -> Bools:
    """[day]: days on which nothing at all was sold, where a shop sells so much that this is no chance."""
    selling = (units > 0).sum(axis=0)
    some = selling[selling > 0]
    return (selling == 0) & bool(some.size and some.mean() >= SURELY_OPEN)
