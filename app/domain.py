"""What we talk about: items, changes, and the six kinds of record, as frozen values without I/O.

Quantities are ``Decimal`` (at most 5 decimals, no exponent, no trailing zeros; see ``quantity``),
money is integer minor units beside an ISO 4217 currency, times are aware UTC datetimes.
Records are ``msgspec`` structs because a nightly run makes 900,000 of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import msgspec


class Kind(StrEnum):
    """The kinds of thing a source can have; each is one table."""

    PRODUCT = "product"
    STOCK = "stock"
    ORDER = "order"
    LOCATION = "location"
    VENDOR = "vendor"
    CATEGORY = "category"


WHOLE = "*"
"""External id that means "something of this kind may have changed: look from the watermark"."""

SKU_PREFIX = "sku:"
"""External ids that begin so name a product by its public SKU, not by the source's record id."""


class Cause(StrEnum):
    """Why we think that an item may have changed."""

    WEBHOOK = "webhook"
    POLL = "poll"
    LOOKUP = "lookup"
    STORM = "storm"
    REPLAY = "replay"
    PERSON = "person"
    RECONCILE = "reconcile"


class Ref(NamedTuple):
    """One item inside one connection."""

    kind: Kind
    external_id: str


class ItemKey(NamedTuple):
    """One item of one connection: the key of an owed item and the whole content of a message."""

    connection: str
    kind: Kind
    external_id: str


class Change(msgspec.Struct, frozen=True):
    """This item of this kind may have changed. ``version`` is a hint, 0 when unknown."""

    kind: Kind
    external_id: str
    version: int = 0


class Listing(msgspec.Struct, frozen=True, gc=False):
    """One product (for item-and-variation sources: one variation) as one connection sees it.

    ``prices``, ``suppliers``, ``reorders`` and ``extra`` are JSON text, keys in the source's order:
    every price list entry, every supplier, every reorder guideline, and all fields not mapped.
    """

    key_fields: ClassVar[tuple[str, ...]] = ("external_id",)

    external_id: str
    parent_id: str | None = None
    sku: str | None = None
    name: str | None = None
    description: str | None = None
    active: bool = True
    category_id: str | None = None
    category: str | None = None
    barcode: str | None = None
    price_minor: int | None = None
    cost_minor: int | None = None
    currency: str | None = None
    prices: str | None = None
    supplier_id: str | None = None
    supplier_sku: str | None = None
    suppliers: str | None = None
    lead_time_days: int | None = None
    reorder_point: Decimal | None = None
    reorder_quantity: Decimal | None = None
    reorders: str | None = None
    extra: str | None = None
    deleted: bool = False
    version: int = 0
    modified_at: datetime | None = None


ON_HAND = "on_hand"
ON_ORDER = "on_order"
RESERVED = "reserved"


class StockCount(msgspec.Struct, frozen=True, gc=False):
    """How many of a listing are in one state at one location.

    ``state`` is ``on_hand``, ``on_order`` or ``reserved``, or a source's further state in lower case.
    A missing row means "nothing known", never zero.
    """

    key_fields: ClassVar[tuple[str, ...]] = ("listing_id", "location_id", "state")

    listing_id: str
    location_id: str
    state: str
    quantity: Decimal
    extra: str | None = None
    deleted: bool = False
    version: int = 0
    modified_at: datetime | None = None


class Order(msgspec.Struct, frozen=True, gc=False):
    """A sale, purchase, transfer or return.

    ``lines`` is a JSON list of ``{"line_id", "listing_id", "sku", "name", "quantity", "unit_minor",
    "currency"}``, quantities as decimal strings. ``ordered_on`` is the business date, YYYY-MM-DD.
    """

    key_fields: ClassVar[tuple[str, ...]] = ("external_id",)

    external_id: str
    number: str | None = None
    type: str = "sale"
    status: str | None = None
    location_id: str | None = None
    party_id: str | None = None
    ordered_on: str | None = None
    total_minor: int | None = None
    currency: str | None = None
    lines: str | None = None
    extra: str | None = None
    deleted: bool = False
    version: int = 0
    modified_at: datetime | None = None


class Location(msgspec.Struct, frozen=True, gc=False):
    """A place that holds stock; ``parent_id`` where places nest."""

    key_fields: ClassVar[tuple[str, ...]] = ("external_id",)

    external_id: str
    parent_id: str | None = None
    name: str | None = None
    active: bool = True
    currency: str | None = None
    timezone: str | None = None
    extra: str | None = None
    deleted: bool = False
    version: int = 0
    modified_at: datetime | None = None


