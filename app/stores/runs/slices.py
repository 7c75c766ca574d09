"""How far the comparison of older rows has come: a slice of them a night, by when the source last changed them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import Kind
from app.stores.catalog import catalog_sql as sql
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement


class Slice(NamedTuple):
    """As ``tables.Slice`` tells."""

    upto: datetime
    compared: int
    nights: int
    ended_at: datetime


class Older(NamedTuple):
    """Which rows are meant: those of a kind last changed from ``since`` on and before ``until``."""

    connection: str
    kind: Kind
    since: datetime
    until: datetime


_GET = Statement(
    "SELECT upto, compared, nights, ended_at FROM slices WHERE connection = :connection AND kind = :kind"
)
_PUT = Statement(
    """
    INSERT INTO slices (connection, kind, upto, compared, nights, ended_at)
    VALUES (:connection, :kind, :upto, :compared, :nights, :ended_at)
    ON CONFLICT (connection, kind) DO UPDATE
    SET upto = excluded.upto, compared = excluded.compared, nights = excluded.nights, ended_at = excluded.ended_at
    """
)
_OLDER = """
    FROM {table}
    WHERE connection = :connection AND deleted = false AND modified_at >= :since AND modified_at < :until
    """


def get(conn: Connection, connection: str, kind: Kind) -> Slice | None:
    """The last slice that was compared, ``None`` before the first."""
    rows = _GET.run(conn, {"connection": connection, "kind": kind.value})
    if not rows:
        return None
    upto, compared, nights, ended_at = rows[0]
    return Slice(moment_from(upto), compared, nights, moment_from(ended_at))  # type: ignore[arg-type]


def put(conn: Connection, connection: str, kind: Kind, done: Slice) -> None:
    """A slice was compared: all that was last changed before its ``upto`` is behind this round."""
    _PUT.run(conn, {"connection": connection, "kind": kind.value, **done._asdict()})


def count(conn: Connection, older: Older) -> int:
    """How many rows there are."""
    statement = Statement("SELECT count(*)" + _from(older))
    return int(statement.run(conn, _bound(older))[0][0])


def end(conn: Connection, older: Older, rows: int) -> datetime:
    """Where so many rows end: the first moment of change that is not theirs. Rows of one moment are not parted."""
    statement = Statement("SELECT modified_at" + _from(older) + "ORDER BY modified_at LIMIT 1 OFFSET :rows")
    found = statement.run(conn, {**_bound(older), "rows": rows})
    at = moment_from(found[0][0]) if found else None
    if at is None or at > older.since:
        return at or older.until
    statement = Statement("SELECT min(modified_at)" + _from(older) + " AND modified_at > :since")
    return moment_from(statement.run(conn, _bound(older))[0][0]) or older.until


def _from(older: Older) -> str:
    return _OLDER.format(table=sql.shape(older.kind).table)


def _bound(older: Older) -> dict[str, object]:
    return {**older._asdict(), "kind": older.kind.value}
