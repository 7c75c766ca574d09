"""The records of a simulated account, as frozen values: a change replaces one, so a snapshot stays true."""

from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

ACTIVE_PRODUCT = "PRODUCT_ACTIVE"
ON_ITS_WAY, DELIVERED, CALLED_OFF = "SHIPMENT_INPUT", "SHIPMENT_DELIVERED", "SHIPMENT_CANCELLED"


class Product(msgspec.Struct, frozen=True):
    """A product. ``tail`` ends its URL; for a third of the products it is not the SKU. Money is in cents, times in
    epoch seconds.

    ``raw`` has the fields that a POST set and the shop itself does not use, by wire name.
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

    @property
    def exact_price(self) -> Decimal | None:
        """The price in cents; for some products with a fraction of a cent."""
        if self.price_minor is None:
            return None
        return self.price_minor + (Decimal("0.4") if self.number % 29 == 0 else Decimal(0))


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
    """One line of an order; ``unit_minor`` is in cents with fractions, unset where there is no price.

    ``number`` is unset for a line with an unknown product, which Finale accepts.
    """

    number: int | None
    quantity: Decimal
    unit_minor: Decimal | None

    @property
    def exact(self) -> Decimal:
        """The exact total in cents."""
        return self.quantity * (self.unit_minor or Decimal(0))


class Order(msgspec.Struct, frozen=True):
    """A purchase (``facility_id`` is its destination) or a sale (its origin; drafts may have none yet).

    ``has_arrived`` says that its goods were delivered, which by itself does not change the status of a purchase.
    """

    id: str
    is_purchase: bool
    status: str
    facility_id: str | None
    party_id: str | None
    lines: tuple[Line, ...]
    created: int
    updated: int
    adjustments: tuple[tuple[str, int | None], ...] = ()
    """The name of each adjustment, or the path of its tax or promotion, and its cents."""
    reference: str | None = None
    channel: str | None = None
    has_arrived: bool = False

    @property
    def is_open(self) -> bool:
        """Whether its goods have yet to come or go."""
        return self.status == "ORDER_LOCKED" and not self.has_arrived


class Shipment(msgspec.Struct, frozen=True):
    """The goods of a purchase on their way, each line for a shelf. Times in epoch seconds."""

    id: str
    order_id: str
    items: tuple[tuple[int, str, Decimal], ...]
    """Product number, facility and quantity."""
    status: str
    created: int
    received: int | None = None


class Place(NamedTuple):
    """The key of a stock row; ``order_id`` decides between on hand, on order and reserved."""

    number: int
    facility_id: str
    lot: str = ""
    packing: str = ""
    order_id: str = ""


class Done(msgspec.Struct, frozen=True):
    """One change: kind and external id in Tallyhook's words, and the SKU for the bridge."""

    kind: str
    external_id: str
    what: str
    sku: str = ""
