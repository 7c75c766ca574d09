"""Names beside ids: the listings of a SKU, and what locations and vendors are called."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, or_, select

from app.domain import Kind
from app.stores.tables import CATALOG

MOST_OF_A_SKU = 50
"""So many listings of one SKU are looked at."""

_LISTINGS, _LOCATIONS, _VENDORS = (CATALOG[kind] for kind in (Kind.PRODUCT, Kind.LOCATION, Kind.VENDOR))


class NamedListing(NamedTuple):
    """A listing by its key, and what people call it."""

    connection: str
    external_id: str
    name: str | None


def by_sku_or_id(conn: Connection, connections: Sequence[str], text: str) -> list[NamedListing]:
    """The listings with this SKU or id: living before deleted ones, by connection."""
    columns = _LISTINGS.c
    named = or_(columns.sku == text, columns.external_id == text)
    query = select(*(columns[name] for name in NamedListing._fields)).where(
        named, columns.connection.in_(list(connections))
    )
    ordered = query.order_by(columns.deleted, columns.connection, columns.external_id).limit(MOST_OF_A_SKU)
    return [NamedListing(*row) for row in conn.execute(ordered)]


def location_names(conn: Connection, connection: str) -> dict[str, str]:
    """The names of a connection's locations by id, those of deleted ones too; without a name there is no entry."""
    columns = _LOCATIONS.c
    named = (columns.connection == connection, columns.name.is_not(None))
    return _names(conn, select(columns.external_id, columns.name).where(*named))


def names_of_vendors(conn: Connection, connection: str, ids: Sequence[str]) -> dict[str, str]:
    """The names of these vendors by id."""
    columns = _VENDORS.c
    named = (columns.connection == connection, columns.external_id.in_(list(ids)), columns.name.is_not(None))
    return _names(conn, select(columns.external_id, columns.name).where(*named))


def _names(conn: Connection, query: Select[Any]) -> dict[str, str]:
    return {row[0]: row[1] for row in conn.execute(query)}
