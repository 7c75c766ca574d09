"""The SQL of the six catalog tables, derived from their record structs: one text for all kinds, on both databases."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.domain import RECORDS, UNKNOWN_WRITER, Kind, MissingPolicy, micros, row_hash
from app.rules.versions import AHEAD
from app.stores.catalog import newer
from app.stores.sql.statements import Statement
from app.stores.tables import CATALOG

# How a row changes when the source does not show it any more. A version never goes back.
_CLOSE = {
    MissingPolicy.DELETED: """deleted = true, row_hash = :row_hash, modified_at = :modified_at, read_at = :read_at,
        written_at = :present, written_by = :by""",
    MissingPolicy.ZERO: """quantity = 0, extra = NULL, row_hash = :row_hash, read_at = :read_at, written_at = :present,
        written_by = :by, version = CASE WHEN version < :version OR version > :latest THEN :version ELSE version END""",
}
ZERO_FLAG, NEWER_FLAG, SAME_TIME_FLAG, DELETED_FLAG, OWN_TIME_FLAG = 1, 2, 4, 8, 16


@dataclass(frozen=True)
class Shape:
    """A kind's table and columns. Column order everywhere: connection, fields, row_hash, read_at, written_at,
    written_by."""

    table: str
    keys: tuple[str, ...]
    fields: tuple[str, ...]
    record: type[Any]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the table."""
        return ("connection", *self.fields, "row_hash", "read_at", "written_at", "written_by")

    @property
    def has_parents(self) -> bool:
        """Whether rows of this kind are parts of an item that is fetched as a whole."""
        return self.table == "listings"

    @property
    def counts_quantity(self) -> bool:
        """Whether "none left" is a state of its own for this kind."""
        return "quantity" in self.fields


@lru_cache
def shape(kind: Kind) -> Shape:
    """The shape of a kind's table."""
    record = RECORDS[kind]
    return Shape(CATALOG[kind].name, record.key_fields, record.__struct_fields__, record)


def driver(conn: Connection) -> Any:
    """The driver's own connection, in the same transaction: SQLAlchemy would cost more than the statement."""
    return conn.connection.driver_connection


def spelled(dialect: str, sql: str) -> str:
    """``sql`` with the dialect's placeholders; our statements contain no literal ``?`` and no ``%``."""
    return sql if dialect == "sqlite" else sql.replace("?", "%s")


@lru_cache
def row_upsert(kind: Kind) -> str:
    """Guarded upsert of one row on SQLite; binds one value per column."""
    table = shape(kind)
    marks = {name: f"?{place}" for place, name in enumerate(table.columns, 1)}
    given = f"SELECT {', '.join(marks.values())}"
    guard = " WHERE true"
    if table.has_parents:
        guard = " WHERE " + newer.UNFENCED.format(
            table=table.table,
            connection=marks["connection"],
            parent=marks["parent_id"],
            read_at=marks["read_at"],
            now=marks["written_at"],
        )
    columns = ", ".join(table.columns)
    return f"INSERT INTO {table.table} AS t ({columns}) {given}{guard} {_on_conflict(table, 'sqlite')}"


@lru_cache
def held_row(kind: Kind) -> str:
    """Hash and version of one row on SQLite; binds connection and key."""
    table = shape(kind)
    return f"SELECT row_hash, version FROM {table.table} WHERE {_is_row(table)}"


@lru_cache
def batch_upsert(kind: Kind) -> str:
    """Guarded upsert of a JSON list of rows on PostgreSQL, in its order; binds connection, now, JSON text.

    The text depends on neither the number of rows nor on nulls, so it is prepared once. Returns key, created, same
    content for each row written; the old hash comes from the statement's snapshot.
    """
    table = shape(kind)
    given = f"""(SELECT %s::text AS connection, %s::timestamptz AS now) p,
        json_populate_recordset(NULL::{table.table}, %s::json) AS i"""
    same_row = " AND ".join(f"o.{name} = t.{name}" for name in ("connection", *table.keys))
    return f"""{_insert_from(table, given, read_at="i.read_at", written_by="i.written_by")}
        RETURNING {", ".join(f"t.{key}" for key in table.keys)}, t.xmax = 0,
            t.row_hash = (SELECT o.row_hash FROM {table.table} AS o WHERE {same_row})"""


