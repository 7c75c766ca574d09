"""Every table, as SQLModel classes: six of the merchant's own data, the rest of what Tallyhook must remember.

The six *catalog tables* share their shape: ``connection`` and the record's key fields as primary key, the record's
fields in the record's order, then how the row came to be (``Kept``). ``CATALOG`` maps a kind to its table.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from app.domain import Kind
from app.stores.columns import Moment, Quantity


AutoId = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers only INTEGER keys by itself


def _moment(**options: Any) -> Any:
    return Field(sa_type=Moment, **options)


def _big(default: int = 0) -> Any:
    return Field(default=default, sa_type=BigInteger)


def _amount() -> Any:
    return Field(default=None, sa_type=Quantity)


def _long() -> Any:
    return Field(default=None, sa_type=Text)


class Kept(SQLModel):
    """How a catalog row came to be.

    ``version`` orders states by the source's clock; ``read_at`` is when the read that brought the row *began* and
    decides between equal versions; ``row_hash`` is ``domain.row_hash``, 0 for a tombstone we concluded ourselves;
    ``written_at`` is when the row was last written here.
    """

    deleted: bool = False
    version: int = _big()
    modified_at: datetime | None = _moment(default=None)
    row_hash: int = _big()
    read_at: datetime = _moment()
    written_at: datetime = _moment()


class ListingRow(Kept, table=True):
    """One product as one connection sees it; money in minor units of ``currency``."""

    __tablename__ = "listings"
    __table_args__ = (
        Index("ix_listings_sku", "connection", "sku"),
        Index("ix_listings_parent", "connection", "parent_id"),
    )

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    parent_id: str | None = None
    sku: str | None = None
    name: str | None = None
    description: str | None = _long()
    active: bool = True
    category_id: str | None = None
    category: str | None = None
    barcode: str | None = None
    price_minor: int | None = Field(default=None, sa_type=BigInteger)
    cost_minor: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = None
    prices: str | None = _long()
    supplier_id: str | None = None
    supplier_sku: str | None = None
    suppliers: str | None = _long()
    lead_time_days: int | None = None
    reorder_point: Decimal | None = _amount()
    reorder_quantity: Decimal | None = _amount()
    reorders: str | None = _long()
    extra: str | None = _long()


class StockRow(Kept, table=True):
    """How many of a listing are in one state at one location."""

    __tablename__ = "stock"

    connection: str = Field(primary_key=True)
    listing_id: str = Field(primary_key=True)
    location_id: str = Field(primary_key=True)
    state: str = Field(primary_key=True)
    quantity: Decimal = Field(sa_type=Quantity)
    extra: str | None = _long()


class OrderRow(Kept, table=True):
    """A sale, purchase, transfer or return; ``lines`` is JSON text (see ``domain.Order``)."""

    __tablename__ = "orders"
    __table_args__ = (Index("ix_orders_modified", "connection", "modified_at"),)

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    number: str | None = None
    type: str = "sale"
    status: str | None = None
    location_id: str | None = None
    party_id: str | None = None
    ordered_on: str | None = None
    total_minor: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = None
    lines: str | None = _long()
    extra: str | None = _long()


class LocationRow(Kept, table=True):
    """A place that holds stock."""

    __tablename__ = "locations"

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    parent_id: str | None = None
    name: str | None = None
    active: bool = True
    currency: str | None = None
    timezone: str | None = None
    extra: str | None = _long()


class VendorRow(Kept, table=True):
    """Somebody the merchant buys from."""

    __tablename__ = "vendors"

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    name: str | None = None
    active: bool = True
    account_number: str | None = None
    email: str | None = None
    phone: str | None = None
    extra: str | None = _long()


class CategoryRow(Kept, table=True):
    """A product category."""

    __tablename__ = "categories"

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    parent_id: str | None = None
    name: str | None = None
    extra: str | None = _long()


CATALOG: Mapping[Kind, type[SQLModel]] = {
    Kind.PRODUCT: ListingRow,
    Kind.STOCK: StockRow,
    Kind.ORDER: OrderRow,
    Kind.LOCATION: LocationRow,
    Kind.VENDOR: VendorRow,
    Kind.CATEGORY: CategoryRow,
}


class InboxEvent(SQLModel, table=True):
    """One delivery as received, never changed afterwards; what came of it is told by owed items and settlements.

    ``verdict`` is ``accepted`` or ``ignored``. ``items`` is JSON text: a list of ``[kind, external_id]``.
    """

    __tablename__ = "inbox_events"
    __table_args__ = (
        UniqueConstraint("connection", "event_id"),
        Index("ix_inbox_received", "received_at"),
    )

    id: int | None = Field(default=None, sa_type=AutoId, primary_key=True)
    connection: str
    event_id: str
    type: str
    received_at: datetime = _moment()
    occurred_at: datetime | None = _moment(default=None)
    verdict: str
    items: str = Field(sa_type=Text)
    headers: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)


class OwedItem(SQLModel, table=True):
    """An item with changes not yet settled: the dirty set. The row is deleted when the item is settled.

    ``rev`` counts the changes seen; a worker notes it before it fetches and settles only up to it. ``token`` and
    ``lease_until`` say who works on it; a lease that expired without being given back counts as one of ``kills``.
    ``next_at`` is when it may be tried (again), ``hinted_at`` when a message was last sent for it.
    """

    __tablename__ = "owed_items"
    __table_args__ = (Index("ix_owed_due", "connection", "kind", "next_at"),)

    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    rev: int = _big(1)
    version: int = _big()
    cause: str
    first_seen_at: datetime = _moment()
    next_at: datetime = _moment()
    hinted_at: datetime | None = _moment(default=None)
    attempts: int = 0
    kills: int = 0
    token: str | None = None
    lease_until: datetime | None = _moment(default=None)


class Settlement(SQLModel, table=True):
    """What came of an item's changes: one row each time an owed item was settled.

    ``outcome`` is ``applied``, ``unchanged``, ``gone`` or ``dead``; ``changes`` is how many changes it covered,
    ``first_seen_at`` to ``settled_at`` how long they waited.
    """

    __tablename__ = "settlements"
    __table_args__ = (
        Index("ix_settlements_item", "connection", "kind", "external_id", "settled_at"),
        Index("ix_settlements_at", "settled_at"),
    )

    id: int | None = Field(default=None, sa_type=AutoId, primary_key=True)
    connection: str
    kind: str
    external_id: str
    cause: str
    outcome: str
    changes: int = _big(1)
    attempts: int = 0
    first_seen_at: datetime = _moment()
    settled_at: datetime = _moment()


class Attempt(SQLModel, table=True):
    """One failed try of a message, kept until it succeeds or is buried with it in a dead letter."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_message", "message_key"),)

    id: int | None = Field(default=None, sa_type=AutoId, primary_key=True)
    message_key: str
    number: int
    at: datetime = _moment()
    worker: str
    error_type: str
    error: str = Field(sa_type=Text)
    traceback: str = Field(sa_type=Text)


