"""The six kinds of record, each one row of the merchant's own data, with their keys and hashes.

Records are ``msgspec`` structs because a nightly run makes 900,000 of them.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from app.domain.values import INT64
from app.domain.words import Kind

CATEGORY_JOINT = " / "


class _Named(msgspec.Struct, frozen=True, gc=False):
    """A record whose key is the source's id."""

    key_fields: ClassVar[tuple[str, ...]] = ("external_id",)


class Listing(_Named, frozen=True, gc=False):
    """One product (for item-and-variation sources: one variation) as one connection sees it.

    ``category_path`` has the names from the root down to ``category``, joined by ``CATEGORY_JOINT``. It is counted or
    weighed in ``unit``, to ``unit_precision`` digits after the point. The merchant has ``archived`` it or not; ``active``
    says that it is sold somewhere.

    JSON text, keys in the source's order: ``prices``, ``suppliers`` and ``reorders`` (every price list entry, supplier and
    reorder guideline), ``sold_out`` (locations), ``images`` (URLs), ``options`` (names and values), ``modifiers`` (lists
    with their choices), ``taxes``; ``extra`` has all fields that are not mapped. ``mentions`` lists the ids of the objects
    whose names this record contains: when one of them changes, the listing must be read again.
    """

    external_id: str
    parent_id: str | None = None
    sku: str | None = None
    name: str | None = None
    description: str | None = None
    active: bool = True
    category_id: str | None = None
    category: str | None = None
    category_path: str | None = None
    archived: bool = False
    sold_out: str | None = None
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
    unit: str | None = None
    unit_precision: int | None = None
    images: str | None = None
    options: str | None = None
    modifiers: str | None = None
    taxes: str | None = None
    mentions: str | None = None
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
    A missing row means that nothing is known, never zero.
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


class Order(_Named, frozen=True, gc=False):
    """An order; ``type`` is sale, return, exchange, refund (money without lines), purchase or transfer.

    Amounts are minor units of ``currency``; returned amounts are negative, so that sums fall with a return.
    ``total_minor`` is subtotal, less discount, plus tax, service charge and tip; the ``lines`` (a JSON list of
    ``order_lines.OrderLine``) add up to it. ``net_minor`` is that less the refunds that have no line. ``ordered_on`` is
    the business date at the location, YYYY-MM-DD; ``channel`` is where it was sold.
    """

    external_id: str
    number: str | None = None
    type: str = "sale"
    status: str | None = None
    location_id: str | None = None
    party_id: str | None = None
    channel: str | None = None
    ordered_on: str | None = None
    subtotal_minor: int | None = None
    discount_minor: int | None = None
    tax_minor: int | None = None
    service_charge_minor: int | None = None
    tip_minor: int | None = None
    total_minor: int | None = None
    net_minor: int | None = None
    currency: str | None = None
    lines: str | None = None
    extra: str | None = None
    deleted: bool = False
    version: int = 0
    modified_at: datetime | None = None


class Location(_Named, frozen=True, gc=False):
    """A place that holds stock; ``parent_id`` where places nest."""

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


class Vendor(_Named, frozen=True, gc=False):
    """Somebody the merchant buys from."""

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


class Category(_Named, frozen=True, gc=False):
    """A product category; ``parent_id`` where categories nest."""

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


_CONTENT_END = -2  # version and modified_at close every record and are not content
_pack = msgspec.msgpack.Encoder().encode


def row_hash(record: Record) -> int:
    """Signed 64-bit BLAKE2b of everything but ``version`` and ``modified_at``: equal rows have equal hashes."""
    content = _pack(msgspec.structs.astuple(record)[:_CONTENT_END])
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def key_of(record: Record) -> tuple[str, ...]:
    """The record's key inside its connection and kind."""
    if isinstance(record, StockCount):
        return (record.listing_id, record.location_id, record.state)
    return (record.external_id,)


def item_of(record: Record) -> str:
    """The external id of the item that a record belongs to: a variation's parent, a count's listing."""
    if isinstance(record, Listing) and record.parent_id is not None:
        return record.parent_id
    return key_of(record)[0]


_LARGEST = Decimal(10) ** 15
_LONGEST_KEY = 600  # characters of all parts; PostgreSQL refuses index rows of more than 2,704 bytes


def check_storable(record: Record) -> None:
    """Raise ``ValueError`` for a record without its whole key or with one that no index holds, and for a number that no
    column holds: a version below 64 bits (``rules.versions`` handles one above), an amount that is not finite or has more
    than 15 digits before the point.

    Without its key, no later record would replace the row. SQLite would store such a number, and then fail to read the
    table.
    """
    if record.version < -INT64:
        raise ValueError(f"version is {record.version}; a whole number of at most 64 bits was expected")
    key = key_of(record)
    if "" in key:
        raise ValueError(f"its key is {', '.join(map(repr, key))}; no part of it may be empty")
    if (length := len("".join(key))) > _LONGEST_KEY:
        raise ValueError(f"its key has {length} characters; at most {_LONGEST_KEY} were expected")
    if isinstance(record, StockCount):
        _check("quantity", record.quantity)
    elif isinstance(record, Listing):
        _check("reorder_point", record.reorder_point)
        _check("reorder_quantity", record.reorder_quantity)


def _check(field: str, amount: Decimal | None) -> None:
    if amount is not None and not (amount.is_finite() and -_LARGEST < amount < _LARGEST):
        raise ValueError(f"{field} is {amount}; a finite number of at most 15 digits was expected")
