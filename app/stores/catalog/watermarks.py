"""How far each kind of a connection has been read, by the source's own clock."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.domain import Kind
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement

_ROW = Statement(
    "SELECT value, pulled_at, failed_at, whole_read_at FROM watermarks WHERE connection = :connection AND kind = :kind"
)
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
    row = _row(conn, connection, kind)
    return row[0] if row else None


def pulled_at(conn: Connection, connection: str, kind: Kind) -> datetime | None:
    """When the last complete pull ended."""
    row = _row(conn, connection, kind)
    return moment_from(row[1]) if row else None


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
    row = _row(conn, connection, kind)
    return moment_from(row[3]) if row else None


def looked_at(conn: Connection, connection: str, kind: Kind) -> datetime | None:
    """When the last pull ended, well or not: items owed before do not wait for another one."""
    row = _row(conn, connection, kind)
    ends = [moment_from(row[1]), moment_from(row[2])] if row else []
    return max((end for end in ends if end is not None), default=None)


def _row(conn: Connection, connection: str, kind: Kind) -> Any:
    rows = _ROW.run(conn, {"connection": connection, "kind": kind.value})
    return rows[0] if rows else None
