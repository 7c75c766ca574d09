"""Subscribers: whom the feed of changes is sent to, how far each has come, and who delivers now."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, literal, or_, select, update

from app.domain import Kind
from app.domain.decoding import convert
from app.stores import tables
from app.stores.sql.columns import Moment
from app.stores.sql.statements import json_text

_TABLE = tables.core(tables.Subscriber)
_LISTS = ("connections", "kinds")


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A program that follows (``tables.Subscriber`` explains the columns); its ``secret`` is encrypted."""

    id: int
    name: str
    url: str
    secret: str
    connections: tuple[str, ...] | None
    kinds: tuple[Kind, ...] | None
    enabled: bool
    cursor: str
    created_at: datetime
    created_by: str
    last_success_at: datetime | None
    failing_since: datetime | None
    next_at: datetime | None
    lease_until: datetime | None
    attempts: int
    last_error: str | None
    batch_id: str | None
    batch_end: str | None


class NewSubscriber(TypedDict):
    """The columns of a new one."""

    name: str
    url: str
    secret: str
    connections: Sequence[str] | None
    kinds: Sequence[Kind] | None
    cursor: str
    created_at: datetime
    created_by: str


def add(conn: Connection, **new: Unpack[NewSubscriber]) -> Subscriber:
    """Add one, enabled."""
    lists = {name: None if new[name] is None else json_text(new[name]) for name in ("connections", "kinds")}
    values = {**new, **lists, "enabled": True, "attempts": 0}
    return _of(conn.execute(insert(_TABLE).values(values).returning(_TABLE)).mappings().one())


def get(conn: Connection, id: int) -> Subscriber | None:
    """The subscriber with this id."""
    row = conn.execute(select(_TABLE).where(_TABLE.c.id == id)).mappings().first()
    return None if row is None else _of(row)


def all_(conn: Connection) -> list[Subscriber]:
    """Every one, in the order of their ids."""
    return [_of(row) for row in conn.execute(select(_TABLE).order_by(_TABLE.c.id)).mappings()]


def due(conn: Connection, now: datetime) -> list[Subscriber]:
    """Those that something may be sent to now and that nobody delivers to; those that do not fail come first."""
    order = (_TABLE.c.next_at.is_not(None), _TABLE.c.next_at, _TABLE.c.id)
    return [_of(row) for row in conn.execute(select(_TABLE).where(*_due(now)).order_by(*order)).mappings()]


def lease(conn: Connection, id: int, *, now: datetime, until: datetime) -> Subscriber | None:
    """Take the right to deliver until a moment; ``None`` if it is not due, or another has it."""
    taken = update(_TABLE).where(_TABLE.c.id == id, *_due(now)).values(lease_until=until).returning(_TABLE)
    row = conn.execute(taken).mappings().first()
    return None if row is None else _of(row)


def keep_batch(conn: Connection, one: Subscriber, *, id: str, end: str) -> Subscriber:
    """Fix the batch that is sent until it is accepted: its id, and the cursor behind its last row."""
    kept = update(_TABLE).where(_TABLE.c.id == one.id).values(batch_id=id, batch_end=end).returning(_TABLE)
    return _of(conn.execute(kept).mappings().one())


def skip(conn: Connection, one: Subscriber, cursor: str) -> None:
    """Nothing is to be sent up to a cursor: move there, and end the lease."""
    _settle(conn, one, cursor=cursor, batch_id=None, batch_end=None)


def accepted(conn: Connection, one: Subscriber, now: datetime) -> bool:
    """The batch was accepted: move behind it, and end the lease; ``False`` if the lease was lost meanwhile."""
    well = {"last_success_at": now, "failing_since": None, "attempts": 0, "next_at": None, "last_error": None}
    return _settle(conn, one, cursor=one.batch_end, batch_id=None, batch_end=None, **well)


def refused(
    conn: Connection, one: Subscriber, error: str, *, now: datetime, next_at: datetime, disable: bool
) -> bool:
    """The batch was not accepted: note why and when to try again, and end the lease; ``False`` if it was lost meanwhile."""
    since = func.coalesce(_TABLE.c.failing_since, literal(now, Moment()))
    failing = {"failing_since": since, "attempts": _TABLE.c.attempts + 1}
    off = {"enabled": False} if disable else {}
    return _settle(conn, one, **failing, **off, next_at=next_at, last_error=error)


def set_enabled(conn: Connection, id: int, *, enabled: bool) -> None:
    """Pause one, or let it go on at once as if it had never failed."""
    anew = {"failing_since": None, "attempts": 0, "next_at": None} if enabled else {}
    conn.execute(update(_TABLE).where(_TABLE.c.id == id).values(enabled=enabled, **anew))


def remove(conn: Connection, id: int) -> None:
    """Forget one."""
    conn.execute(delete(_TABLE).where(_TABLE.c.id == id))


def _due(now: datetime) -> Sequence[ColumnElement[bool]]:
    times = (_TABLE.c.next_at, _TABLE.c.lease_until)
    return [_TABLE.c.enabled, *(or_(time.is_(None), time <= now) for time in times)]


def _settle(conn: Connection, one: Subscriber, **values: Any) -> bool:
    held = (_TABLE.c.id == one.id, _TABLE.c.lease_until == one.lease_until)
    return conn.execute(update(_TABLE).where(*held).values(lease_until=None, **values)).rowcount == 1


def _of(row: RowMapping) -> Subscriber:
    lists = {name: None if row[name] is None else msgspec.json.decode(row[name]) for name in _LISTS}
    return convert({**row, **lists}, Subscriber)
