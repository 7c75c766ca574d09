"""One item as people look at it: what it is, where how much of it is, who else sells it, and when each figure came."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from app.domain import Kind, Listing, StockCount
from app.errors import Conflict, NotFound
from app.flows.deps import Deps, can_see, visible_connections
from app.stores import catalog
from app.stores.catalog import StoredRow
from app.stores.catalog.naming import NamedListing, by_sku_or_id, living_elsewhere, location_names, names_of_vendors

JOINT = ":"


class ItemId(NamedTuple):
    """A listing of one connection, written ``connection:external id``."""

    connection: str
    external_id: str

    def __str__(self) -> str:
        return f"{self.connection}{JOINT}{self.external_id}"


class StockView(msgspec.Struct, frozen=True):
    """A count: how many are in one state at one location, since when, and what brought that figure."""

    location_id: str
    location: str | None
    state: str
    quantity: Decimal
    modified_at: datetime | None
    read_at: datetime
    written_by: str | None


class Twin(msgspec.Struct, frozen=True):
    """The same SKU in another connection."""

    id: str
    name: str | None


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """A listing with its stock. Money is in minor units of ``currency``; ``status`` is active, inactive, archived or
    deleted; ``written_by`` is what brought its content (``tables.SyncColumns``)."""

    id: str
    connection: str
    external_id: str
    parent_id: str | None
    sku: str | None
    name: str | None
    barcode: str | None
    category: str | None
    status: str
    price_minor: int | None
    cost_minor: int | None
    currency: str | None
    supplier_id: str | None
    supplier: str | None
    supplier_sku: str | None
    lead_time_days: int | None
    reorder_point: Decimal | None
    reorder_quantity: Decimal | None
    unit: str | None
    modified_at: datetime | None
    read_at: datetime
    written_by: str | None
    stock: list[StockView]
    elsewhere: list[Twin]


def resolve(deps: Deps, text: str) -> list[ItemId]:
    """The listings that a text names: one by ``connection:external id``, else all with that SKU or id that the caller may
    see; deleted ones only if none of them lives. None if there is no such listing."""
    connection, joint, external_id = text.partition(JOINT)
    exact = bool(joint) and can_see(deps, connection)
    with deps.database.read() as conn:
        matches = by_sku_or_id(conn, visible_connections(deps), text)
        if exact and catalog.rows_of_items(conn, connection, Kind.PRODUCT, [external_id]):
            return [ItemId(connection, external_id)]
    living = [match for match in matches if not match.deleted]
    return [_id_of(match) for match in living or matches]


def the_one(deps: Deps, text: str) -> ItemId:
    """The only listing that a text names (``resolve``); raises ``NotFound``, and ``Conflict`` if there are several."""
    ids = resolve(deps, text)
    if not ids:
        raise NotFound(f"there is no item {text!r}; look for it with a part of its name, SKU or barcode", "item")
    if len(ids) > 1:
        raise Conflict(f"{text!r} names {len(ids)} items; right would be one of {', '.join(map(str, ids[:5]))}")
    return ids[0]


def show(deps: Deps, item: ItemId) -> ItemView:
    """A listing that the caller may see; raises ``NotFound``."""
    with deps.database.read() as conn:
        rows = catalog.rows_of_items(conn, item.connection, Kind.PRODUCT, [item.external_id])
        row = rows.get((item.external_id,))
        if row is None or not isinstance(row.record, Listing):
            raise NotFound(f"there is no item {str(item)!r}", "item")
        suppliers = names_of_vendors(conn, item.connection, [row.record.supplier_id or ""])
        elsewhere = [slug for slug in visible_connections(deps) if slug != item.connection]
        twins = living_elsewhere(conn, elsewhere, row.record.sku) if row.record.sku else []
        others = [Twin(str(_id_of(twin)), twin.name) for twin in twins]
        return _view(item, row, row.record, _stock(conn, item), suppliers, others)


def _id_of(listing: NamedListing) -> ItemId:
    return ItemId(listing.connection, listing.external_id)


def status_of(listing: Listing) -> str:
    """Whether a listing is ``active``, ``inactive``, ``archived`` or ``deleted``."""
    if listing.deleted:
        return "deleted"
    return "archived" if listing.archived else "active" if listing.active else "inactive"


def _view(
    item: ItemId,
    row: StoredRow,
    listing: Listing,
    stock: list[StockView],
    suppliers: dict[str, str],
    twins: list[Twin],
) -> ItemView:
    same = {name: getattr(listing, name) for name in ItemView.__struct_fields__ if name in Listing.__struct_fields__}
    return ItemView(
        **same,
        id=str(item),
        connection=item.connection,
        status=status_of(listing),
        supplier=suppliers.get(listing.supplier_id or ""),
        read_at=row.read_at,
        written_by=row.written_by,
        stock=stock,
        elsewhere=twins,
    )


def _stock(conn: Connection, item: ItemId) -> list[StockView]:
    rows = catalog.rows_of_items(conn, item.connection, Kind.STOCK, [item.external_id])
    names = location_names(conn, item.connection)
    return [
        StockView(
            count.location_id,
            names.get(count.location_id),
            count.state,
            count.quantity,
            count.modified_at,
            row.read_at,
            row.written_by,
        )
        for _, row in sorted(rows.items())
        if isinstance(count := row.record, StockCount) and not count.deleted
    ]
