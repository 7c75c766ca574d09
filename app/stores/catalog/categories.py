"""Finds categories by id, name or path, in the source's own list and in the listings."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, or_, select

from app.domain import CATEGORY_JOINT, Kind
from app.stores.tables import CATALOG

_DEEPEST = 20
"""Levels of categories; more than this is a circle."""


class _Category(NamedTuple):
    name: str | None
    parent_id: str | None


def of_category(conn: Connection, connection: str, category: str) -> list[str]:
    """External ids of the live listings in a category, named by its id, its name or its path."""
    listings = CATALOG[Kind.PRODUCT]
    ids = [id for id, names in _named(conn, connection) if category in names]
    named = or_(
        listings.c.category == category,
        listings.c.category_path == category,
        listings.c.category_id.in_([category, *ids]),
    )
    wanted = select(listings.c.external_id).where(listings.c.connection == connection, ~listings.c.deleted, named)
    return list(conn.execute(wanted.order_by(listings.c.external_id)).scalars())


def category_names(conn: Connection, connection: str) -> list[str]:
    """Every id, name and path of a category."""
    listings = CATALOG[Kind.PRODUCT]
    all_names = {name for id, names in _named(conn, connection) for name in (id, *names)}
    for column in (listings.c.category, listings.c.category_path, listings.c.category_id):
        alive = (listings.c.connection == connection, ~listings.c.deleted, column.is_not(None))
        all_names.update(conn.execute(select(column).where(*alive).distinct()).scalars())
    return sorted(all_names)


def _named(conn: Connection, connection: str) -> Iterator[tuple[str, set[str]]]:
    """Each live category of the source's list with its name and its path."""
    categories = CATALOG[Kind.CATEGORY]
    columns = (categories.c.external_id, categories.c.name, categories.c.parent_id)
    wanted = select(*columns).where(categories.c.connection == connection, ~categories.c.deleted)
    held = {id: _Category(name, parent_id) for id, name, parent_id in conn.execute(wanted)}
    for id, category in held.items():
        if category.name:
            yield id, {category.name, _path(id, held)}


def _path(id: str, held: Mapping[str, _Category]) -> str:
    names: list[str] = []
    at: str | None = id
    while at is not None and at in held and len(names) < _DEEPEST:
        name, at = held[at]
        names.insert(0, name or "")
    return CATEGORY_JOINT.join(names)
