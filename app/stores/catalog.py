"""The last step of every flow: brings records into the catalog tables, newer wins, and reads them back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, func, select

from app.domain import KINDS, Absent, Kind, Record, Ref, Scope, batches, key_of, row_hash
from app.stores import catalog_sql as sql
from app.stores.columns import moment_from
from app.stores.tables import CATALOG

Key = tuple[str, ...]

_as_json = msgspec.json.Encoder().encode


@dataclass
class Applied:
    """What a batch did. ``touched`` rows had the same content under a newer version; ``unchanged`` records were
    the same or older. ``written`` are the keys whose content changed."""

    created: int = 0
    updated: int = 0
    touched: int = 0
    unchanged: int = 0
    written: list[Key] = field(default_factory=list)


def apply(
    conn: Connection, connection: str, records: Sequence[Record], *, read_at: datetime, now: datetime
) -> Applied:
    """Write what is newer than what we hold; the upsert itself decides, so concurrent writers need no lock.

    ``read_at`` is when the read of the records began. Records may be of several kinds and show a key twice (the
    newest counts once). Rows are written in key order, so that two writers wait for, but never deadlock, each other.
    """
    return apply_reads(conn, connection, [(records, read_at)], now=now)


def apply_reads(
    conn: Connection, connection: str, reads: Sequence[tuple[Sequence[Record], datetime]], *, now: datetime
) -> Applied:
    """``apply`` for several reads at once, each with the moment it began."""
    applied = Applied()
    write = _write_sqlite if conn.dialect.name == "sqlite" else _write_postgresql
    for kind, newest in _by_kind(reads):
        before = len(applied.written) + applied.touched
        for key, created, same in write(sql.driver(conn), kind, connection, newest, now):
            _count(applied, key, created, same)
        applied.unchanged += len(newest) - (len(applied.written) + applied.touched - before)
    return applied


def close_scopes(
    conn: Connection,
    connection: str,
    scopes: Sequence[Scope],
    shown: Mapping[Kind, set[Key]],
    *,
    read_at: datetime,
    now: datetime,
) -> list[tuple[Kind, Key]]:
    """Tombstone or zero the live rows inside completely read scopes that the read did not show; returns those.

    Rows of a read that began at the same moment or later are left alone. For small scopes: see ``bulk`` for whole
    kinds.
    """
    closed: list[tuple[Kind, Key]] = []
    for (kind, name, absent), values in _by_question(scopes).items():
        rows = _live_keys(conn, connection, kind, name, values, absent, read_at, ties=False)
        gone = sorted(set(rows) - shown.get(kind, set()))
        keys = close_rows(conn, kind, absent, connection, gone, read_at=read_at, now=now)
        closed.extend((kind, key) for key in keys)
    return closed


def tombstone(conn: Connection, connection: str, refs: Sequence[Ref], *, read_at: datetime, now: datetime) -> int:
    """Mark as deleted what the source says does not exist; returns how many live rows that were.

    A ref names the first key field: a stock ref stands for every count of its listing. Refs by SKU match nothing,
    because "no such SKU" may as well be a renamed product: ask for the product by its id.
    """
    by_kind: dict[Kind, list[str]] = defaultdict(list)
    for ref in refs:
        by_kind[ref.kind].append(ref.external_id)
    total = 0
    for kind in sorted(by_kind):
        name = sql.shape(kind).keys[0]
        keys = _live_keys(conn, connection, kind, name, by_kind[kind], Absent.DELETED, read_at, ties=True)
        total += len(
            close_rows(conn, kind, Absent.DELETED, connection, sorted(keys), read_at=read_at, now=now, ties=True)
        )
    return total


def close_rows(
    conn: Connection,
    kind: Kind,
    absent: Absent,
    connection: str,
    keys: Iterable[Key],
    *,
    read_at: datetime,
    now: datetime,
    ties: bool = False,
) -> list[Key]:
    """Tombstone or zero these rows, given in order, unless they were read later; returns the keys that changed."""
    keys = list(keys)
    if not keys:
        return []
    dialect = conn.dialect.name
    statement = sql.close_row(kind, absent, dialect, ties=ties)
    values = [sql.close_values(kind, absent, connection, key, read_at, now) for key in keys]
    cursor = sql.driver(conn).cursor()
    if dialect == "sqlite":
        return [key for key, row in zip(keys, values, strict=True) if cursor.execute(statement, row).rowcount]
    cursor.executemany(statement, values, returning=True)
    return [key for key, result in zip(keys, cursor.results(), strict=True) if result.rowcount]


def resolve_sku(conn: Connection, connection: str, sku: str) -> str | None:
    """External id of the live listing with this SKU, the newest if there are several; ``None`` if there is none."""
    table = _table(Kind.PRODUCT)
    wanted = (table.c.connection == connection) & (table.c.sku == sku) & ~table.c.deleted
    found = conn.execute(select(table.c.external_id).where(wanted).order_by(table.c.version.desc()).limit(1))
    return found.scalar()


def of_category(conn: Connection, connection: str, category: str) -> list[str]:
    """External ids of the live listings in a category, named by its id or by its name."""
    table = _table(Kind.PRODUCT)
    named = (table.c.category_id == category) | (table.c.category == category)
    wanted = select(table.c.external_id).where(table.c.connection == connection, ~table.c.deleted, named)
    return list(conn.execute(wanted.order_by(table.c.external_id)).scalars())


def items_of(conn: Connection, connection: str, listings: Sequence[str]) -> list[str]:
    """The items that the source would be asked for to read these listings: their parents, where they have any."""
    table = _table(Kind.PRODUCT)
    item = func.coalesce(table.c.parent_id, table.c.external_id)
    found: set[str] = set()
    for some in batches(listings, 500):
        found.update(
            conn.execute(
                select(item).where(table.c.connection == connection, table.c.external_id.in_(some))
            ).scalars()
        )
    return sorted(found)


def versions(
    conn: Connection, connection: str, kind: Kind, external_ids: Sequence[str]
) -> dict[str, tuple[int, datetime]]:
    """Newest version and read time we hold per item, tombstones included.

    An item is its row, or rows, by the first key field; a product that has variations is named by their parent too.
    """
    found = _versions(conn, connection, kind, sql.shape(kind).keys[0], external_ids)
    if kind is Kind.PRODUCT:
        found = _versions(conn, connection, kind, "parent_id", external_ids) | found
    return found


def _versions(
    conn: Connection, connection: str, kind: Kind, name: str, external_ids: Sequence[str]
) -> dict[str, tuple[int, datetime]]:
    table = sql.shape(kind)
    wanted = sql.listed(conn.dialect.name, name)
    statement = sql.spelled(
        conn.dialect.name,
        f"SELECT {name}, max(version), max(read_at) FROM {table.table}"
        f" WHERE connection = ? AND {wanted} GROUP BY {name}",
    )
    cursor = sql.driver(conn).cursor()
    cursor.execute(statement, (connection, sql.bound_list(conn.dialect.name, external_ids)))
    return {row[0]: (row[1], _moment(row[2])) for row in cursor.fetchall()}


def get(conn: Connection, connection: str, kind: Kind, key: Key) -> dict[str, Any] | None:
    """One row with all its columns, or ``None``; tombstones are rows too."""
    table = _table(kind)
    names = sql.shape(kind).keys
    wanted = [table.c[name] == value for name, value in zip(names, key, strict=True)]
    row = conn.execute(select(table).where(table.c.connection == connection, *wanted)).mappings().first()
    return dict(row) if row else None


def counts(conn: Connection, connection: str) -> dict[Kind, tuple[int, int]]:
    """Live and deleted rows per kind."""
    parts = [
        f"SELECT '{kind}', count(*), coalesce(sum(CASE WHEN deleted THEN 1 ELSE 0 END), 0)"
        f" FROM {sql.shape(kind).table} WHERE connection = ?"
        for kind in Kind
    ]
    cursor = sql.driver(conn).cursor()
    cursor.execute(sql.spelled(conn.dialect.name, " UNION ALL ".join(parts)), (connection,) * len(parts))
    return {Kind(kind): (total - deleted, deleted) for kind, total, deleted in cursor.fetchall()}


_Row = tuple[Key, Record, datetime]
"""A record with its key and when the read of it began."""


def _by_kind(reads: Sequence[tuple[Sequence[Record], datetime]]) -> Iterator[tuple[Kind, list[_Row]]]:
    """The newest record of every key, sorted, kind by kind in the same order for everyone."""
    newest: dict[Kind, dict[Key, _Row]] = defaultdict(dict)
    for records, read_at in reads:
        for record in records:
            of_kind = newest[KINDS[type(record)]]
            key = key_of(record)
            if key not in of_kind or (record.version, read_at) >= (of_kind[key][1].version, of_kind[key][2]):
                of_kind[key] = (key, record, read_at)
    for kind in sorted(newest):
        yield kind, sorted(newest[kind].values(), key=lambda row: row[0])


def _write_sqlite(
    driver: Any, kind: Kind, connection: str, newest: list[_Row], now: datetime
) -> Iterator[tuple[Key, bool, bool]]:
    """Yields key, created, same content of every row written; we are the only writer, so look first."""
    cursor = driver.cursor()
    look, upsert = sql.held_row(kind), sql.row_upsert(kind)
    for key, record, read_at in newest:
        digest = row_hash(record)
        held = cursor.execute(look, (connection, *key)).fetchone()
        row = (connection, *msgspec.structs.astuple(record), digest, read_at, now)
        if cursor.execute(upsert, row).rowcount:
            yield key, held is None, held is not None and held[0] == digest


def _write_postgresql(
    driver: Any, kind: Kind, connection: str, newest: list[_Row], now: datetime
) -> Iterator[tuple[Key, bool, bool]]:
    """Yields key, created, same content of every row written, by one prepared statement."""
    rows = ",".join([_row_json(record, read_at) for _, record, read_at in newest])
    cursor = driver.cursor()
    cursor.execute(sql.batch_upsert(kind), (connection, now, f"[{rows}]"))
    for *key, created, same in cursor.fetchall():
        yield tuple(key), created, bool(same)


def _row_json(record: Record, read_at: datetime) -> str:
    fields = _as_json(record).decode()[:-1]
    return f'{fields},"row_hash":{row_hash(record)},"read_at":"{read_at.isoformat()}"}}'


def _count(applied: Applied, key: Key, created: bool, same: bool) -> None:
    if same:
        applied.touched += 1
        return
    applied.written.append(key)
    if created:
        applied.created += 1
    else:
        applied.updated += 1


def _by_question(scopes: Sequence[Scope]) -> dict[tuple[Kind, str | None, Absent], list[str]]:
    """Scopes that differ only in the value make one question to the database."""
    questions: dict[tuple[Kind, str | None, Absent], list[str]] = defaultdict(list)
    for scope in scopes:
        values = questions[scope.kind, scope.field, scope.absent]
        if scope.field is not None:
            values.append(str(scope.value))
    return questions


def _live_keys(
    conn: Connection,
    connection: str,
    kind: Kind,
    name: str | None,
    values: list[str],
    absent: Absent,
    read_at: datetime,
    *,
    ties: bool,
) -> list[Key]:
    dialect = conn.dialect.name
    bound: list[Any] = [connection, read_at]
    if name is not None:
        bound.append(sql.bound_list(dialect, values))
    cursor = sql.driver(conn).cursor()
    cursor.execute(sql.live_keys(kind, name, absent, dialect, ties=ties), bound)
    return list(cursor.fetchall())


def _table(kind: Kind) -> Any:
    return CATALOG[kind].__table__  # type: ignore[attr-defined]


def _moment(stored: Any) -> datetime:
    return cast(datetime, moment_from(stored))  # read_at is never null
