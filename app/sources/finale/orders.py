"""Turns decoded Finale orders into ours; a list row may lack the lines, a single record has them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from app.domain import Change, Kind, Order, micros, to_json
from app.domain.order_lines import DISCOUNT, SERVICE, TAX, OrderLine
from app.errors import Unmappable
from app.sources.finale.columnar import Band
from app.sources.finale.mapping import Terms, id_of
from app.sources.finale.order_lines import LINES, PURCHASE_RETURN, RETURNS, adjustment, amount, item, rounding
from app.sources.finale.wire import MODIFIED, entries, minor, modified_at, number, tail, text
from app.sources.shapes import shown
from app.sources.values import moment

_TYPES = {"RETURN": "return", "TRANSFER": "transfer", "PURCHASE": "purchase", "SALE": "sale"}
_SUPPLIERS = ("PURCHASE", "VENDOR", "SUPPLIER")
_MAPPED = frozenset(("orderUrl", "orderId", LINES, "saleSourceId", "lastUpdatedDate"))


def orders(band: Band, terms: Terms, began: datetime) -> list[Order]:
    """The orders of a band of complete records."""
    extras = band.leftovers(_MAPPED, {})
    return [_order(row, extra, terms, began) for row, extra in zip(band.records(), extras, strict=True)]


def headers(band: Band) -> list[Change]:
    """The orders of a band without lines, as changes that each need a fetch."""
    urls = band.column("orderUrl", str | None)
    stamps = (moment(at, MODIFIED) for at in band.column(MODIFIED, str | None))
    return [
        Change(Kind.ORDER, id_of(url, "orderUrl"), micros(modified) if modified else 0)
        for url, modified in zip(urls, stamps, strict=True)
    ]


def days(band: Band) -> list[tuple[str, date | None]]:
    """Each order's id and business date, the date part as it stands (what ``ordered_on`` is)."""
    urls = band.column("orderUrl", str | None)
    dates = band.column("orderDate", str | None)
    return [(id_of(url, "orderUrl"), _day(at)) for url, at in zip(urls, dates, strict=True)]


def _day(at: str | None) -> date | None:
    if not at:
        return None
    try:
        return date.fromisoformat(at[:10])
    except ValueError as error:
        raise Unmappable(f"orderDate is {shown(at)}, expected a day like 2026-04-01T07:00:00") from error


def _order(row: Mapping[str, Any], extra: str | None, terms: Terms, began: datetime) -> Order:
    modified = modified_at(row)
    type_ = _type(text(row, "orderTypeId"))
    money = _money(row, type_, terms.currency)
    ordered_on = _day(text(row, "orderDate"))
    return Order(
        external_id=id_of(row.get("orderUrl"), "orderUrl"),
        number=text(row, "orderId"),
        type=type_,
        status=_status(text(row, "statusId")),
        location_id=_place(row, type_),
        party_id=_party(row, type_),
        channel=text(row, "saleSourceId"),
        ordered_on=ordered_on.isoformat() if ordered_on else None,
        subtotal_minor=money.subtotal,
        discount_minor=money.discount,
        tax_minor=money.tax,
        service_charge_minor=money.charge,
        total_minor=money.total,
        net_minor=money.total,
        currency=terms.currency,
        lines=to_json(money.lines),
        extra=extra,
        version=micros(modified or began),
        modified_at=modified,
    )


class _Money(NamedTuple):
    """Minor units, and the lines that add up to the total."""

    lines: list[OrderLine]
    subtotal: int | None = None
    discount: int | None = None
    tax: int | None = None
    charge: int | None = None
    total: int | None = None


def _money(row: Mapping[str, Any], type_: str, currency: str) -> _Money:
    """Finale sends no total: it is the exact sum of lines and adjustments, rounded once. The total of a return is
    negative."""
    items = [line for line in entries(row, LINES) if line is not None]
    adjustments = [each for each in entries(row, "orderAdjustmentList") if isinstance(each, dict)]
    exact = _total(items, adjustments)
    sign = -1 if type_ in RETURNS and _is_sent_positive(items, exact) else 1
    total = minor(None if exact is None else sign * exact, currency, "the total")
    lines = [item(line, index, type_, sign, currency) for index, line in enumerate(items)]
    added = [line for each in adjustments if (line := adjustment(each, sign, currency))]
    lines = [*lines, *added]
    if total is None:
        return _Money(lines)
    lines += rounding(total, lines, currency)
    discount, tax, charge = (_sum(added, kind) for kind in (DISCOUNT, TAX, SERVICE))
    return _Money(lines, total - discount - tax - charge, -discount, tax, charge, total)


def _is_sent_positive(items: Sequence[Any], exact: Decimal | None) -> bool:
    """Whether the quantities of a return are positive, or its money where it has no quantities."""
    counts = [number(line.get("quantity"), "quantity") for line in items]
    total = sum((count for count in counts if count is not None), Decimal(0)) or exact
    return total is None or total > 0


def _sum(lines: Sequence[OrderLine], kind: str) -> int:
    return sum(line.total_minor or 0 for line in lines if line.kind == kind)


def _type(type_id: str | None) -> str:
    """The type of order. ``RETURN`` wins because a return also names the kind of order that it returns; a return to a
    supplier is not a return of a sale."""
    name = (type_id or "").upper()
    if "RETURN" in name and any(word in name for word in _SUPPLIERS):
        return PURCHASE_RETURN
    types = (type_ for word, type_ in _TYPES.items() if word in name)
    return next(types, name.removesuffix("_ORDER").lower() or "sale")


def _status(status_id: str | None) -> str | None:
    """``ORDER_LOCKED`` -> ``locked``."""
    return status_id.removeprefix("ORDER_").lower() if status_id else None


def _place(row: Mapping[str, Any], type_: str) -> str | None:
    """Our location of the goods: purchases and transfers arrive, sales leave; both URLs stay in ``extra``."""
    arriving, leaving = text(row, "destinationFacilityUrl"), text(row, "originFacilityUrl")
    first, second = (arriving, leaving) if type_ in ("purchase", "transfer") else (leaving, arriving)
    return tail(first) or tail(second)


def _party(row: Mapping[str, Any], type_: str) -> str | None:
    """The supplier of a purchase or of a return to a supplier, else the customer."""
    wanted = "SUPPLIER" if type_ in ("purchase", PURCHASE_RETURN) else "CUSTOMER"
    roles = [role for role in entries(row, "orderRoleList") if isinstance(role, dict) and role.get("partyId")]
    match = next((role for role in roles if role.get("roleTypeId") == wanted), None)
    return str(match["partyId"]) if match else None


def _total(items: Sequence[Any], adjustments: Sequence[Mapping[str, Any]]) -> Decimal | None:
    """The sum of the lines that have an amount; ``None`` if none has."""
    amounts = [amount(line, f"{LINES}[{index}]") for index, line in enumerate(items)]
    amounts += [number(each.get("amount"), "an adjustment's amount") for each in adjustments]
    known = [each for each in amounts if each is not None]
    return sum(known, Decimal(0)) if known else None