@lru_cache
def staged_upsert(kind: Kind, stage: str) -> str:
    """Guarded upsert of a staging table's rows on PostgreSQL; binds connection, read_at, now, written_by."""
    given = f"""(SELECT %s::text AS connection, %s::timestamptz AS read_at, %s::timestamptz AS now,
            %s::text AS written_by) p, {stage} AS i"""
    return _insert_from(shape(kind), given, read_at="p.read_at", written_by="p.written_by")


@lru_cache
def close_row(kind: Kind, absent: MissingPolicy, *, ties: bool) -> Statement:
    """Tombstones or zeroes one live row, and returns its key; binds ``close_values``. With ``ties`` also a row read at the
    very same moment."""
    table = shape(kind)
    same = " AND ".join(f"{name} = :{name}" for name in ("connection", *table.keys))
    return Statement(
        f"""UPDATE {table.table} SET {_CLOSE[absent]} WHERE {same} AND NOT deleted AND {_older(ties)}
        RETURNING {", ".join(table.keys)}"""
    )


@lru_cache
def live_keys(kind: Kind, field: str | None, absent: MissingPolicy, *, ties: bool) -> Statement:
    """Keys of live rows read before a moment; binds connection, the moment (``began``), ``horizon`` and, with ``field``,
    ``values``. If absence means zero, rows that are zero already are left out."""
    table = shape(kind)
    wanted = ["connection = :connection", "NOT deleted", _older(ties)]
    if absent is MissingPolicy.ZERO:
        wanted.append("quantity <> 0")
    if field is not None:
        wanted.append(f"{_column(table, field)} AMONG :values")
    return Statement(f"SELECT {', '.join(table.keys)} FROM {table.table} WHERE {' AND '.join(wanted)}")


@lru_cache
def row_states(kind: Kind, dialect: str) -> str:
    """Joined key, row_hash, version, flags of a connection's rows; binds ``row_states_values``.

    Dates in the future come from a wrong clock and protect no row: such a version counts as 0, such a read as old.
    """
    table = shape(kind)
    zero = f"CASE WHEN quantity = 0 THEN {ZERO_FLAG} ELSE 0 END" if table.counts_quantity else "0"
    sql = f"""SELECT {_joined_key(table, dialect)}, row_hash, CASE WHEN version > ? THEN 0 ELSE version END,
            {zero} + CASE WHEN deleted THEN {DELETED_FLAG} ELSE 0 END
            + CASE WHEN read_at > ? THEN 0 WHEN read_at > ? THEN {NEWER_FLAG}
                   WHEN read_at = ? THEN {SAME_TIME_FLAG} ELSE 0 END
            + CASE WHEN version = {newer.OWN_TIME[dialect].format(row=table.table)} THEN {OWN_TIME_FLAG} ELSE 0 END
        FROM {table.table} WHERE connection = ?"""
    return spelled(dialect, sql)


def row_states_values(connection: str, read_at: datetime, now: datetime) -> tuple[Any, ...]:
    """What ``row_states`` binds."""
    return (micros(horizon(now)), horizon(now), read_at, read_at, connection)


def _older(ties: bool) -> str:
    """The condition that a row was read before a moment, or while some clock was ahead."""
    return f"(read_at {'<=' if ties else '<'} :began OR read_at > :horizon)"


def horizon(now: datetime) -> datetime:
    """Rows read later than this were read while some clock was ahead."""
    return now + timedelta(microseconds=AHEAD)


def close_values(
    kind: Kind,
    absent: MissingPolicy,
    connection: str,
    key: tuple[str, ...],
    read_at: datetime,
    now: datetime,
    present: datetime | None = None,
    changed: datetime | None = None,
    by: str = UNKNOWN_WRITER,
) -> dict[str, Any]:
    """What ``close_row`` binds; ``present`` is the time of writing if later than ``now``, ``changed`` when the source says
    that a deletion happened.

    A tombstone's hash is 0, so that any content shown later differs. It dates from ``now``, when it was concluded,
    because what an earlier read shows may be older than the deletion.
    """
    table, latest = shape(kind), horizon(present or now)
    names: dict[str, Any] = dict(zip(table.keys, key, strict=True))
    row = {
        **names,
        "connection": connection,
        "began": read_at,
        "horizon": latest,
        "present": present or now,
        "by": by,
    }
    if absent is MissingPolicy.DELETED:
        return {**row, "row_hash": 0, "modified_at": changed or now, "read_at": now}
    zero = row_hash(table.record(*key, quantity=Decimal(0)))
    return {**row, "row_hash": zero, "read_at": read_at, "version": micros(read_at), "latest": micros(latest)}


