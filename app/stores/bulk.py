"""The bulk path: ``Differ`` tells what a complete read would change, ``write`` writes only that, in small commits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Connection, Integer, select, tuple_
from sqlalchemy.types import TypeEngine

from app.domain import Kind, Scope, batches
from app.stores import catalog_sql as sql
from app.stores.catalog import Key, close_rows
from app.stores.columns import Moment, Quantity, moment_text
from app.stores.differ import Diff, Differ, collector_paused
from app.stores.engine import Database
from app.stores.spool import Spool
from app.stores.tables import CATALOG

__all__ = ["Diff", "Differ", "Written", "collector_paused", "old_values", "write"]

# A crash leaves a consistent prefix. SQLite has one writer at a time: short commits with a gap between them keep
# the receiver's acknowledgements at 2 ms, where one long or gapless series makes them wait half a second.
ROWS_PER_COMMIT = {"sqlite": 500, "postgresql": 20_000}
PAUSE = {"sqlite": 0.002, "postgresql": 0.0}  # seconds


@dataclass
class Written:
    """Rows a diff really wrote; fewer than it named where a live writer was newer."""

    created: int = 0
    updated: int = 0
    touched: int = 0
    deleted: int = 0


def write(
    database: Database,
    connection: str,
    diff: Diff,
    *,
    read_at: datetime,
    now: datetime,
    scope: Scope | None,
    told: Callable[[Connection], None] = lambda conn: None,
) -> Written:
    """Write a diff in commits of a few rows each, newer wins; safe to kill and to run again at any point.

    ``scope`` must be the one the diff was made for; it says what becomes of the vanished rows. ``told`` is called
    within each commit; if it raises, that commit and all after it are not made.
    """
    written = Written()
    with collector_paused():
        # Touched first: if the read showed such a key again with new content, that later state must win a tie.
        written.touched = _write_spool(database, connection, diff.kind, diff.touched, read_at, now, told)
        written.updated = _write_spool(database, connection, diff.kind, diff.changed, read_at, now, told)
        written.created = _write_spool(database, connection, diff.kind, diff.created, read_at, now, told)
    if scope is not None:
        for keys in _paused(database, diff.vanished):
            with database.begin() as conn:
                written.deleted += len(
                    close_rows(conn, diff.kind, scope.absent, connection, keys, read_at=read_at, now=now)
                )
                told(conn)
    return written


def old_values(database: Database, connection: str, kind: Kind, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """The rows with these keys, all columns, before they are overwritten; for explaining a drift."""
    shape = sql.shape(kind)
    table: Any = CATALOG[kind].__table__  # type: ignore[attr-defined]
    key = tuple_(*(table.c[name] for name in shape.keys))
    wanted = select(table).where(table.c.connection == connection)
    found: dict[Key, dict[str, Any]] = {}
    with database.read() as conn:
        for some in batches(keys, 500):
            for row in conn.execute(wanted.where(key.in_(some))).mappings():
                found[tuple(row[name] for name in shape.keys)] = dict(row)
    return found


def _write_spool(
    database: Database,
    connection: str,
    kind: Kind,
    spool: Spool,
    read_at: datetime,
    now: datetime,
    told: Callable[[Connection], None],
) -> int:
    """In key order: what a later commit needs is near what an earlier one touched, and writers wait in turn."""
    order = sorted(range(len(spool)), key=spool.keys.__getitem__)
    put = _put_sqlite if database.dialect == "sqlite" else _put_postgresql
    total = 0
    for places in _paused(database, order):
        rows = [(*spool.row(at), spool.hashes[at]) for at in places]
        with database.begin() as conn:
            total += put(conn, kind, connection, rows, read_at, now)
            told(conn)
    return total


def _paused(database: Database, items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The items in commit-sized pieces, with a gap for other writers before every one but the first."""
    size, pause = ROWS_PER_COMMIT[database.dialect], PAUSE[database.dialect]
    for start in range(0, len(items), size):
        if start and pause:
            time.sleep(pause)
        yield items[start : start + size]


def _put_sqlite(
    conn: Connection, kind: Kind, connection: str, rows: list[tuple[Any, ...]], read_at: datetime, now: datetime
) -> int:
    times = (moment_text(read_at), moment_text(now))  # not row by row in the driver's adapter
    values = ((connection, *row, *times) for row in rows)
    written: int = sql.driver(conn).cursor().executemany(sql.row_upsert(kind), values).rowcount
    return written


def _put_postgresql(
    conn: Connection, kind: Kind, connection: str, rows: list[tuple[Any, ...]], read_at: datetime, now: datetime
) -> int:
    shape = sql.shape(kind)
    stage = f"incoming_{shape.table}"
    columns = ", ".join((*shape.fields, "row_hash"))
    cursor = sql.driver(conn).cursor()
    cursor.execute(f"CREATE TEMP TABLE {stage} ON COMMIT DROP AS SELECT {columns} FROM {shape.table} WITH NO DATA")
    with cursor.copy(f"COPY {stage} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(_copy_types(kind))
        for row in rows:
            copy.write_row(row)
    cursor.execute(sql.staged_upsert(kind, stage), (connection, read_at, now))
    written: int = cursor.rowcount
    return written


def _copy_types(kind: Kind) -> list[str]:
    """Binary COPY converts nothing: every value must come in its column's very type."""
    columns = CATALOG[kind].__table__.columns  # type: ignore[attr-defined]
    return [_copy_type(columns[name].type) for name in (*sql.shape(kind).fields, "row_hash")]


def _copy_type(column: TypeEngine[Any]) -> str:
    names = (
        (BigInteger, "int8"),
        (Integer, "int4"),
        (Boolean, "bool"),
        (Quantity, "numeric"),
        (Moment, "timestamptz"),
    )
    return next((name for sort, name in names if isinstance(column, sort)), "text")
