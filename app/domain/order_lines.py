"""The lines of an order; their totals add up to the order's total."""

from typing import Any

import msgspec

SOLD = "sold"
RETURNED = "returned"
BOUGHT = "bought"
MOVED = "moved"
OTHER = "other"
MODIFIER = "modifier"
SERVICE = "service"
TAX = "tax"
DISCOUNT = "discount"
TIP = "tip"
ROUNDING = "rounding"
REFUND = "refund"

MONEY_COLUMNS = (
    "subtotal_minor",
    "discount_minor",
    "tax_minor",
    "service_charge_minor",
    "tip_minor",
    "total_minor",
    "net_minor",
)
"""An order's amounts, in minor units."""


class OrderLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. Quantities and amounts that are returned or deducted are negative.

    ``kind`` is one of the words above (``other`` for an order of an unknown type). ``quantity`` and ``unit_price`` are
    exact decimals as text, the price in units of the currency before discount and tax. ``total_minor`` is in minor units,
    less discount, plus tax; the sum over all lines is the order's total. A modifier is ``part_of`` a line: that line's
    total has the modifier's share of discount and tax, but not its price.
    """

    line_id: str | None = None
    kind: str = ""
    listing_id: str | None = None
    sku: str | None = None
    name: str | None = None
    quantity: str | None = None
    unit_price: str | None = None
    discount_minor: int | None = None
    tax_minor: int | None = None
    total_minor: int | None = None
    currency: str | None = None
    part_of: str | None = None
    extra: dict[str, Any] | None = None
