"""A shop in memory: the truth, and what the vendor shows of it."""

import random
from collections.abc import Sequence
from copy import copy
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import KINDS, ON_HAND, Kind, Listing, Location, Record, StockCount, key_of, micros
from app.prove.memory import MemorySource

PLACES = ("MAIN", "NORTH", "OUTLET")
_MAKES = ("Aster", "Birk", "Calder", "Dunes", "Ember", "Fjord", "Gable", "Harrow", "Iris", "Juno", "Kelp", "Lark")
_THINGS = ("Shirt", "Mug", "Lamp", "Chair", "Bottle", "Scarf", "Candle", "Bowl", "Notebook", "Blanket", "Jar", "Tray")
_COLORS = ("Blue", "Red", "Olive", "Sand", "Black", "White", "Coral", "Mint", "Plum", "Slate")

Key = tuple[str, ...]
Rows = dict[Kind, dict[Key, Any]]


class Shop(MemorySource):
    """``truth`` is what is true, ``listed`` what the vendor's lists show, ``answered`` what it answers about single
    items.

    With ``stock_is_whole`` stock has no delta, and a count that a complete read does not show is zero; otherwise
    stock is read like products, and a count that is not shown says nothing. Without ``shows_zeros`` a complete read
    of stock leaves out what is sold out.
    """

    kinds: tuple[Kind, ...] = (Kind.LOCATION, Kind.PRODUCT, Kind.ORDER, Kind.STOCK)

    def __init__(
        self,
        rng: random.Random,
        size: int,
        now: datetime,
        *,
        stock_is_whole: bool = True,
        shows_zeros: bool = True,
    ) -> None:
        self.whole_kinds = (Kind.LOCATION, Kind.STOCK) if stock_is_whole else (Kind.LOCATION,)
        self.shows_zeros = shows_zeros
        self.rng = rng
        self.now = now
        self.made = 0
        self.ending: list[Listing] = []  # products that a life discontinues, in this order
        self.truth: Rows = {kind: {} for kind in self.kinds}
        self.put(*(Location(place, name=place.title()) for place in PLACES[: 2 if size < 50 else 3]))
        for _ in range(size):
            self.add_product()
        self.listed = self.answered = self.truth

    def shown_in_full(self, kind: Kind) -> Sequence[Any]:
        """What the lists show, perhaps without counts of zero."""
        rows = list(self.listed[kind].values())
        return rows if self.shows_zeros else [row for row in rows if getattr(row, "quantity", True)]

    def shown_in_delta(self, kind: Kind) -> Sequence[Any]:
        """What the lists show, with counts of zero."""
        return list(self.listed[kind].values())

    def shown_singly(self, kind: Kind) -> Sequence[Any]:
        """What the vendor answers about single items."""
        return list(self.answered[kind].values())

    def put(self, *records: Record) -> None:
        """These records are true from now on."""
        for record in records:
            stamped = msgspec.structs.replace(record, version=micros(self.now), modified_at=self.now)
            self.truth[KINDS[type(record)]][key_of(record)] = stamped

    def add_product(self, **fields: object) -> Listing:
        """Add a product, with stock at some places."""
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
        """Set the quantity on hand."""
        self.put(StockCount(product, place, ON_HAND, Decimal(quantity)))

    def places(self) -> list[str]:
        """The ids of the open places."""
        return [place.external_id for place in self.truth[Kind.LOCATION].values() if place.active]

    def products(self) -> list[Listing]:
        """The products as the vendor would list them now."""
        return list(self.truth[Kind.PRODUCT].values())

    def counts(self) -> list[StockCount]:
        """The counts as the vendor would list them now."""
        return list(self.truth[Kind.STOCK].values())

    def drawn(self, records: Sequence[Any], share: float, least: int = 1) -> list[Any]:
        """A random share of some records, at least ``least`` of them."""
        many = min(len(records), max(least, round(share * len(records))))
        return self.rng.sample(list(records), many)

    def lie(self) -> Rows:
        """Let the lists differ from the truth from now on; returns the lists, to be spoiled."""
        self.listed = _copied(self.truth)
        return self.listed

    def again(self, rng: random.Random) -> "Shop":
        """A copy of the shop with dice of its own."""
        other = copy(self)
        other.rng, other.ending = rng, []
        other.truth = other.listed = other.answered = _copied(self.truth)
        return other

    def spoil(self, record: Record, **fields: object) -> None:
        """Let the lists show a record with other fields, as if it had changed now."""
        spoiled = msgspec.structs.replace(record, **fields, version=micros(self.now), modified_at=self.now)
        shown = self.listed[KINDS[type(record)]]
        shown.pop(key_of(record), None)
        shown[key_of(spoiled)] = spoiled


def _copied(rows: Rows) -> Rows:
    return {kind: dict(some) for kind, some in rows.items()}
