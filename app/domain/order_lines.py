"""What an order is made of: lines whose totals add up to the order's total."""

from __future__ import annotations

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
"""What an order comes to, in minor units."""


class OrderLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. What comes back or is taken off is negative: quantity, discount, tax and total alike.

    ``kind`` is one of the words above (``other``: of an order whose type we have no word for). ``quantity`` and
    ``unit_price`` are exact decimals as text, the price in units of the currency before discount and tax.
    ``total_minor`` is in minor units, discount off and tax on; the sum over all lines is the order's total. A modifier
    is ``part_of`` a line and its price is not in that line's total, its share of discount and tax is.
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
