"""The checksum pass: every row's content is hashed anew, so that an edit by hand is found whatever columns it moved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Boolean
from sqlalchemy.types import TypeEngine

from app.domain import Kind, quantity
from app.stores import catalog_sql as sql
from app.stores.catalog import Key
from app.stores.collector import collector_paused
from app.stores.columns import Quantity
from app.stores.engine import Database
from app.stores.newer import LOCALLY_EDITED
from app.stores.tables import CATALOG

_NOT_CONTENT = ("version", "modified_at")
_pack = msgspec.msgpack.Encoder().encode


def mark_edited(database: Database, connection: str, kind: Kind) -> list[Key]:
    """Mark every row whose content is not what its hash says, so that the next complete read finds it different;
    returns the keys. A row that somebody writes meanwhile is left alone.

    Only where rows were hashed with the fields that records have now: another shape makes other hashes.
    """
    with collector_paused():
        found = [one for rows in _rows(database, connection, kind) for one in _edited(kind, rows)]
    if found:
        table = sql.shape(kind)
        same = " AND ".join(f"{name} = ?" for name in ("connection", *table.keys))
        statement = f"UPDATE {table.table} SET row_hash = {LOCALLY_EDITED} WHERE {same} AND row_hash = ?"
        with database.begin() as conn:
            values = [(connection, *key, digest) for key, digest in found]
            sql.driver(conn).cursor().executemany(sql.spelled(database.dialect, statement), values)
    return [key for key, _ in found]


def shape_of(kind: Kind) -> str:
    """A name for the fields that go into a row's hash."""
    return hashlib.blake2b(",".join(sql.shape(kind).fields).encode(), digest_size=4).hexdigest()


def _rows(database: Database, connection: str, kind: Kind) -> Iterator[list[tuple[Any, ...]]]:
    """Content and hash of all rows but those marked already and tombstones of ours, whose hash is 0."""
    table = sql.shape(kind)
    columns = ", ".join((*_content(kind), "row_hash"))
    wanted = f"""SELECT {columns} FROM {table.table}
        WHERE connection = ? AND row_hash <> {LOCALLY_EDITED} AND NOT (deleted AND row_hash = 0)"""
    with database.read() as conn:
        driver = sql.driver(conn)
        on_server = database.dialect == "postgresql"
        cursor = driver.cursor(name="row_contents", binary=True) if on_server else driver.cursor()
        cursor.execute(sql.spelled(database.dialect, wanted), (connection,))
        while rows := cursor.fetchmany(20_000):
            yield rows
        cursor.close()


def _edited(kind: Kind, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Key, int]]:
    """Key and stored hash of the rows whose content hashes to something else."""
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
            yield tuple(row[:width]), row[-1]


def _content(kind: Kind) -> list[str]:
    return [name for name in sql.shape(kind).fields if name not in _NOT_CONTENT]


def _places(kind: Kind, sort: type[TypeEngine[Any]]) -> list[int]:
    columns = CATALOG[kind].__table__.columns  # type: ignore[attr-defined]
    return [at for at, name in enumerate(_content(kind)) if isinstance(columns[name].type, sort)]
