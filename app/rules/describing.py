"""A record of any kind as one short line for people."""

from decimal import Decimal

from app.domain import Category, Listing, Location, Order, Record, StockCount, Vendor
from app.domain.money import exponent


def line_of(record: Record) -> str:
    """A listing's SKU, name and price; a count and its place; an order's day, type, total and number; and so on."""
    match record:
        case Listing():
            return _joined(
                record.sku or record.external_id, record.name, money_text(record.price_minor, record.currency)
            )
        case StockCount():
            count = f"{record.quantity.normalize():f} {record.state.replace('_', ' ')}"
            return _joined(record.listing_id, count, f"at {record.location_id}")
        case Order():
            total = money_text(record.total_minor, record.currency)
            return _joined(record.ordered_on, record.type, total, record.number or record.external_id)
        case Location():
            return _joined(record.name, record.external_id, record.timezone, None if record.active else "closed")
        case Vendor():
            return _joined(record.name or record.external_id, record.email, None if record.active else "inactive")
        case Category():
            return record.name or record.external_id


def money_text(minor: int | None, currency: str | None) -> str | None:
    """An amount of minor units for people: ``16.50 EUR``; ``None`` for none."""
    if minor is None:
        return None
    digits = exponent(currency)
    return f"{Decimal(minor).scaleb(-digits):.{digits}f} {currency or ''}".rstrip()


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)
