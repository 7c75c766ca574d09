"""The bulk path: ``Differ`` compares a complete read with our rows, ``write`` writes only the changes, in small commits."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Boolean, Connection, Integer, select, tuple_
from sqlalchemy.types import TypeEngine

from app.domain import UNKNOWN_WRITER, Kind, MissingPolicy, Record, Scope, batches
from app.domain.collector import collector_paused
from app.errors import DatabaseFault
from app.stores.catalog import Key, close_rows, stored_rows
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.diff import Diff, Misfit
from app.stores.catalog.spool import Spool
from app.stores.sql.columns import Moment, Quantity, moment_text
from app.stores.sql.engine import Database
from app.stores.tables import CATALOG

# A crash leaves a consistent prefix. SQLite has one writer at a time: short commits with gaps keep the receiver's
# acknowledgements at 2 ms; one long commit, or many without a gap, make them wait half a second.
ROWS_PER_COMMIT = {"sqlite": 500, "postgresql": 20_000}
PAUSE = {"sqlite": 0.002, "postgresql": 0.0}  # seconds


MAX_UNWRITABLE = 1_000
"""If more records than this cannot be written, the records are not the cause."""


@dataclass
class Written:
    """The rows that writing a diff really changed. Because a live writer was newer, rows in ``refused`` still differ from
    the read, and vanished rows in ``kept`` live on. ``failed`` are the records that the database cannot hold."""

    created: int = 0
    updated: int = 0
    touched: int = 0
    deleted: int = 0
    refused: list[Key] = field(default_factory=list)
    kept: list[Key] = field(default_factory=list)
    failed: list[Misfit] = field(default_factory=list)

    def any(self) -> bool:
        """Whether a row was written."""
        return self.created + self.updated + self.touched + self.deleted > 0


def write(
    database: Database,
    connection: str,
    diff: Diff,
    *,
    read_at: datetime,
    now: datetime,
    scope: Scope | None,
    on_commit: Callable[[Connection, Written], None] = lambda conn, written: None,
    clock: Callable[[], datetime] | None = None,
    by: str = UNKNOWN_WRITER,
) -> Written:
    """Write a diff in commits of a few rows each, newer wins; safe to kill and to run again at any point.

    ``scope`` must be the diff's own; it says what becomes of vanished rows. ``on_commit`` is called within each commit
    (again if the commit is repeated) with all that is written so far; if it raises, that commit and the later ones are
    not made. ``now`` is when the diff was believed. ``clock`` is read for each commit: a write may last minutes, and what
    others write meanwhile does not come from the future. Records that the database refuses are found and left out.
    ``by`` says what brings the rows (``SyncColumns.written_by``).
    """
    written = Written()
    writing = _Writing(database, connection, diff.kind, read_at, now, clock or (lambda: now), on_commit, written, by)
    with collector_paused():
        # Touched first: if the read showed such a key again with new content, that later state must win a tie.
        writing.spool(diff.touched, "touched")
        writing.spool(diff.changed, "updated")
        writing.spool(diff.created, "created")
    if scope is not None:
        writing.close(diff.vanished, scope.absent)
    return written


@dataclass
class _Writing:
    """Writes one diff: the rows of its spools, then the tombstones of what vanished."""

    database: Database
    connection: str
    kind: Kind
    read_at: datetime
    now: datetime
    clock: Callable[[], datetime]
    on_commit: Callable[[Connection, Written], None]
    written: Written
    by: str

    def spool(self, spool: Spool, counter: str) -> None:
        """Write a spool's rows in key order: commits touch neighbouring rows, and writers do not deadlock. They count in
        the field ``counter`` of ``Written``."""
        order = sorted(range(len(spool)), key=spool.keys.__getitem__)
        for places in _paused(self.database, order):
            self._write_places(spool, places, counter)

    def close(self, vanished: Sequence[Key], absent: MissingPolicy) -> None:
        """Tombstone or zero the rows that vanished."""
        for keys in _paused(self.database, vanished):
            closed = self.database.transact(partial(self._close, keys, absent))
            self._count("deleted", len(closed))
            if len(closed) < len(keys):
                self.written.kept += self._living(sorted(set(keys) - set(closed)), absent)

    def _write_places(self, spool: Spool, places: Sequence[int], counter: str) -> None:
        """Write some places of a spool in one commit; find what cannot be written by halving."""
        try:
            rows = [(*spool.row(at), spool.hashes[at]) for at in places]
            count, refused = self._commit(rows, counter)
        except _NotPut as failure:
            if len(places) == 1:
                self._fail(spool[places[0]], failure.error)
                return
            half = len(places) // 2
            self._write_places(spool, places[:half], counter)
            self._write_places(spool, places[half:], counter)
            return
        self.written.refused += refused
        self._count(counter, count)

    def _count(self, counter: str, rows: int) -> None:
        setattr(self.written, counter, getattr(self.written, counter) + rows)

    def _with(self, counter: str, rows: int) -> Written:
        """All that is written once this commit is made."""
        return replace(self.written, **{counter: getattr(self.written, counter) + rows})

    def _commit(self, rows: list[tuple[Any, ...]], counter: str) -> tuple[int, list[Key]]:
        """How many rows were written, and the keys that a newer row refused; raises ``_NotPut`` for bad rows."""
        is_put = False
        put = _put_sqlite if self.database.dialect == "sqlite" else _put_postgresql

        def work(conn: Connection) -> tuple[int, list[Key]]:
            nonlocal is_put
            is_put = False
            count = put(conn, self.kind, self.connection, rows, self.read_at, self.clock(), self.by)
            is_put = True
            refused = [] if count == len(rows) else _differing(conn, self.kind, self.connection, rows)
            self.on_commit(conn, self._with(counter, count))
            return count, refused

        try:
            return self.database.transact(work)
        except DatabaseFault:
            raise
        except Exception as error:
            if is_put:
                raise
            raise _NotPut(error) from error

    def _fail(self, record: Record, error: Exception) -> None:
        if len(self.written.failed) >= MAX_UNWRITABLE:
            raise error
        self.written.failed.append(Misfit(record, error))

    def _close(self, keys: Sequence[Key], absent: MissingPolicy, conn: Connection) -> list[Key]:
        closed = close_rows(
            conn,
            self.kind,
            absent,
            self.connection,
            keys,
            read_at=self.read_at,
            now=self.now,
            present=self.clock(),
            by=self.by,
        )
        self.on_commit(conn, self._with("deleted", len(closed)))
        return closed

    def _living(self, keys: Sequence[Key], absent: MissingPolicy) -> list[Key]:
        """The keys whose rows are still alive, because somebody read them later."""
        rows = stored_rows(self.database, self.connection, self.kind, keys)
        is_zero = absent is MissingPolicy.ZERO
        records = ((key, row.record) for key, row in rows.items() if not row.record.deleted)
        return [key for key, record in records if not (is_zero and getattr(record, "quantity", None) == 0)]


class _NotPut(Exception):
    """Rows could not be written, although the database works."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _paused(database: Database, items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The items in commit-sized pieces, with a gap for other writers before every one but the first."""
    size, pause = ROWS_PER_COMMIT[database.dialect], PAUSE[database.dialect]
    for start in range(0, len(items), size):
        if start and pause:
            time.sleep(pause)
        yield items[start : start + size]