class DeadLetter(SQLModel, table=True):
    """A message that will not be retried by itself. ``state`` is ``dead``, ``replayed`` or ``discarded``.

    ``args`` is the message's arguments as JSON text, ``attempts`` a JSON list of every attempt (number, at, worker,
    error_type, error, traceback).
    """

    __tablename__ = "dead_letters"
    __table_args__ = (
        Index("ix_dead_state", "state", "died_at"),
        Index("ix_dead_item", "connection", "kind", "external_id"),
    )

    id: int | None = Field(default=None, sa_type=AutoId, primary_key=True)
    message_id: str = Field(unique=True)
    actor: str
    queue: str
    args: str = Field(sa_type=Text)
    connection: str | None = None
    kind: str | None = None
    external_id: str | None = None
    cause: str | None = None
    error_type: str
    error: str = Field(sa_type=Text)
    attempts: str = Field(sa_type=Text)
    first_failed_at: datetime = _moment()
    died_at: datetime = _moment()
    state: str = "dead"
    replays: int = 0
    replayed_at: datetime | None = _moment(default=None)


class Watermark(SQLModel, table=True):
    """How far a kind has been read, by the source's clock; opaque to all but the source."""

    __tablename__ = "watermarks"

    connection: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    value: str
    pulled_at: datetime = _moment()


