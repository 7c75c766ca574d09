"""Names beside ids: the listings of a SKU, and what locations and vendors are called."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, or_, select

from app.domain import ON_HAND, Kind, quantity
from app.stores.tables import CATALOG

MOST_OF_A_SKU = 50
"""So many listings of one SKU are looked at."""

_LISTINGS, _STOCK = CATALOG[Kind.PRODUCT], CATALOG[Kind.STOCK]
_LOCATIONS, _VENDORS = CATALOG[Kind.LOCATION], CATALOG[Kind.VENDOR]


class NamedListing(NamedTuple):
    """A listing by its key, and what people call it."""

    connection: str
    external_id: str
    name: str | None
    deleted: bool


def by_sku_or_id(conn: Connection, connections: Sequence[str], text: str) -> list[NamedListing]:
    """The listings with this SKU or id: living before deleted ones, by connection."""
    columns = _LISTINGS.c
    named = or_(columns.sku == text, columns.external_id == text)
    query = select(*(columns[name] for name in NamedListing._fields)).where(
        named, columns.connection.in_(list(connections))
    )
    ordered = query.order_by(columns.deleted, columns.connection, columns.external_id).limit(MOST_OF_A_SKU)
    return [NamedListing(*row) for row in conn.execute(ordered)]


def living_elsewhere(conn: Connection, connections: Sequence[str], sku: str) -> list[NamedListing]:
    """The living listings of these connections with this SKU."""
    columns = _LISTINGS.c
    query = select(*(columns[name] for name in NamedListing._fields)).where(
        columns.sku == sku, columns.connection.in_(list(connections)), ~columns.deleted
    )
    ordered = query.order_by(columns.connection, columns.external_id).limit(MOST_OF_A_SKU)
    return [NamedListing(*row) for row in conn.execute(ordered)]


class CalledListing(NamedTuple):
    """A living listing by its key, and all that people call it."""

    connection: str
    external_id: str
    sku: str | None
    barcode: str | None
    supplier_sku: str | None
    name: str | None


def named_listings(
    conn: Connection, connection: str, ids: Sequence[str] | None = None, *, after: str = "", limit: int = 10_000
) -> list[CalledListing]:
    """Living listings by id: those of these ids, or the next ones after an id."""
    columns = _LISTINGS.c
    query = select(*(columns[name] for name in CalledListing._fields)).where(
        columns.connection == connection, ~columns.deleted, columns.external_id > after
    )
    if ids is not None:
        query = query.where(columns.external_id.in_(list(ids)))
    return [CalledListing(*row) for row in conn.execute(query.order_by(columns.external_id).limit(limit))]


def on_hand(conn: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Decimal]:
    """How many are on hand of these listings over all locations, by connection and id; without a count there is no entry."""
    columns = _STOCK.c
    query = (
        select(columns.connection, columns.listing_id, func.sum(columns.quantity))
        .where(
            columns.connection.in_({connection for connection, _ in keys}),
            columns.listing_id.in_({id for _, id in keys}),
            columns.state == ON_HAND,
            ~columns.deleted,
        )
        .group_by(columns.connection, columns.listing_id)
    )
    return {(connection, id): quantity(str(total)) for connection, id, total in conn.execute(query)}


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
