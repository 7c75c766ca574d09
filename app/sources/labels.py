"""The names of a bulk read's pages, for a person who watches it."""

from collections.abc import Mapping
from datetime import datetime

from app.domain import Kind

_NAMES: Mapping[Kind, str] = {
    Kind.PRODUCT: "Products",
    Kind.STOCK: "Stock",
    Kind.ORDER: "Orders",
    Kind.LOCATION: "Locations",
    Kind.VENDOR: "Vendors",
    Kind.CATEGORY: "Categories",
}


def numbered(kind: Kind, number: int) -> str:
    """``Products page 7``; pages count from 1."""
    return f"{_NAMES[kind]} page {number}"


def of_month(kind: Kind, month: datetime) -> str:
    """``Products updated 2021-03``."""
    return f"{_NAMES[kind]} updated {month:%Y-%m}"