class BudgetUse(SQLModel, table=True):
    """A sliding window: the moments (epoch seconds, JSON list) of the calls still inside it."""

    __tablename__ = "budget_use"

    connection: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    taken: str = Field(sa_type=Text)


class Run(SQLModel, table=True):
    """One bulk sync. ``status`` is ``idle``, ``running``, ``completed``, ``failed`` or ``cancelled``.

    ``counts`` is JSON per kind: read, created, updated, unchanged, deleted, held, agreement. The slot makes a
    scheduled run unique however many clocks there are.
    """

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("connection", "strategy", "slot"),
        Index(
            "ux_runs_active",
            "connection",
            unique=True,
            sqlite_where=text("status IN ('idle', 'running')"),
            postgresql_where=text("status IN ('idle', 'running')"),
        ),
        Index("ix_runs_started", "connection", "created_at"),
    )

    id: int | None = Field(default=None, sa_type=AutoId, primary_key=True)
    connection: str
    strategy: str
    cause: str
    status: str = "idle"
    slot: datetime | None = _moment(default=None)
    created_at: datetime = _moment()
    started_at: datetime | None = _moment(default=None)
    finished_at: datetime | None = _moment(default=None)
    hinted_at: datetime | None = _moment(default=None)
    token: str | None = None
    lease_until: datetime | None = _moment(default=None)
    kills: int = 0
    counts: str = Field(default="{}", sa_type=Text)
    calls: int = 0
    error: str | None = _long()


class Drift(SQLModel, table=True):
    """One row that a nightly run found different, with what differed and why.

    ``change`` is ``missing`` (we lacked it), ``differs``, or ``vanished``; ``fields`` is JSON
    ``{field: [old, new]}``; ``cause`` is ``missed``, ``late``, ``failed``, ``local`` or ``unknown``;
    ``since`` is the source's last-modified time where it has one.
    """

    __tablename__ = "drift"
    __table_args__ = (Index("ix_drift_run", "run_id", "kind"),)

    id: int | None = Field(default=None, sa_type=AutoId, primary_key=True)
    run_id: int = Field(sa_type=BigInteger)
    connection: str
    kind: str
    item: str
    change: str
    fields: str = Field(sa_type=Text)
    cause: str
    since: datetime | None = _moment(default=None)
    found_at: datetime = _moment()


class Hold(SQLModel, table=True):
    """An implausible batch that waits for a person. ``state`` is ``held``, ``released`` or ``dismissed``."""

    __tablename__ = "holds"

    id: int | None = Field(default=None, sa_type=AutoId, primary_key=True)
    connection: str
    kind: str
    run_id: int | None = Field(default=None, sa_type=BigInteger)
    reason: str = Field(sa_type=Text)
    summary: str = Field(sa_type=Text)
    state: str = "held"
    held_at: datetime = _moment()


class Schedule(SQLModel, table=True):
    """When a job runs by itself for a connection: a five-field cron expression in a time zone."""

    __tablename__ = "schedules"

    connection: str = Field(primary_key=True)
    job: str = Field(primary_key=True)
    cron: str
    timezone: str = "UTC"
    enabled: bool = True
    last_slot: datetime | None = _moment(default=None)


class Beat(SQLModel, table=True):
    """The last sign of life of each process."""

    __tablename__ = "beats"

    process: str = Field(primary_key=True)
    role: str
    started_at: datetime = _moment()
    seen_at: datetime = _moment()
