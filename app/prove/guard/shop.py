"""A shop at a vendor in memory: what is true there, and what its lists show of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from copy import copy
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import (
    ON_HAND,
    Absent,
    Answer,
    Kind,
    Listing,
    Location,
    Order,
    Page,
    Record,
    Ref,
    Scope,
    StockCount,
    key_of,
    micros,
)
from app.sources.base import Limit, Receiver

PLACES = ("MAIN", "NORTH", "OUTLET")
_MAKES = ("Aster", "Birk", "Calder", "Dunes", "Ember", "Fjord", "Gable", "Harrow", "Iris", "Juno", "Kelp", "Lark")
_THINGS = ("Shirt", "Mug", "Lamp", "Chair", "Bottle", "Scarf", "Candle", "Bowl", "Notebook", "Blanket", "Jar", "Tray")
_COLORS = ("Blue", "Red", "Olive", "Sand", "Black", "White", "Coral", "Mint", "Plum", "Slate")

Key = tuple[str, ...]
Rows = dict[Kind, dict[Key, Any]]


class Shop:
    """``truth`` is what is so, ``listed`` what the vendor's lists show, ``answered`` what it says of single items."""

    def __init__(self, rng: random.Random, size: int, now: datetime) -> None:
        self.rng = rng
        self.now = now
        self.made = 0
        self.ending: list[Listing] = []  # products that a life discontinues, in this order
        self.truth: Rows = {kind: {} for kind in (Kind.LOCATION, Kind.PRODUCT, Kind.ORDER, Kind.STOCK)}
        self.put(*(Location(place, name=place.title()) for place in PLACES[: 2 if size < 50 else 3]))
        for _ in range(size):
            self.add_product()
        self.listed = self.answered = self.truth

    def put(self, *records: Record) -> None:
        """These are so from now on."""
        for record in records:
            stamped = msgspec.structs.replace(record, version=micros(self.now), modified_at=self.now)
            self.truth[_kind(record)][key_of(record)] = stamped

    def add_product(self, **fields: object) -> Listing:
        """One more product, in stock at some places."""
        rng, self.made = self.rng, self.made + 1
        number = self.made
        product = Listing(
            f"P{number:06}",
            sku=f"{rng.choice(_MAKES)[:2].upper()}-{number:05}",
            name=f"{rng.choice(_MAKES)} {rng.choice(_THINGS)} {rng.choice(_COLORS)} {number}",
            description=f"A good thing, number {number}",
            active=rng.random() < 0.93,
            category=rng.choice(_THINGS),
            barcode=f"40{number:011}" if rng.random() < 0.7 else None,
            price_minor=rng.randint(3, 180) * 100 - rng.choice((1, 5, 0, 50)),
            currency="USD",
        )
        self.put(msgspec.structs.replace(product, **fields))
        for place in rng.sample(self.places(), rng.randint(1, len(self.places()))):
            self.count(product.external_id, place, 0 if rng.random() < 0.12 else int(rng.expovariate(1 / 14)) + 1)
        return product

    def count(self, product: str, place: str, quantity: int) -> None:
        """So many on hand."""
        self.put(StockCount(product, place, ON_HAND, Decimal(quantity)))

    def places(self) -> list[str]:
        """The open places."""
        return [place.external_id for place in self.truth[Kind.LOCATION].values() if place.active]

    def products(self) -> list[Listing]:
        """All products."""
        return list(self.truth[Kind.PRODUCT].values())

    def counts(self) -> list[StockCount]:
        """All counts."""
        return list(self.truth[Kind.STOCK].values())

    def drawn(self, records: Sequence[Any], share: float, least: int = 1) -> list[Any]:
        """A share of some records, at least a few."""
        many = min(len(records), max(least, round(share * len(records))))
        return self.rng.sample(list(records), many)

    def lie(self) -> Rows:
        """From now on the lists show something else than what is so; returns that, to be spoiled."""
        self.listed = _copied(self.truth)
        return self.listed

    def again(self, rng: random.Random) -> Shop:
        """The shop as it is, to go another way than this one."""
        other = copy(self)
        other.rng, other.ending = rng, []
        other.truth = other.listed = other.answered = _copied(self.truth)
        return other

    def spoil(self, record: Record, **fields: object) -> None:
        """The lists show a record like this, as if it was changed now."""
        spoiled = msgspec.structs.replace(record, **fields, version=micros(self.now), modified_at=self.now)
        self.listed[_kind(record)].pop(key_of(record), None)
        self.listed[_kind(record)][key_of(spoiled)] = spoiled


