"""The rows of the batches that wait for a person, as they are and as they would become."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, insert, select

from app.domain import RECORDS, Kind, Record, batches
from app.domain.decoding import decode
from app.stores import tables
from app.stores.catalog import Key
from app.stores.sql.statements import json_text

TABLE = tables.core(tables.HoldRow)

_JOINT = "\x1f"


class HeldRow(NamedTuple):
    """A row of a hold: ``fields`` are ``{field: [before, after]}``, ``record`` is ``None`` if the row ends. ``read_at`` is
    when its read began, ``None`` if with the hold's."""

    id: int
    key: Key
    fields: dict[str, list[Any]]
    record: Record | None
    read_at: datetime | None


class NewRow(NamedTuple):
    """A row to hold; the fields are those of ``HeldRow``."""

    key: Key
    fields: Mapping[str, Sequence[object]]
    record: Record | None
    read_at: datetime | None = None


def add(conn: Connection, hold_id: int, rows: Iterable[NewRow]) -> None:
    """Store rows of a hold."""
    values = [
        {
            "hold_id": hold_id,
            "item": row.key[0],
            "row_key": _JOINT.join(row.key),
            "fields": json_text(row.fields),
            "record": None if row.record is None else json_text(row.record),
            "read_at": row.read_at,
        }
        for row in rows
    ]
    if values:
        conn.execute(insert(TABLE), values)


def page(conn: Connection, hold_id: int, kind: Kind, *, after: int = 0, limit: int = 500) -> list[HeldRow]:
    """Rows of a hold in their order, those after an id."""
    query = select(TABLE).where(TABLE.c.hold_id == hold_id, TABLE.c.id > after).order_by(TABLE.c.id).limit(limit)
    return _read_rows(conn, query, kind)


def of_items(conn: Connection, hold_id: int, kind: Kind, items: Sequence[str]) -> list[HeldRow]:
    """Rows of a hold that belong to these items."""
    query = select(TABLE).where(TABLE.c.hold_id == hold_id)
    return [
        row for some in batches(items, 500) for row in _read_rows(conn, query.where(TABLE.c.item.in_(some)), kind)
    ]


def _read_rows(conn: Connection, query: Select[Any], kind: Kind) -> list[HeldRow]:
    rows = conn.execute(query).mappings()
    return [
        HeldRow(
            row["id"],
            tuple(row["row_key"].split(_JOINT)),
            msgspec.json.decode(row["fields"]),
            None if row["record"] is None else decode(row["record"], RECORDS[kind]),
            row["read_at"],
        )
        for row in rows
    ]


def has_items(conn: Connection, hold_id: int, items: Sequence[str]) -> bool:
    """Whether a hold has rows of one of these items."""
    query = select(TABLE.c.id).where(TABLE.c.hold_id == hold_id, TABLE.c.item.in_(items)).limit(1)
    return conn.execute(query).scalar() is not None


def names(keys: Iterable[Key]) -> list[str]:
    """What the column ``row_key`` has for these keys."""
    return [_JOINT.join(key) for key in keys]
