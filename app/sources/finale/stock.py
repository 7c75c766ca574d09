"""Adds ``inventoryitem/`` rows up to stock counts: one per product, place and state.

Finale has a row for each (facility, lot, packing, order, product), and exactly one of its three quantities is not
zero (developer.finaleinventory.com/reference/inventory-item). Stock on hand is in a sublocation; stock on order or
reserved counts for the facility of its order.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from app.domain import (
    ALL_ITEMS,
    ON_HAND,
    ON_ORDER,
    RESERVED,
    SKU_PREFIX,
    Answer,
    BadRecord,
    Kind,
    Scope,
    StockCount,
    key_of,
    micros,
    quantity,
    to_json,
)
from app.errors import Unmappable
from app.sources.finale.columnar import Band
from app.sources.finale.isolation import readable, text_in
from app.sources.finale.wire import tail
from app.sources.shapes import bad_record, shown

_STATES = ((ON_HAND, "quantityOnHand"), (ON_ORDER, "quantityOnOrder"), (RESERVED, "quantityReserved"))
_URL = "inventoryItemUrl"
_Key = tuple[str, str, str]
_Detail = tuple[str | None, ...]


class _Rows(NamedTuple):
    """A band as columns: the product, the place and the details of each row, and its amounts by state."""

    listings: list[str | None]
    places: list[str | None]
    details: list[_Detail]
    amounts: list[tuple[str, str, list[Decimal | None]]]


class Tally:
    """Sums by product, place and state, with the lots, packings and orders behind each sum.

    ``failed`` are the products of rows that could not be counted: without a place, or with an unreadable quantity.
    Their sums at other places are right; at the place of such a row there is no sum.
    """

    def __init__(self) -> None:
        self.failed: list[BadRecord] = []
        self._sums: dict[_Key, Decimal] = {}
        self._details: dict[_Key, list[tuple[str, ...]]] = {}
        self._products: dict[str, str] = {}
        self._unknown: set[tuple[str | None, str | None]] = set()

    def add(self, band: Band) -> None:
        """Count a band of rows; rows without any quantity contribute nothing."""
        result = readable(Kind.STOCK, _URL, band, lambda part: [self._rows(part)])
        for rows in result.records:
            self._count_all(rows)
        for bad in result.bad:
            self._fail(self._shown(bad.row), tail(text_in(bad.row, "facilityUrl")), bad.error)

    def __len__(self) -> int:
        """The number of sums."""
        return len(self._sums)

    def counts(self, began: datetime) -> Iterator[StockCount]:
        """The sums, whose memory is released bit by bit; ``began`` (when the read began) is their version."""
        version = micros(began)
        while self._sums:
            key, amount = self._sums.popitem()
            details = self._details.pop(key, None)
            if self._unknown and key[:2] in self._unknown:
                continue
            yield StockCount(*key, amount, extra=_rows_json(details) if details else None, version=version)

    def _rows(self, band: Band) -> _Rows:
        names = zip(band.column("productUrl", str | None), band.words("productId"), strict=True)
        details = zip(*map(band.words, _DETAILS.values()), strict=True)
        return _Rows(
            [self._listing(*row) for row in names],
            list(map(_place, band.column("facilityUrl", str | None))),
            list(details),
            [(state, name, band.column(name, Decimal | None)) for state, name in _STATES if band.has_any((name,))],
        )

    def _listing(self, url: str | None, sku: str | None) -> str | None:
        """The product's record id, one object however many rows it has; its SKU where there is no URL."""
        if url:
            return self._products.setdefault(url, tail(url) or url)
        return SKU_PREFIX + sku if sku else None

    def _shown(self, row: Band) -> str | None:
        """The product of an unreadable row.

        A SKU next to an unreadable URL names no product: our rows are known by URL, and would count as not shown.
        """
        url, sku = row.cell("productUrl"), text_in(row, "productId")
        is_readable = isinstance(url, str) or (url is None and not row.has_any(("productUrl",)))
        return self._listing(url, sku) if is_readable else None

    def _count_all(self, rows: _Rows) -> None:
        listings, places, details, amounts = rows
        for state, name, column in amounts:
            for index, amount in enumerate(column):
                if amount:
                    try:
                        self._count(listings[index], places[index], state, _canonical(amount, name), details[index])
                    except Unmappable as error:
                        self._fail(listings[index], places[index], error)

    def _count(self, listing: str | None, place: str | None, state: str, amount: Decimal, detail: _Detail) -> None:
        if listing is None:
            raise Unmappable(f"productUrl and productId are null, expected a product ({amount} {state})")
        if place is None:
            raise Unmappable(f"facilityUrl is null, expected the URL of a facility ({amount} {state})")
        key = (listing, place, state)
        before = self._sums.get(key)
        self._sums[key] = amount if before is None else _canonical(before + amount, "the sum")
        if any(detail):
            row = (*(text or "" for text in detail), str(amount))
            self._details.setdefault(key, []).append(row)

    def _fail(self, listing: str | None, place: str | None, error: Exception) -> None:
        self.failed.append(bad_record(Kind.STOCK, listing or "", error))
        self._unknown.add((listing, place))


_DETAILS = {"lot": "lotId", "packing": "normalizedPackingString", "order": "orderUrl"}


def _rows_json(details: list[tuple[str, ...]]) -> str | None:
    """The rows behind a sum as JSON, sorted because the source promises no order."""
    keys = (*_DETAILS, "quantity")
    return to_json([{key: value for key, value in zip(keys, row, strict=True) if value} for row in sorted(details)])


_place = lru_cache(maxsize=4_096)(tail)


def _canonical(amount: Decimal, what: str) -> Decimal:
    try:
        return _shared(amount)
    except (ValueError, TypeError) as error:  # a signalling NaN cannot even be looked up
        raise Unmappable(f"{what} is {shown(amount)}, expected a number of at most 15 digits") from error


@lru_cache(maxsize=4_096)
def _shared(amount: Decimal) -> Decimal:
    """The canonical quantity, one object for the many rows that have the same."""
    return quantity(amount)


def of_products(whole: Answer, listings: set[str]) -> Answer:
    """What the whole list says of some products (all, if ``*`` is among them). The guard would not let a bulk read remove as
    much as this answer can: so it says nothing about other products, and nothing at all if the list is empty."""
    if ALL_ITEMS in listings:
        return whole
    shown = whole.records or whole.failed
    return Answer(
        [record for record in whole.records if key_of(record)[0] in listings],
        covers=[
            Scope(Kind.STOCK, "listing_id", id, scope.absent)
            for scope in whole.covers
            for id in sorted(listings)
            if shown
        ],
        failed=[bad for bad in whole.failed if not bad.external_id or bad.external_id in listings],
    )
