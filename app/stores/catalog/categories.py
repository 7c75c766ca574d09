"""Categories as people name them: by an id or a name, of the source's own list or of what listings say."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Connection, select

from app.domain import Kind
from app.stores.tables import CATALOG


def of_category(conn: Connection, connection: str, category: str) -> list[str]:
    """External ids of the live listings in a category, named by its id or by its name."""
    listings = _table(Kind.PRODUCT)
    named = (listings.c.category == category) | listings.c.category_id.in_(
        [category, *_ids(conn, connection, category)]
    )
    wanted = select(listings.c.external_id).where(listings.c.connection == connection, ~listings.c.deleted, named)
    return list(conn.execute(wanted.order_by(listings.c.external_id)).scalars())


def category_names(conn: Connection, connection: str) -> list[str]:
    """Every name and id that a category goes by."""
    listings, categories = _table(Kind.PRODUCT), _table(Kind.CATEGORY)
    columns = (listings.c.category, listings.c.category_id, categories.c.name, categories.c.external_id)
    found: set[str] = set()
    for column in columns:
        alive = (column.table.c.connection == connection, ~column.table.c.deleted, column.is_not(None))
        found.update(conn.execute(select(column).where(*alive).distinct()).scalars())
    return sorted(found)


def _ids(conn: Connection, connection: str, name: str) -> list[str]:
    categories = _table(Kind.CATEGORY)
    wanted = select(categories.c.external_id).where(
        categories.c.connection == connection, categories.c.name == name, ~categories.c.deleted
    )
    return list(conn.execute(wanted).scalars())


def _table(kind: Kind) -> Any:
    return cast(Any, CATALOG[kind]).__table__
