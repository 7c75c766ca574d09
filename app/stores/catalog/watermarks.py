"""How far each kind of a connection has been read, by the source's own clock."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from app.domain import Kind
from app.stores import tables
from app.stores.sql.statements import Statement

_WATERMARKS = tables.core(tables.Watermark)
_PUT = Statement(
    """
    INSERT INTO watermarks (connection, kind, value, pulled_at) VALUES (:connection, :kind, :value, :now)
    ON CONFLICT (connection, kind) DO UPDATE SET value = excluded.value, pulled_at = excluded.pulled_at
    """
)

_FAIL = Statement(
    """
    INSERT INTO watermarks (connection, kind, failed_at) VALUES (:connection, :kind, :now)
    ON CONFLICT (connection, kind) DO UPDATE SET failed_at = excluded.failed_at
    """
)

_WHOLE = Statement(
    """
    INSERT INTO watermarks (connection, kind, whole_read_at) VALUES (:connection, :kind, :began)
    ON CONFLICT (connection, kind) DO UPDATE SET whole_read_at = excluded.whole_read_at
    WHERE watermarks.whole_read_at IS NULL OR watermarks.whole_read_at < excluded.whole_read_at
    """
)


def get(conn: Connection, connection: str, kind: Kind) -> str | None:
    """The watermark, which only the source can read; ``None`` before the first complete pull."""
    return _row(conn, connection, kind).value


def pulled_at(conn: Connection, connection: str, kind: Kind) -> datetime | None:
    """When the last complete pull ended."""
    return _row(conn, connection, kind).pulled_at


def put(conn: Connection, connection: str, kind: Kind, value: str, now: datetime) -> None:
    """Move the watermark; call it in the transaction that applies the last page."""
    _PUT.run(conn, {"connection": connection, "kind": kind.value, "value": value, "now": now})


def fail(conn: Connection, connection: str, kind: Kind, now: datetime) -> None:
    """Note that a pull failed because its source could not answer; the watermark stays."""
    _FAIL.run(conn, {"connection": connection, "kind": kind.value, "now": now})


def cover(conn: Connection, connection: str, kind: Kind, began: datetime) -> None:
    """Note that the whole kind was read, before any of it is written: even if this read dies in the middle, an older one
    does not bring back what is gone."""
    _WHOLE.run(conn, {"connection": connection, "kind": kind.value, "began": began})


def whole_read_at(conn: Connection, connection: str, kind: Kind) -> datetime | None:
    """When the last written read of the whole kind began, by a pull or by a run."""
    return _row(conn, connection, kind).whole_read_at


def looked_at(conn: Connection, connection: str, kind: Kind) -> datetime | None:
    """When the last pull ended, whether it succeeded or not: items owed before do not wait for another one."""
    row = _row(conn, connection, kind)
    return max((end for end in (row.pulled_at, row.failed_at) if end is not None), default=None)


class _Row(NamedTuple):
    value: str | None = None
    pulled_at: datetime | None = None
    failed_at: datetime | None = None
    whole_read_at: datetime | None = None


def _row(conn: Connection, connection: str, kind: Kind) -> _Row:
    columns = select(*(_WATERMARKS.c[name] for name in _Row._fields))
    row = conn.execute(columns.where(_WATERMARKS.c.connection == connection, _WATERMARKS.c.kind == kind)).first()
    return _Row() if row is None else _Row(*row)
