"""The things a simulated account is made of, as frozen values: a change replaces one, so a snapshot stays true."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

ACTIVE_PRODUCT = "PRODUCT_ACTIVE"


class Product(msgspec.Struct, frozen=True):
    """A product. ``tail`` ends its URL and is for a third of them not the SKU; money is in cents, times in epoch s.

    ``raw`` holds what a POST set that the shop itself does not know, by wire name.
    """

    number: int
    tail: str
    sku: str
    name: str
    description: str | None
    active: bool
    category: str | None
    barcode: str | None
    price_minor: int | None
    cost_minor: int | None
    supplier_id: str | None
    lead_time_days: int | None
    reorder_point: int
    created: int
    updated: int
    raw: dict[str, Any] = {}


class Facility(msgspec.Struct, frozen=True):
    """A location, or a sublocation of ``parent_id``."""

    id: str
    name: str
    parent_id: str | None = None


class Party(msgspec.Struct, frozen=True):
    """A supplier, customer, or the company itself."""

    id: str
    name: str
    roles: tuple[str, ...] = ()
    email: str | None = None


class Line(msgspec.Struct, frozen=True):
    """One line of an order; ``unit_minor`` in cents, of which a purchase may have fractions."""

    number: int
    quantity: Decimal
    unit_minor: Decimal


class Order(msgspec.Struct, frozen=True):
    """A purchase (``facility_id`` is where it goes) or a sale (where it comes from)."""

    id: str
    is_purchase: bool
    status: str
    facility_id: str
    party_id: str
    lines: tuple[Line, ...]
    created: int
    updated: int
    adjustments: tuple[tuple[str, int], ...] = ()
    """What is added, in cents, and what it is called."""

    @property
    def is_open(self) -> bool:
        """Whether its goods are still to come or to go."""
        return self.status == "ORDER_LOCKED"


class Place(NamedTuple):
    """What tells one stock row from another; ``order_id`` decides between on hand, on order and reserved."""

    number: int
    facility_id: str
    lot: str = ""
    packing: str = ""
    order_id: str = ""


class Done(msgspec.Struct, frozen=True):
    """One thing that changed: its kind and external id in Tallyhook's words, and for a bridge the SKU."""

    kind: str
    external_id: str
    what: str
    sku: str = ""