def _copied(rows: Rows) -> Rows:
    return {kind: dict(some) for kind, some in rows.items()}


def _kind(record: Record) -> Kind:
    kinds = {Listing: Kind.PRODUCT, StockCount: Kind.STOCK, Location: Kind.LOCATION, Order: Kind.ORDER}
    return kinds[type(record)]


class ShopSource:
    """The vendor that the shop is at. With ``stock_is_whole`` stock has no delta, and a count that a complete read does
    not show is zero; without, stock is read like products, and a count that is not shown says nothing. Without
    ``shows_zeros`` a complete read of stock leaves out what is sold out."""

    name = "shop"
    kinds: tuple[Kind, ...] = (Kind.LOCATION, Kind.PRODUCT, Kind.ORDER, Kind.STOCK)
    receiver: Receiver | None = None

    def __init__(self, shop: Shop, *, stock_is_whole: bool, shows_zeros: bool) -> None:
        self.shop = shop
        self.stock_is_whole = stock_is_whole
        self.shows_zeros = shows_zeros
        self.whole_kinds: tuple[Kind, ...] = (Kind.LOCATION, Kind.STOCK) if stock_is_whole else (Kind.LOCATION,)
        self.listed_kinds: tuple[Kind, ...] = ()

    def at(self, shop: Shop) -> ShopSource:
        """The like, of another shop."""
        return ShopSource(shop, stock_is_whole=self.stock_is_whole, shows_zeros=self.shows_zeros)

    def batch_size(self, kind: Kind) -> int:
        """Many."""
        return 100

    def pace(self, kind: Kind) -> float:
        """No pause."""
        return 0.0

    def storm_size(self, kind: Kind) -> int:
        """Never."""
        return 1_000_000

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        """Single items."""
        kind = refs[0].kind
        wanted = {ref.external_id for ref in refs}
        found = [row for key, row in self.shop.answered[kind].items() if key[0] in wanted]
        known = {key_of(row)[0] for row in found}
        return Answer(records=found, gone=[ref for ref in refs if ref.external_id not in known])

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        """What has a version since the watermark."""
        shown = self.shop.listed[kind].values()
        newest = [row for row in shown if since is None or row.version > int(since)]
        for at in range(0, len(newest), 100):
            yield Page(records=newest[at : at + 100])
        yield Page(watermark=str(max((row.version for row in newest), default=int(since or 0))))

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        """Everything."""
        rows = list(self.shop.listed[kind].values())
        if not self.shows_zeros:
            rows = [row for row in rows if getattr(row, "quantity", True)]
        for at in range(0, len(rows), 500):
            yield Page(records=rows[at : at + 500])
        mark = str(max((row.version for row in rows), default=0))
        if kind is Kind.STOCK:
            yield Page(watermark=mark, complete=Scope(kind, absent=Absent.ZERO) if kind in self.whole_kinds else None)
        else:
            yield Page(watermark=mark, complete=None if kind is Kind.ORDER else Scope(kind))

    def window(
        self, kind: Kind, since: datetime | None, until: datetime | None, resume: str | None = None
    ) -> Iterator[Page]:
        """Not asked for here."""
        yield from self.full(kind)

    def order_ids(self, first: date, last: date) -> Iterator[tuple[date, str]]:
        """None."""
        yield from ()

    def calls(self) -> int:
        """Not counted."""
        return 0

    def budget(self) -> Sequence[Limit]:
        """None."""
        return ()

    def warm(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""