class Vendor(msgspec.Struct, frozen=True, gc=False):
    """Somebody the merchant buys from."""

    key_fields: ClassVar[tuple[str, ...]] = ("external_id",)

    external_id: str
    name: str | None = None
    active: bool = True
    account_number: str | None = None
    email: str | None = None
    phone: str | None = None
    extra: str | None = None
    deleted: bool = False
    version: int = 0
    modified_at: datetime | None = None


class Category(msgspec.Struct, frozen=True, gc=False):
    """A product category; ``parent_id`` where categories nest."""

    key_fields: ClassVar[tuple[str, ...]] = ("external_id",)

    external_id: str
    parent_id: str | None = None
    name: str | None = None
    extra: str | None = None
    deleted: bool = False
    version: int = 0
    modified_at: datetime | None = None


Record = Listing | StockCount | Order | Location | Vendor | Category

RECORDS: Mapping[Kind, type[Any]] = {
    Kind.PRODUCT: Listing,
    Kind.STOCK: StockCount,
    Kind.ORDER: Order,
    Kind.LOCATION: Location,
    Kind.VENDOR: Vendor,
    Kind.CATEGORY: Category,
}
KINDS: Mapping[type[Any], Kind] = {record: kind for kind, record in RECORDS.items()}


class Absent(StrEnum):
    """What it means when a complete read does not show a row that we hold."""

    DELETED = "deleted"
    ZERO = "zero"


class Scope(NamedTuple):
    """What a complete read speaks for: live rows of ``kind``, all of them or those where field = value.

    ``absent`` says what becomes of a row inside the scope that the read did not show.
    """

    kind: Kind
    field: str | None = None
    value: str | None = None
    absent: Absent = Absent.DELETED


class Page(msgspec.Struct, frozen=True):
    """One page of a read.

    ``records`` are complete and versioned and may be applied as they are; ``changes`` only name items
    that need a fetch of their own. ``watermark`` (the source's clock, opaque to everyone else) and
    ``complete`` come with the last page only: the whole feed is behind us.
    """

    records: Sequence[Record] = ()
    changes: Sequence[Change] = ()
    watermark: str | None = None
    complete: Scope | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a source said about the items it was asked for.

    ``gone`` items do not exist there (any more); ``not_yet`` ones are known but not readable yet
    (read-after-webhook lag) and must be asked for again; ``covers`` are the scopes read completely.
    """

    records: Sequence[Record] = ()
    gone: Sequence[Ref] = ()
    not_yet: Sequence[Ref] = ()
    covers: Sequence[Scope] = ()


class Delivery(msgspec.Struct, frozen=True):
    """One verified and parsed webhook delivery. An unknown type has ``ignored`` set and no changes."""

    event_id: str
    type: str
    changes: Sequence[Change] = ()
    ignored: bool = False
    occurred_at: datetime | None = None


_CONTENT_END = -2  # version and modified_at close every record and are not content


def row_hash(record: Record) -> int:
    """Signed 64-bit BLAKE2b of everything but ``version`` and ``modified_at``: equal rows, equal hash."""
    content = msgspec.msgpack.encode(msgspec.structs.astuple(record)[:_CONTENT_END])
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def key_of(record: Record) -> tuple[str, ...]:
    """The record's key inside its connection and kind."""
    if isinstance(record, StockCount):
        return (record.listing_id, record.location_id, record.state)
    return (record.external_id,)


def quantity(value: int | float | str | Decimal) -> Decimal:
    """A canonical quantity: no exponent and no trailing zeros, so that equal amounts look equal.

    Raises ``ValueError`` for text that is no finite number.
    """
    if type(value) is int:
        return Decimal(value)
    amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not amount.is_finite():
        raise ValueError(f"a quantity must be a finite number, not {value!r}")
    amount = amount.normalize()
    return amount.quantize(Decimal(1)) if amount.as_tuple().exponent > 0 else amount  # type: ignore[operator]


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime: the shape of every time-based version."""
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


def to_json(value: Any) -> str | None:
    """Compact JSON text of a value for one of the JSON fields; ``None`` for nothing to say."""
    if value is None or value == [] or value == {}:
        return None
    return msgspec.json.encode(value).decode()


def batches(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    """The items in lists of at most ``size``."""
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
