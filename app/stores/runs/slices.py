"""How far the nightly comparison of older rows has come: a slice a night, in order of the source's last change."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from app.domain import Kind
from app.stores import tables
from app.stores.catalog import catalog_sql as sql
from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement, upsert


class Slice(NamedTuple):
    """One row, as ``tables.Slice`` describes it."""

    upto: datetime
    compared: int
    nights: int
    ended_at: datetime


class Older(NamedTuple):
    """The rows of a kind that were last changed from ``since`` on and before ``until``."""

    connection: str
    kind: Kind
    since: datetime
    until: datetime


_SLICES = tables.core(tables.Slice)
_PUT = upsert(_SLICES)
_OLDER = """
    FROM {table}
    WHERE connection = :connection AND deleted = false AND modified_at >= :since AND modified_at < :until
    """


def get(conn: Connection, connection: str, kind: Kind) -> Slice | None:
    """The last compared slice, ``None`` before the first."""
    query = select(*(_SLICES.c[name] for name in Slice._fields))
    row = conn.execute(query.where(_SLICES.c.connection == connection, _SLICES.c.kind == kind)).first()
    return None if row is None else Slice(*row)


def put(conn: Connection, connection: str, kind: Kind, done: Slice) -> None:
    """Save a compared slice: this round has compared all rows last changed before its ``upto``."""
    _PUT.run(conn, {"connection": connection, "kind": kind.value, **done._asdict()})


def count(conn: Connection, older: Older) -> int:
    """Number of these rows."""
    statement = Statement("SELECT count(*)" + _from(older))
    return int(statement.run(conn, _params(older))[0][0])


def end(conn: Connection, older: Older, rows: int) -> datetime:
    """The moment of change of the first row after this many rows. Rows of one moment stay together."""
    statement = Statement("SELECT modified_at" + _from(older) + "ORDER BY modified_at LIMIT 1 OFFSET :rows")
    row = statement.run(conn, {**_params(older), "rows": rows})
    at = moment_from(row[0][0]) if row else None
    if at is None or at > older.since:
        return at or older.until
    statement = Statement("SELECT min(modified_at)" + _from(older) + " AND modified_at > :since")
    return moment_from(statement.run(conn, _params(older))[0][0]) or older.until


def _from(older: Older) -> str:
    return _OLDER.format(table=sql.shape(older.kind).table)


def _params(older: Older) -> dict[str, object]:
    return {**older._asdict(), "kind": older.kind.value}
