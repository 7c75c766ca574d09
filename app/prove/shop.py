"""The truth at one simulated vendor: its records, every edit of them with its time, and which of them are bad."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from app.domain import (
    ALL_ITEMS,
    Change,
    Kind,
    Listing,
    Location,
    MissingPolicy,
    Order,
    Record,
    StockCount,
    Vendor,
    key_of,
    micros,
)
from app.domain import KINDS as KIND_OF
from app.prove.harm import Harm

Key = tuple[str, ...]

EPOCH = datetime(2026, 6, 1, 11, 58, 30, tzinfo=UTC)
"""The moment at which every simulation begins."""


@dataclass(frozen=True)
class Style:
    """How a vendor reports what it has. ``named`` kinds have a delta that only names items; ``open`` kinds have a
    full read that proves no absence; ``seconds`` rounds every version; ``varied`` products are variations of
    items."""

    name: str
    whole: tuple[Kind, ...]
    named: tuple[Kind, ...]
    open: tuple[Kind, ...]
    batch: int
    page: int | None
    seconds: bool
    varied: bool
    announced: tuple[Kind, ...]


VERSIONED = Style(
    name="bakery",
    whole=(Kind.LOCATION, Kind.VENDOR),
    named=(Kind.PRODUCT,),
    open=(Kind.STOCK, Kind.ORDER),
    batch=5,
    page=4,
    seconds=False,
    varied=True,
    announced=(Kind.PRODUCT, Kind.STOCK, Kind.ORDER, Kind.LOCATION, Kind.VENDOR),
)
TIMED = Style(
    name="depot",
    whole=(Kind.LOCATION, Kind.VENDOR, Kind.STOCK),
    named=(Kind.ORDER,),
    open=(Kind.ORDER,),
    batch=1,
    page=None,
    seconds=True,
    varied=False,
    announced=(Kind.PRODUCT, Kind.STOCK, Kind.ORDER),
)
KINDS = (Kind.LOCATION, Kind.VENDOR, Kind.PRODUCT, Kind.STOCK, Kind.ORDER)


@dataclass(frozen=True)
class Edit:
    """One change of the truth; ``record`` is ``None`` when the row was removed."""

    at: float
    kind: Kind
    key: Key
    item: str
    record: Record | None


@dataclass
class Shop:
    """The truth. ``items`` has the version of each item's last change, also of removed items."""

    style: Style
    rng: random.Random
    clock: Callable[[], float]
    rows: dict[Kind, dict[Key, Record]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    items: dict[Kind, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    edits: list[Edit] = field(default_factory=list)
    bad: dict[tuple[Kind, Key], Harm] = field(default_factory=dict)
    ever_bad: set[tuple[Kind, str]] = field(default_factory=set)
    ever_ahead: set[tuple[Kind, str]] = field(default_factory=set)
    """Items once dated in the future: their versions are in no order, so an old state from a replica counts as news."""
    held_before: set[tuple[Kind, Key]] = field(default_factory=set)
    """Unreadable rows that we had when they went bad: the vendor still shows them, so they have not vanished."""
    _number: int = 0

    @property
    def now(self) -> datetime:
        """The vendor's own clock, which is right."""
        return EPOCH + timedelta(seconds=self.clock())

    def version(self) -> tuple[int, datetime]:
        """The version and the time of an edit made now."""
        moment = self.now.replace(microsecond=0) if self.style.seconds else self.now
        return micros(moment), moment

    def item_of(self, record: Record) -> str:
        """The id under which a record is fetched."""
        return record.parent_id if isinstance(record, Listing) and record.parent_id else key_of(record)[0]

    def put(self, record: Record, *, ahead: timedelta = timedelta(0)) -> Change:
        """Set a record, dated ``ahead`` of the present; returns the change that a webhook announces."""
        kind, key = KIND_OF[type(record)], key_of(record)
        version, moment = self.version()
        version, moment = version + round(ahead.total_seconds() * 1_000_000), moment + ahead
        record = msgspec.structs.replace(record, version=version, modified_at=moment)
        self.rows[kind][key] = record
        return self._note(kind, key, self.item_of(record), record, version)

    def remove(self, kind: Kind, key: Key) -> Change:
        """Remove a record; returns the change that a webhook announces."""
        record = self.rows[kind].pop(key)
        self.bad.pop((kind, key), None)
        self.held_before.discard((kind, key))
        version, _ = self.version()
        item = self.item_of(record)
        change = self._note(kind, key, item, None, version)
        if kind is Kind.PRODUCT and self.style.varied:  # the rest of the item gets a new version
            for sibling in self.of_item(kind, item):
                self.put(sibling)
        return change

    def _note(self, kind: Kind, key: Key, item: str, record: Record | None, version: int) -> Change:
        self.items[kind][item] = version
        self.edits.append(Edit(self.clock(), kind, key, item, record))
        if not self.style.seconds:
            return Change(kind, item, version)
        return Change(kind, ALL_ITEMS if kind is Kind.STOCK else item)

    def of_item(self, kind: Kind, item: str) -> list[Record]:
        """The present rows of an item."""
        return [record for record in self.rows[kind].values() if self.item_of(record) == item]

    def as_of(self, kind: Kind, item: str, at: float) -> list[Record]:
        """The rows that an item had at a moment of the past."""
        then: dict[Key, Record | None] = {}
        for edit in self.edits:
            if edit.at <= at and edit.kind is kind and edit.item == item:
                then[edit.key] = edit.record
        return [record for record in then.values() if record is not None]

    def newest(self, kind: Kind) -> int:
        """The newest version of a kind."""
        return max(self.items[kind].values(), default=0)

    def absent(self, kind: Kind) -> MissingPolicy:
        """What it means when a complete read does not show a row."""
        return MissingPolicy.ZERO if kind is Kind.STOCK else MissingPolicy.DELETED

    def fresh_id(self, letter: str) -> str:
        """An unused id."""
        self._number += 1
        return f"{letter}{self._number:03}"

    # opening

    def open(self, products: int) -> None:
        """Fill the shop before the simulation starts."""
        for name in ("L1", "L2"):
            self.put(Location(name, name=f"Place {name}", currency="EUR", timezone="Europe/Berlin"))
        for name in ("V1", "V2", "V3"):
            self.put(Vendor(name, name=f"Maker {name}", email=f"{name}@example.com"))
        for _ in range(products):
            self.create_product()
        for _ in range(6):
            self.create_order()

    def create_product(self) -> Change:
        """Create a product with its stock."""
        id = self.fresh_id("P")
        change = self.put_product(id)
        for listing in self.of_item(Kind.PRODUCT, id):
            self.put(StockCount(key_of(listing)[0], "L1", "on_hand", Decimal(self.rng.randint(0, 40))))
        return change

    def put_product(self, id: str) -> Change:
        """Create a product with this id, or create it again."""
        if not self.style.varied:
            return self.put(self._listing(id, None))
        changes = [self.put(self._listing(f"{id}v{number}", id)) for number in range(1, self.rng.randint(2, 4))]
        return changes[-1]

    def _listing(self, id: str, parent: str | None) -> Listing:
        price = self.rng.randint(100, 9_999)
        return Listing(
            id, parent_id=parent, sku=f"SKU-{id}", name=f"Thing {id} {price}", price_minor=price, currency="EUR"
        )

    def create_order(self) -> Change:
        """Create a sale."""
        id = self.fresh_id("O")
        total = self.rng.randint(100, 90_000)
        day = f"{self.now:%F}"
        return self.put(Order(id, number=id, status="OPEN", ordered_on=day, total_minor=total, currency="EUR"))