def _differing(conn: Connection, kind: Kind, connection: str, rows: list[tuple[Any, ...]]) -> list[Key]:
    """The keys of rows (fields, then hash) whose content here differs."""
    shape = sql.shape(kind)
    table = CATALOG[kind]
    width = len(shape.keys)  # the key fields come first
    expected = {row[:width]: row[-1] for row in rows}
    key = [table.c[name] for name in shape.keys]
    wanted = select(*key, table.c.row_hash).where(table.c.connection == connection)
    held: dict[Key, int] = {}
    for some in batches(list(expected), 500):
        for *names, digest in conn.execute(wanted.where(tuple_(*key).in_(some))):
            held[tuple(names)] = digest
    return [names for names, digest in expected.items() if held.get(names) != digest]


def _put_sqlite(
    conn: Connection,
    kind: Kind,
    connection: str,
    rows: list[tuple[Any, ...]],
    read_at: datetime,
    now: datetime,
    by: str,
) -> int:
    ends = (moment_text(read_at), moment_text(now), by)  # not row by row in the driver's adapter
    values = ((connection, *row, *ends) for row in rows)
    written: int = sql.driver(conn).cursor().executemany(sql.row_upsert(kind), values).rowcount
    return written


def _put_postgresql(
    conn: Connection,
    kind: Kind,
    connection: str,
    rows: list[tuple[Any, ...]],
    read_at: datetime,
    now: datetime,
    by: str,
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
    cursor.execute(sql.staged_upsert(kind, stage), (connection, read_at, now, by))
    written: int = cursor.rowcount
    return written


def _copy_types(kind: Kind) -> list[str]:
    """Binary COPY converts nothing: every value must have exactly its column's type."""
    columns = CATALOG[kind].columns
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
