"""The last step of every flow: applies records to the catalog tables; newer wins, decided by the database."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.domain import KINDS, UNKNOWN_WRITER, Kind, Record, Ref, check_storable, item_of, key_of, micros, row_hash
from app.errors import Unmappable
from app.rules.versions import settled_version
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.closing import Closings, close_rows, closing, fence_items, tombstone
from app.stores.catalog.reading import held_hashes, owners_of
from app.stores.catalog.reads import Key, Read

_as_json = msgspec.json.Encoder().encode


class _Row(NamedTuple):
    """A record with its key, when the read of it began, and what brought it."""

    key: Key
    record: Record
    read_at: datetime
    by: str


@dataclass
class Applied:
    """The effect of a batch. ``touched`` rows got a newer version with the same content; ``unchanged`` records were the
    same or older. ``written`` are the keys whose content changed, ``refused`` (unless there are several reads) those whose
    record a fence or a newer version kept out."""

    created: int = 0
    updated: int = 0
    touched: int = 0
    unchanged: int = 0
    written: list[Key] = field(default_factory=list)
    refused: list[tuple[Kind, Key]] = field(default_factory=list)


def apply(
    conn: Connection,
    connection: str,
    records: Sequence[Record],
    *,
    read_at: datetime,
    now: datetime,
    by: str = UNKNOWN_WRITER,
) -> Applied:
    """Write the records that are newer than our rows; the upsert itself decides, so concurrent writers need no lock.

    ``read_at`` is when the read of the records began, ``by`` what brought them (``SyncColumns.written_by``). Records may
    be of several kinds and may show a key twice (the newest counts). Rows are written in key order, so that two writers
    never deadlock.
    """
    newest = list(_by_kind([Read(records, read_at, by=by)], now))
    applied = _write(conn, connection, newest, now)
    for kind, rows in newest:
        applied.refused += _refused(conn, connection, kind, rows)
    return applied


def apply_reads(
    conn: Connection, connection: str, reads: Sequence[Read], *, now: datetime, beside_bulk: bool = False
) -> tuple[Applied, list[list[tuple[Kind, Key]]]]:
    """Apply the records of several reads, and write tombstones for what they show gone. Returns the effect, and for each
    read the rows that its scopes closed.

    All rows are locked before any is written, kind by kind and key by key: every writer of the catalog uses this order,
    so that none deadlock. ``beside_bulk`` says that a bulk read is under way, which may still show parts of an item that
    are gone: then every item read as a whole is fenced, not only what is gone.
    """
    newest = list(_by_kind(reads, now))
    closings = [closing(conn, connection, read, now) for read in reads]
    if any(closings):
        _lock(conn, connection, newest, closings)
    applied = _write(conn, connection, newest, now)
    closed = []
    for read, keys_by_closing in zip(reads, closings, strict=True):
        done = []
        for (kind, absent, changed), keys in keys_by_closing.items():
            for by, some in _by_writer(conn, connection, kind, read, keys):
                rows = close_rows(
                    conn, kind, absent, connection, some, read_at=read.began, now=now, changed=changed, by=by
                )
                done += [(kind, key) for key in rows]
        for by, refs in groupby(sorted(read.gone, key=_writer_of(read)), key=_writer_of(read)):
            tombstone(conn, connection, list(refs), read_at=read.began, now=now, by=by)
        fence_items(conn, connection, read, now, living_too=beside_bulk)
        closed.append(done)
    return applied, closed


def _by_writer(
    conn: Connection, connection: str, kind: Kind, read: Read, keys: Sequence[Key]
) -> Iterator[tuple[str, list[Key]]]:
    """The keys of rows that a read ends, by what the read of their items was made for; each group in order."""
    if len({*read.by_item.values(), read.by}) == 1:
        yield read.by, list(keys)
        return
    ids = sorted({key[0] for key in keys})
    owners = owners_of(conn, connection, ids) if kind is Kind.PRODUCT else {}
    groups: dict[str, list[Key]] = defaultdict(list)
    for key in keys:
        groups[read.written_by(owners.get(key[0], key[0]))].append(key)
    yield from sorted(groups.items())


def _writer_of(read: Read) -> Callable[[Ref], str]:
    return lambda ref: read.written_by(ref.external_id)


def _lock(
    conn: Connection, connection: str, newest: Sequence[tuple[Kind, list[_Row]]], closings: Sequence[Closings]
) -> None:
    if conn.dialect.name == "sqlite":
        return  # the one write lock is ours
    keys: dict[Kind, set[Key]] = defaultdict(set)
    for kind, rows in newest:
        keys[kind].update(row.key for row in rows)
    for one in closings:
        for (kind, _, _), gone in one.items():
            keys[kind].update(gone)
    for kind in sorted(keys):
        columns = [list(column) for column in zip(*sorted(keys[kind]), strict=True)]
        sql.driver(conn).cursor().execute(sql.lock_rows(kind), (*columns, connection))


def _check(record: Record) -> None:
    try:
        check_storable(record)
    except ValueError as error:
        raise Unmappable(f"{KINDS[type(record)]} {'/'.join(key_of(record))} cannot be stored: {error}") from error


def _by_kind(reads: Sequence[Read], now: datetime) -> Iterator[tuple[Kind, list[_Row]]]:
    """The newest record of every key, sorted by kind and key. A record dated in the future counts as of now: it must not
    keep out later ones."""
    newest: dict[Kind, dict[Key, _Row]] = defaultdict(dict)
    latest = micros(now)
    for read in reads:
        began = micros(read.began)
        for record in read.records:
            _check(record)
            version = settled_version(record.version, latest, began)
            if version != record.version:
                record = msgspec.structs.replace(record, version=version)
            of_kind = newest[KINDS[type(record)]]
            key = key_of(record)
            if key not in of_kind or (version, read.began) >= (of_kind[key].record.version, of_kind[key].read_at):
                of_kind[key] = _Row(key, record, read.began, read.written_by(item_of(record)))
    for kind in sorted(newest):
        yield kind, sorted(newest[kind].values(), key=lambda row: row.key)


def _write(conn: Connection, connection: str, newest: Sequence[tuple[Kind, list[_Row]]], now: datetime) -> Applied:
    applied = Applied()
    write = _write_sqlite if conn.dialect.name == "sqlite" else _write_postgresql
    for kind, rows in newest:
        before = len(applied.written) + applied.touched
        for key, created, same in write(sql.driver(conn), kind, connection, rows, now):
            _count(applied, key, created, same)
        applied.unchanged += len(rows) - (len(applied.written) + applied.touched - before)
    return applied


def _refused(conn: Connection, connection: str, kind: Kind, rows: Sequence[_Row]) -> list[tuple[Kind, Key]]:
    """Which of these records differ from our rows."""
    held = held_hashes(conn, connection, kind, [row.key for row in rows])
    return [(kind, row.key) for row in rows if held.get("\x1f".join(row.key)) != row_hash(row.record)]


def _write_sqlite(
    driver: Any, kind: Kind, connection: str, newest: list[_Row], now: datetime
) -> Iterator[tuple[Key, bool, bool]]:
    """Yields key, created, same content of every row written. We are the only writer, so reading first is safe."""
    cursor = driver.cursor()
    select, upsert = sql.held_row(kind), sql.row_upsert(kind)
    for key, record, read_at, by in newest:
        digest = row_hash(record)
        held = cursor.execute(select, (connection, *key)).fetchone()
        row = (connection, *msgspec.structs.astuple(record), digest, read_at, now, by)
        if cursor.execute(upsert, row).rowcount:
            yield key, held is None, held is not None and held[0] == digest


def _write_postgresql(
    driver: Any, kind: Kind, connection: str, newest: list[_Row], now: datetime
) -> Iterator[tuple[Key, bool, bool]]:
    """Yields key, created, same content of every row written, by one prepared statement."""
    rows = ",".join(map(_row_json, newest))
    cursor = driver.cursor()
    cursor.execute(sql.batch_upsert(kind), (connection, now, f"[{rows}]"))
    for *key, created, same in cursor.fetchall():
        yield tuple(key), created, bool(same)


def _row_json(row: _Row) -> str:
    fields, by = _as_json(row.record).decode()[:-1], _as_json(row.by).decode()
    return f'{fields},"row_hash":{row_hash(row.record)},"read_at":"{row.read_at.isoformat()}","written_by":{by}}}'


def _count(applied: Applied, key: Key, created: bool, same: bool) -> None:
    if same:
        applied.touched += 1
        return
    applied.written.append(key)
    if created:
        applied.created += 1
    else:
        applied.updated += 1
