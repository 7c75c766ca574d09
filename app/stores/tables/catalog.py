"""The merchant's own data: six tables of one shape.

The primary key is ``connection`` and the record's key fields; then come the record's other fields in their order, then how
the row was written (``SyncColumns``). ``CATALOG`` maps a kind to its table.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Index, Table
from sqlmodel import Field, SQLModel

from app.domain import Kind
from app.stores.sql.columns import Quantity
from app.stores.tables.fields import amount, big, core, long, moment


class SyncColumns(SQLModel):
    """How a catalog row was written.

    ``version`` orders states by the source's clock. ``read_at`` is when the read of the row *began*, and decides between
    equal versions. ``row_hash`` is ``domain.row_hash``, or 0 for a tombstone that we concluded ourselves. ``written_at``
    is when the row was last written here, ``written_by`` what brought its content (see ``FIRST_LOAD_WRITER``), null where
    that is unknown.
    """

    deleted: bool = False
    version: int = big()
    modified_at: datetime | None = moment(default=None)
    row_hash: int = big()
    read_at: datetime = moment()
    written_at: datetime = moment()
    written_by: str | None = None


class ListingRow(SyncColumns, table=True):
    """One product as one connection sees it; money in minor units of ``currency``."""

    __tablename__ = "listings"
    __table_args__ = (
        Index("ix_listings_sku", "sku", postgresql_using="hash"),
        Index("ix_listings_parent", "connection", "parent_id"),
    )

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    parent_id: str | None = None
    sku: str | None = None
    name: str | None = None
    description: str | None = long()
    active: bool = True
    category_id: str | None = None
    category: str | None = None
    category_path: str | None = None
    archived: bool = False
    sold_out: str | None = long()
    barcode: str | None = None
    price_minor: int | None = Field(default=None, sa_type=BigInteger)
    cost_minor: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = None
    prices: str | None = long()
    supplier_id: str | None = None
    supplier_sku: str | None = None
    suppliers: str | None = long()
    lead_time_days: int | None = None
    reorder_point: Decimal | None = amount()
    reorder_quantity: Decimal | None = amount()
    reorders: str | None = long()
    unit: str | None = None
    unit_precision: int | None = None
    images: str | None = long()
    options: str | None = long()
    modifiers: str | None = long()
    taxes: str | None = long()
    mentions: str | None = long()
    extra: str | None = long()


class StockRow(SyncColumns, table=True):
    """How many of a listing are in one state at one location."""

    __tablename__ = "stock"

    connection: str = Field(primary_key=True)
    listing_id: str = Field(primary_key=True)
    location_id: str = Field(primary_key=True)
    state: str = Field(primary_key=True)
    quantity: Decimal = Field(sa_type=Quantity)
    extra: str | None = long()


class OrderRow(SyncColumns, table=True):
    """What changed hands; money in minor units, ``lines`` is JSON text (see ``domain.Order``)."""

    __tablename__ = "orders"
    __table_args__ = (Index("ix_orders_modified", "connection", "modified_at"),)

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    number: str | None = None
    type: str = "sale"
    status: str | None = None
    location_id: str | None = None
    party_id: str | None = None
    channel: str | None = None
    ordered_on: str | None = None
    subtotal_minor: int | None = Field(default=None, sa_type=BigInteger)
    discount_minor: int | None = Field(default=None, sa_type=BigInteger)
    tax_minor: int | None = Field(default=None, sa_type=BigInteger)
    service_charge_minor: int | None = Field(default=None, sa_type=BigInteger)
    tip_minor: int | None = Field(default=None, sa_type=BigInteger)
    total_minor: int | None = Field(default=None, sa_type=BigInteger)
    net_minor: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = None
    lines: str | None = long()
    extra: str | None = long()


class LocationRow(SyncColumns, table=True):
    """A place that holds stock."""

    __tablename__ = "locations"

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    parent_id: str | None = None
    name: str | None = None
    active: bool = True
    currency: str | None = None
    timezone: str | None = None
    extra: str | None = long()


class VendorRow(SyncColumns, table=True):
    """Somebody the merchant buys from."""

    __tablename__ = "vendors"

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    name: str | None = None
    active: bool = True
    account_number: str | None = None
    email: str | None = None
    phone: str | None = None
    extra: str | None = long()


class CategoryRow(SyncColumns, table=True):
    """A product category."""

    __tablename__ = "categories"

    connection: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    parent_id: str | None = None
    name: str | None = None
    extra: str | None = long()


CATALOG: Mapping[Kind, Table] = {
    Kind.PRODUCT: core(ListingRow),
    Kind.STOCK: core(StockRow),
    Kind.ORDER: core(OrderRow),
    Kind.LOCATION: core(LocationRow),
    Kind.VENDOR: core(VendorRow),
    Kind.CATEGORY: core(CategoryRow),
}
