"""Reads catalog rows back: by key, by SKU, and how new they are."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select, tuple_

from app.domain import Kind, Record, batches, key_of
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.reads import Key
from app.stores.sql.columns import some_moment
from app.stores.sql.engine import Database
from app.stores.sql.statements import Statement, bound_list
from app.stores.tables import CATALOG


def resolve_sku(conn: Connection, connection: str, sku: str) -> str | None:
    """External id of the live listing with this SKU, the newest if there are several; ``None`` if there is none."""
    table = CATALOG[Kind.PRODUCT]
    wanted = (table.c.connection == connection) & (table.c.sku == sku) & ~table.c.deleted
    query = select(table.c.external_id).where(wanted).order_by(table.c.version.desc()).limit(1)
    return conn.execute(query).scalar()


def items_of(conn: Connection, connection: str, listings: Sequence[str]) -> list[str]:
    """The items to fetch in order to read these listings: their parents, if they have any."""
    return sorted({*owners_of(conn, connection, listings).values()})


def owners_of(conn: Connection, connection: str, listings: Sequence[str]) -> dict[str, str]:
    """The item that each of these listings belongs to, by the listing's id: its parent, or itself."""
    table = CATALOG[Kind.PRODUCT]
    item = func.coalesce(table.c.parent_id, table.c.external_id)
    owners: dict[str, str] = {}
    for some in batches(listings, 500):
        query = select(table.c.external_id, item).where(
            table.c.connection == connection, table.c.external_id.in_(some)
        )
        owners.update((id, owner) for id, owner in conn.execute(query))
    return owners


def row_ids(conn: Connection, connection: str, kind: Kind, ids: Collection[str]) -> set[str]:
    """The first key fields of the rows that belong to these items: their own, and for products their variations'."""
    if kind is not Kind.PRODUCT:
        return set(ids)
    table = CATALOG[Kind.PRODUCT]
    rows = set(ids)
    for some in batches(sorted(ids), 500):
        query = select(table.c.external_id).where(table.c.connection == connection, table.c.parent_id.in_(some))
        rows.update(conn.execute(query).scalars())
    return rows


SAMPLE = 200
"""``lately_read`` sorts only this many rows: a large shop has too many to sort."""


def lately_read(
    conn: Connection, connection: str, kind: Kind, limit: int, *, without: Collection[str] = ()
) -> list[str]:
    """External ids of some live items of a kind, read last first, none of ``without``; taken from the first ``SAMPLE``
    such rows by key."""
    table = CATALOG[kind]
    item = (
        func.coalesce(table.c.parent_id, table.c.external_id) if kind is Kind.PRODUCT else table.c[_first_key(kind)]
    )
    wanted = (table.c.connection == connection) & ~table.c.deleted & item.not_in(sorted(without))
    rows = conn.execute(select(item, table.c.read_at).where(wanted).order_by(table.c[_first_key(kind)]).limit(SAMPLE))
    latest = sorted(rows, key=lambda row: row[1], reverse=True)
    return list(dict.fromkeys(row[0] for row in latest))[:limit]


def _first_key(kind: Kind) -> str:
    return sql.shape(kind).keys[0]


class HeldVersion(NamedTuple):
    """The newest version that we hold of an item, and when its latest read began."""

    version: int
    read_at: datetime


def versions(conn: Connection, connection: str, kind: Kind, external_ids: Sequence[str]) -> dict[str, HeldVersion]:
    """What we hold of each item, tombstones included.

    An item's id is the first key field of its rows; a product with variations is also known by their parent's id.
    """
    held = _versions(conn, connection, kind, _first_key(kind), external_ids)
    if kind is Kind.PRODUCT:
        held = _versions(conn, connection, kind, "parent_id", external_ids) | held
    return held


def _versions(
    conn: Connection, connection: str, kind: Kind, name: str, external_ids: Sequence[str]
) -> dict[str, HeldVersion]:
    statement = Statement(
        f"""
        SELECT {name}, max(version), max(read_at) FROM {sql.shape(kind).table}
        WHERE connection = :connection AND {name} AMONG :ids GROUP BY {name}
        """
    )
    rows = statement.run(conn, {"connection": connection, "ids": bound_list(conn, external_ids)})
    return {id: HeldVersion(version, some_moment(read_at)) for id, version, read_at in rows}


class StoredRow(NamedTuple):
    """One of our rows: its record, and how it was written (``tables.SyncColumns``). Tombstones are rows too."""

    record: Record
    row_hash: int
    read_at: datetime
    written_at: datetime
    written_by: str | None


def stored_rows(database: Database, connection: str, kind: Kind, keys: Sequence[Key]) -> dict[Key, StoredRow]:
    """The rows with these keys, as they are now."""
    columns = CATALOG[kind].c
    key = tuple_(*(columns[name] for name in sql.shape(kind).keys))
    with database.read() as conn:
        return _stored(conn, connection, kind, key, keys)


def rows_of_items(conn: Connection, connection: str, kind: Kind, ids: Sequence[str]) -> dict[Key, StoredRow]:
    """All rows whose keys begin with these ids."""
    return _stored(conn, connection, kind, CATALOG[kind].c[_first_key(kind)], ids)


def _stored(
    conn: Connection, connection: str, kind: Kind, column: ColumnElement[Any], values: Sequence[Any]
) -> dict[Key, StoredRow]:
    columns, shape = CATALOG[kind].c, sql.shape(kind)
    query = select(*(columns[name] for name in shape.columns)).where(columns.connection == connection)
    rows: dict[Key, StoredRow] = {}
    for some in batches(values, 500):
        for _, *fields, row_hash, read_at, written_at, written_by in conn.execute(query.where(column.in_(some))):
            record = shape.record(*fields)
            rows[key_of(record)] = StoredRow(record, row_hash, read_at, written_at, written_by)
    return rows


def fenced(conn: Connection, connection: str, kind: Kind, keys: Sequence[Key]) -> set[Key]:
    """Those of the keys whose rows are tombstones that we concluded ourselves."""
    held = held_hashes(conn, connection, kind, keys)
    return {key for key in keys if held.get("\x1f".join(key)) == 0}


def held_hashes(conn: Connection, connection: str, kind: Kind, keys: Sequence[Key]) -> dict[str, int]:
    """The hashes of our rows that begin with the same ids as these keys, by their keys joined with U+001F."""
    ids = bound_list(conn, sorted({key[0] for key in keys}))
    return dict(sql.held_hashes(kind).run(conn, {"connection": connection, "ids": ids}))


class RowCount(NamedTuple):
    """How many rows of a kind live here, and how many are tombstones."""

    live: int
    deleted: int


def counts(conn: Connection, connection: str) -> dict[Kind, RowCount]:
    """Our rows per kind."""
    parts = [
        f"SELECT '{kind}', count(*), coalesce(sum(CASE WHEN deleted THEN 1 ELSE 0 END), 0)"
        f" FROM {sql.shape(kind).table} WHERE connection = :connection"
        for kind in Kind
    ]
    rows = Statement(" UNION ALL ".join(parts)).run(conn, {"connection": connection})
    return {Kind(kind): RowCount(total - deleted, deleted) for kind, total, deleted in rows}
