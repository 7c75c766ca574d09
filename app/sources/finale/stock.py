"""Adds ``inventoryitem/`` rows up to stock counts: one per product, place and state.

Finale has a row for each (facility, lot, packing, order, product), and exactly one of its three quantities is not
zero (developer.finaleinventory.com/reference/inventory-item). What is on hand lies in a sublocation, what is on order
or reserved counts for the facility of its order.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any

from app.domain import ON_HAND, ON_ORDER, RESERVED, SKU_PREFIX, StockCount, micros, quantity, to_json
from app.errors import BadAnswer
from app.sources.finale.columnar import Band
from app.sources.finale.wire import tail

_STATES = ((ON_HAND, "quantityOnHand"), (ON_ORDER, "quantityOnOrder"), (RESERVED, "quantityReserved"))
_Key = tuple[str, str, str]


class Tally:
    """Sums by product, place and state, with the lots, packings and orders behind each sum."""

    def __init__(self) -> None:
        self._sums: dict[_Key, Decimal] = {}
        self._details: dict[_Key, list[tuple[str, ...]]] = {}
        self._products: dict[str, str] = {}

    def add(self, band: Band) -> None:
        """Count a band of rows; rows without any quantity contribute nothing.

        Raises ``BadAnswer`` for a quantity of no product or place.
        """
        listings = [self._listing(*row) for row in zip(*self._names(band), strict=True)]
        places = list(map(_place, band.column("facilityUrl", str | None)))
        details = list(zip(*(band.column(name, str | None) for name in _DETAILS.values()), strict=True))
        for state, name in _STATES:
            if not band.has_any((name,)):
                continue
            for index, amount in enumerate(band.column(name, Decimal | None)):
                if amount:
                    self._count(listings[index], places[index], state, amount, details[index])

    def __len__(self) -> int:
        """How many sums there are."""
        return len(self._sums)

    def counts(self, began: datetime) -> Iterator[StockCount]:
        """The sums, and the memory they take back bit by bit; ``began`` is when the read began, their version."""
        version = micros(began)
        while self._sums:
            key, amount = self._sums.popitem()
            details = self._details.pop(key, None)
            yield StockCount(*key, amount, extra=_told(details) if details else None, version=version)

    def pages(self, began: datetime, size: int) -> Iterator[list[StockCount]]:
        """The sums in lists of at most ``size``."""
        counts = self.counts(began)
        while page := list(islice(counts, size)):
            yield page

    def _names(self, band: Band) -> tuple[list[Any], list[Any]]:
        return band.column("productUrl", str | None), band.column("productId", str | None)

    def _listing(self, url: str | None, sku: str | None) -> str | None:
        """The product's record id, one object however many rows it has; its SKU where there is no URL."""
        if url:
            return self._products.setdefault(url, tail(url) or url)
        return SKU_PREFIX + sku if sku else None

    def _count(
        self, listing: str | None, place: str | None, state: str, amount: Decimal, detail: tuple[str | None, ...]
    ) -> None:
        if listing is None or place is None:
            raise BadAnswer(f"a stock row with {amount} {state} of no product or at no facility")
        key = (listing, place, state)
        before = self._sums.get(key)
        self._sums[key] = _shared(amount) if before is None else quantity(before + amount)
        if any(detail):
            told = (*(text or "" for text in detail), str(_shared(amount)))
            self._details.setdefault(key, []).append(told)


_DETAILS = {"lot": "lotId", "packing": "normalizedPackingString", "order": "orderUrl"}


def _told(details: list[tuple[str, ...]]) -> str | None:
    """The rows behind a sum as JSON, in an order of their own because the source promises none."""
    keys = (*_DETAILS, "quantity")
    return to_json([{key: value for key, value in zip(keys, row, strict=True) if value} for row in sorted(details)])


@lru_cache(maxsize=4_096)
def _place(url: str | None) -> str | None:
    return tail(url)


@lru_cache(maxsize=4_096)
def _shared(amount: Decimal) -> Decimal:
    """The canonical quantity, one object for the many rows that have the same."""
    return quantity(amount)
