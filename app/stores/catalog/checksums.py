"""The checksum pass: hashes every row's content again, and so finds an edit by hand in any column."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Boolean, Connection
from sqlalchemy.types import TypeEngine

from app.domain import Kind, quantity, row_hash
from app.domain.collector import collector_paused
from app.stores.catalog import Key, StoredRow
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.newer import LOCALLY_EDITED
from app.stores.catalog.stream import streamed
from app.stores.sql.columns import Quantity
from app.stores.sql.engine import Database
from app.stores.tables import CATALOG

_NOT_CONTENT = ("version", "modified_at")
_pack = msgspec.msgpack.Encoder().encode


class Edited(NamedTuple):
    """A row whose content is not what its hash (``row_hash``) says: somebody else wrote it."""

    key: Key
    row_hash: int


def find_edited(database: Database, connection: str, kind: Kind) -> list[Edited]:
    """Every row that was edited by hand and is not marked yet.

    Valid only if the rows were hashed with the fields that records have now (``shape_of``).
    """
    with collector_paused():
        return [one for rows in _rows(database, connection, kind) for one in _edited(kind, rows)]


def mark_edited(conn: Connection, connection: str, kind: Kind, rows: Sequence[Edited]) -> None:
    """Mark rows so that the next read finds them different, unless somebody has written them meanwhile."""
    table = sql.shape(kind)
    same = " AND ".join(f"{name} = ?" for name in ("connection", *table.keys))
    statement = f"UPDATE {table.table} SET row_hash = {LOCALLY_EDITED} WHERE {same} AND row_hash = ?"
    values = [(connection, *row.key, row.row_hash) for row in rows]
    if values:
        sql.driver(conn).cursor().executemany(sql.spelled(conn.dialect.name, statement), values)


def is_edited(row: StoredRow) -> bool:
    """Whether a row was edited by hand, marked already or not; under the same condition."""
    is_our_tombstone = row.record.deleted and row.row_hash == 0
    return not is_our_tombstone and row.row_hash != row_hash(row.record)


def shape_of(kind: Kind) -> str:
    """A name for the fields that go into a row's hash."""
    return hashlib.blake2b(",".join(sql.shape(kind).fields).encode(), digest_size=4).hexdigest()


def _rows(database: Database, connection: str, kind: Kind) -> Iterator[list[tuple[Any, ...]]]:
    """Content and hash of all rows, except marked ones and our own tombstones, whose hash is 0."""
    table = sql.shape(kind)
    columns = ", ".join((*_content(kind), "row_hash"))
    wanted = f"""SELECT {columns} FROM {table.table}
        WHERE connection = ? AND row_hash <> {LOCALLY_EDITED} AND NOT (deleted AND row_hash = 0)"""
    return streamed(database, sql.spelled(database.dialect, wanted), (connection,))


def _edited(kind: Kind, rows: Sequence[tuple[Any, ...]]) -> Iterator[Edited]:
    """The rows (content, then the stored hash) whose content has another hash."""
    flags, amounts = _places(kind, Boolean), _places(kind, Quantity)
    width = len(sql.shape(kind).keys)  # the key fields come first
    for row in rows:
        content = list(row[:-1])
        for at in flags:
            content[at] = bool(content[at])
        for at in amounts:
            if content[at] is not None:
                content[at] = quantity(content[at])
        digest = hashlib.blake2b(_pack(content), digest_size=8).digest()
        if int.from_bytes(digest, "big", signed=True) != row[-1]:
            yield Edited(tuple(row[:width]), row[-1])


def _content(kind: Kind) -> list[str]:
    return [name for name in sql.shape(kind).fields if name not in _NOT_CONTENT]


def _places(kind: Kind, sort: type[TypeEngine[Any]]) -> list[int]:
    columns = CATALOG[kind].columns
    return [at for at, name in enumerate(_content(kind)) if isinstance(columns[name].type, sort)]
