"""Maps the lines and adjustments of Finale's orders to ours, with exact prices; pure."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from app.domain.money import price_text
from app.domain.order_lines import BOUGHT, DISCOUNT, MOVED, OTHER, RETURNED, ROUNDING, SERVICE, SOLD, TAX, OrderLine
from app.errors import Unmappable
from app.sources.finale.wire import minor, number, tail, text
from app.sources.shapes import shown
from app.sources.values import amount_of

LINES = "orderItemList"

PURCHASE_RETURN = "purchase_return"
RETURNS = ("return", PURCHASE_RETURN)
"""The types of orders whose goods come back, from a customer or from us."""

_KINDS = {"sale": SOLD, "purchase": BOUGHT, "transfer": MOVED, **dict.fromkeys(RETURNS, RETURNED)}
_TAX = re.compile(r"(?<![^\W_])(sales)?tax(es)?(?![^\W\d_])|\b(vat|gst|hst|pst|qst)\b", re.IGNORECASE)
_TAX_FIELDS = "taxauth"  # how the fields begin that only a tax has
_MAPPED = frozenset(("orderItemUrl", "productUrl", "productId", "quantity", "unitPrice"))


def amount(line: Any, at: str) -> Decimal | None:
    """The exact amount of a line; ``None`` where quantity or price is missing."""
    if not isinstance(line, dict):
        raise Unmappable(f"{at} is {shown(line)}, expected an object")
    count, price = number(line.get("quantity"), f"{at}.quantity"), number(line.get("unitPrice"), f"{at}.unitPrice")
    return None if count is None or price is None else count * price


def item(line: Mapping[str, Any], index: int, type_: str, sign: int, currency: str) -> OrderLine:
    """One line; ``sign`` is -1 for goods that come back. Its total is rounded to minor units."""
    at = f"{LINES}[{index}]"
    count, price = number(line.get("quantity"), f"{at}.quantity"), number(line.get("unitPrice"), f"{at}.unitPrice")
    total = amount(line, at)
    minor(price, currency, f"{at}.unitPrice")  # refuses what no column holds
    rest = {key: _plain(value) for key, value in line.items() if key not in _MAPPED and value not in (None, "", [])}
    return OrderLine(
        line_id=tail(text(line, "orderItemUrl")) or str(index + 1),
        kind=_KINDS.get(type_, OTHER),
        listing_id=tail(text(line, "productUrl")),
        sku=text(line, "productId"),
        quantity=None if count is None else format(sign * amount_of(count, f"{at}.quantity"), "f"),
        unit_price=None if price is None else price_text(price),
        total_minor=_signed(minor(total, currency, f"{at}.unitPrice"), sign),
        currency=currency,
        extra=rest or None,
    )


def adjustment(entry: Mapping[str, Any], sign: int, currency: str) -> OrderLine | None:
    """A line for an adjustment: a tax by its name or fields, a discount if it is negative, else a service charge."""
    added = number(entry.get("amount"), "an adjustment's amount")
    if added is None:
        return None
    name = text(entry, "description")
    has_authority = any(key.lower().startswith(_TAX_FIELDS) for key, value in entry.items() if value)
    is_tax = has_authority or _TAX.search(name or "") is not None
    kind = TAX if is_tax else DISCOUNT if added < 0 else SERVICE
    total = minor(added, currency, "an adjustment's amount")
    return OrderLine(kind=kind, name=name, total_minor=_signed(total, sign), currency=currency)


def rounding(total: int | None, lines: Sequence[OrderLine], currency: str) -> list[OrderLine]:
    """A line for the difference between the rounded lines and a total that was rounded once; nothing where there is
    none."""
    off = (total or 0) - sum(line.total_minor or 0 for line in lines)
    return [OrderLine(kind=ROUNDING, total_minor=off, currency=currency)] if off else []


def _signed(amount_minor: int | None, sign: int) -> int | None:
    return None if amount_minor is None else sign * amount_minor


def _plain(value: Any) -> Any:
    """A decimal as a float, so that it is a number in JSON."""
    return float(value) if isinstance(value, Decimal) else value
