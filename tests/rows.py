"""Catalog rows as the database has them, for tests that look at one."""

from typing import Any

from sqlalchemy import Connection, select

from app.domain import Kind
from app.stores.tables import CATALOG


def row_of(conn: Connection, connection: str, kind: Kind, key: tuple[str, ...]) -> dict[str, Any] | None:
    """One row with all its columns, or ``None``; tombstones are rows too."""
    table = CATALOG[kind]
    names = [column.name for column in table.primary_key][1:]
    same = [table.c[name] == value for name, value in zip(names, key, strict=True)]
    row = conn.execute(select(table).where(table.c.connection == connection, *same)).mappings().first()
    return dict(row) if row else None
