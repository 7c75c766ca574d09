"""The past of counts: how far a source's own record of it has been read, and the rows that come of it.

A note per connection (a row ``past`` without an item) says how far: ``location_id`` is the last listing that was read,
``state`` is ``reading`` or ``read``, ``changed_at`` when reading may go on, ``status_after`` why it last failed.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, insert, literal, select, update

from app.domain import Kind
from app.stores.history.rows import PAST, ROWS
from app.stores.tables import CATALOG

WRITER = "ledger"
"""``written_by`` of the rows of the past."""

_STOCK = CATALOG[Kind.STOCK]
_READING, _READ = "reading", "read"


class PastNote(NamedTuple):
    """How far the past of a connection's counts has been read: up to the listing ``place``, or to the end (``done``)."""

    id: int
    place: str
    done: bool
    next_at: datetime
    error: str | None


class HeldCount(NamedTuple):
    """A count that we hold."""

    listing_id: str
    location_id: str
    state: str
    quantity: Decimal
    modified_at: datetime | None


class OwnChange(NamedTuple):
    """A change of a count in history, as far as the past needs it."""

    external_id: str
    location_id: str
    state: str
    op: str
    changed_at: datetime
    written_by: str | None
    quantity_before: Decimal | None


class PastCount(NamedTuple):
    """A row of the past that is to be written."""

    external_id: str
    location_id: str
    state: str
    changed_at: datetime
    quantity_before: Decimal | None
    quantity_after: Decimal


def note(conn: Connection, connection: str) -> PastNote | None:
    """The connection's note; ``None`` before reading began."""
    columns = (ROWS.c.id, ROWS.c.location_id, ROWS.c.state, ROWS.c.changed_at, ROWS.c.status_after)
    row = conn.execute(select(*columns).where(*_notes(connection)).order_by(ROWS.c.id).limit(1)).first()
    if row is None:
        return None
    return PastNote(row.id, row.location_id or "", row.state == _READ, row.changed_at, row.status_after)


def begin(conn: Connection, connection: str, now: datetime) -> None:
    """Make the connection's note unless there is one. Should two processes do so at once, the older note is the one."""
    row = {"connection": connection, "kind": Kind.STOCK.value, "external_id": "", "location_id": "", "op": PAST}
    row |= {"state": _READING, "written_by": WRITER}
    values = [literal(value) for value in row.values()]
    moments = [literal(now, ROWS.c.changed_at.type), literal(now, ROWS.c.changed_at.type)]
    missing = ~select(ROWS.c.id).where(*_notes(connection)).exists()
    conn.execute(
        insert(ROWS).from_select([*row, "changed_at", "recorded_at"], select(*values, *moments).where(missing))
    )


def claim(conn: Connection, seen: PastNote, until: datetime) -> bool:
    """Claim the reading until a moment; ``False`` when another process was faster."""
    mine = (ROWS.c.id == seen.id, ROWS.c.changed_at == seen.next_at, ROWS.c.state == _READING)
    return conn.execute(update(ROWS).where(*mine).values(changed_at=until)).rowcount == 1


def move(conn: Connection, seen: PastNote, place: str, now: datetime) -> bool:
    """Note that all listings up to ``place`` are read; ``False`` when another process has moved it meanwhile. Call it in the
    transaction that writes their rows."""
    mine = (ROWS.c.id == seen.id, ROWS.c.location_id == seen.place)
    values = {"location_id": place, "recorded_at": now, "status_after": None}
    return conn.execute(update(ROWS).where(*mine).values(**values)).rowcount == 1


def rest(conn: Connection, seen: PastNote, until: datetime, error: str | None = None) -> None:
    """Give the claim back: reading goes on at a moment, by whatever process comes first."""
    conn.execute(update(ROWS).where(ROWS.c.id == seen.id).values(changed_at=until, status_after=error))


def end(conn: Connection, seen: PastNote, now: datetime) -> None:
    """Note that all is read, for good."""
    values = {"state": _READ, "changed_at": now, "recorded_at": now, "status_after": None}
    conn.execute(update(ROWS).where(ROWS.c.id == seen.id).values(**values))


def listings_after(conn: Connection, connection: str, place: str, limit: int) -> list[str]:
    """The next listings that have counts, in order of their ids."""
    ids = select(_STOCK.c.listing_id).where(_STOCK.c.connection == connection, _STOCK.c.listing_id > place)
    return list(conn.execute(ids.distinct().order_by(_STOCK.c.listing_id).limit(limit)).scalars())


def held_counts(conn: Connection, connection: str, listing_ids: Sequence[str]) -> list[HeldCount]:
    """The counts that some listings have now."""
    query = select(*(_STOCK.c[name] for name in HeldCount._fields)).where(
        _STOCK.c.connection == connection, _STOCK.c.listing_id.in_(list(listing_ids)), ~_STOCK.c.deleted
    )
    return [HeldCount(*row) for row in conn.execute(query)]


def own_changes(conn: Connection, connection: str, listing_ids: Sequence[str]) -> list[OwnChange]:
    """The changes of some listings' counts in history, as they were written."""
    query = select(*(ROWS.c[name] for name in OwnChange._fields)).where(
        ROWS.c.connection == connection, ROWS.c.kind == Kind.STOCK, ROWS.c.external_id.in_(list(listing_ids))
    )
    return [OwnChange(*row) for row in conn.execute(query.order_by(ROWS.c.id))]


def put(conn: Connection, connection: str, rows: Sequence[PastCount], now: datetime) -> None:
    """Insert rows of the past, in their order."""
    shared = {
        "connection": connection,
        "kind": Kind.STOCK.value,
        "op": PAST,
        "written_by": WRITER,
    }
    if rows:
        conn.execute(insert(ROWS), [{**shared, **row._asdict(), "recorded_at": now} for row in rows])


def _notes(connection: str) -> list[ColumnElement[bool]]:
    return [
        ROWS.c.connection == connection,
        ROWS.c.external_id == "",
        ROWS.c.kind == Kind.STOCK,
        ROWS.c.op == PAST,
    ]