def _column(table: Shape, field: str) -> str:
    if field not in table.fields:
        raise ValueError(f"{table.table} has no field {field!r}")
    return field


def item_text(kind: Kind) -> str:
    """A row's key as one text for people, parts joined by "/"."""
    return " || '/' || ".join(shape(kind).keys)


def _joined_key(table: Shape, dialect: str) -> str:
    return (" || char(31) || " if dialect == "sqlite" else " || chr(31) || ").join(table.keys)


def _is_row(table: Shape) -> str:
    return " AND ".join(f"{name} = ?" for name in ("connection", *table.keys))


def _insert_from(table: Shape, given: str, *, read_at: str, written_by: str) -> str:
    """Guarded upsert from rows ``i`` and parameters ``p``."""
    fields = ", ".join(f"i.{name}" for name in table.fields)
    guard = ""
    if table.has_parents:
        guard = "WHERE " + newer.UNFENCED.format(
            table=table.table, connection="p.connection", parent="i.parent_id", read_at=read_at, now="p.now"
        )
    return f"""INSERT INTO {table.table} AS t ({", ".join(table.columns)})
        SELECT p.connection, {fields}, i.row_hash, {read_at}, p.now, {written_by} FROM {given} {guard}
        {_on_conflict(table, "postgresql")}"""


def _on_conflict(table: Shape, dialect: str) -> str:
    kept = ("connection", *table.keys)
    news = ", ".join(f"{name} = excluded.{name}" for name in table.columns[:-1] if name not in kept)
    news += ", written_by = CASE WHEN t.row_hash = excluded.row_hash THEN t.written_by ELSE excluded.written_by END"
    return f"ON CONFLICT ({', '.join(kept)}) DO UPDATE SET {news} WHERE {newer.is_newer(dialect)}"


@lru_cache
def lock_rows(kind: Kind) -> str:
    """Lock rows in the order of their keys, on PostgreSQL; binds one list per key column, aligned, then the connection."""
    table = shape(kind)
    lists = ", ".join("%s::text[]" for _ in table.keys)
    same = " AND ".join(f"t.{name} = k.{name}" for name in table.keys)
    order = ", ".join(f't.{name} COLLATE "C"' for name in table.keys)
    return f"""SELECT 1 FROM unnest({lists}) AS k({", ".join(table.keys)})
        JOIN {table.table} t ON t.connection = %s AND {same} ORDER BY {order} FOR UPDATE OF t"""


@lru_cache
def held_hashes(kind: Kind) -> Statement:
    """Joined key and hash of rows; binds the connection and a list of first key fields (``ids``)."""
    table = shape(kind)
    wanted = f", row_hash FROM {table.table} WHERE connection = :connection AND {table.keys[0]} AMONG :ids"
    sqlite, postgresql = (f"SELECT {_joined_key(table, one)}{wanted}" for one in ("sqlite", "postgresql"))
    return Statement(sqlite, postgresql=postgresql)


@lru_cache
def fence_row(kind: Kind, dialect: str) -> str:
    """Write a tombstone for an item that we hold no row of, or move the date of its tombstone. Binds one value per column,
    and when the read began that showed it gone: a row read later stays as it is."""
    table = shape(kind)
    marks = ", ".join("?" * len(table.columns))
    kept = ", ".join(("connection", *table.keys))
    return spelled(
        dialect,
        f"""INSERT INTO {table.table} AS t ({", ".join(table.columns)}) VALUES ({marks})
        ON CONFLICT ({kept}) DO UPDATE SET row_hash = 0, read_at = excluded.read_at, written_at = excluded.written_at
        WHERE t.deleted AND t.read_at <= ? AND t.read_at < excluded.read_at""",
    )


def fence_values(
    kind: Kind, connection: str, external_id: str, read_at: datetime, now: datetime, by: str
) -> tuple[Any, ...]:
    """What ``fence_row`` binds."""
    table = shape(kind)
    names = {"external_id": external_id, **({"parent_id": external_id} if table.has_parents else {})}
    record = table.record(**names, deleted=True)
    return (connection, *msgspec.structs.astuple(record), 0, now, now, by, read_at)
