"""Turns decoded Finale orders into ours; a list row may lack the lines, a single record has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from app.domain import Change, Kind, Order, micros, to_json
from app.errors import Unmappable
from app.sources.finale.columnar import Band
from app.sources.finale.mapping import Terms, id_of
from app.sources.finale.wire import amount_of, entries, minor, moment, number, tail, text
from app.sources.shapes import shown

LINES = "orderItemList"
_TYPES = {"PURCHASE": "purchase", "SALES": "sale", "TRANSFER": "transfer", "RETURN": "return"}
_MAPPED = frozenset(("orderUrl", "orderId", LINES, "lastUpdatedDate"))
_LINE_MAPPED = frozenset(("orderItemUrl", "productUrl", "productId", "quantity", "unitPrice"))


def orders(band: Band, terms: Terms, began: datetime) -> list[Order]:
    """The orders of a band of complete records."""
    extras = band.leftovers(_MAPPED, {})
    return [_order(row, extra, terms, began) for row, extra in zip(band.records(), extras, strict=True)]


def headers(band: Band) -> list[Change]:
    """The orders of a band without lines, as changes that each need a fetch."""
    urls = band.column("orderUrl", str | None)
    stamps = (moment(at) for at in band.column("lastUpdatedDate", str | None))
    return [
        Change(Kind.ORDER, id_of(url, "orderUrl"), micros(modified) if modified else 0)
        for url, modified in zip(urls, stamps, strict=True)
    ]


def days(band: Band) -> list[tuple[str, date | None]]:
    """Each order's id and business date, the date part as it stands (what ``ordered_on`` is)."""
    urls = band.column("orderUrl", str | None)
    dates = band.column("orderDate", str | None)
    return [(id_of(url, "orderUrl"), _day(told)) for url, told in zip(urls, dates, strict=True)]


def _day(told: str | None) -> date | None:
    if not told:
        return None
    try:
        return date.fromisoformat(told[:10])
    except ValueError as error:
        raise Unmappable(f"orderDate is {shown(told)}, expected a day like 2026-04-01T07:00:00") from error


def _order(row: Mapping[str, Any], extra: str | None, terms: Terms, began: datetime) -> Order:
    modified = moment(text(row, "lastUpdatedDate"))
    type_ = _type(text(row, "orderTypeId"))
    lines = entries(row, LINES)
    ordered_on = _day(text(row, "orderDate"))
    return Order(
        external_id=id_of(row.get("orderUrl"), "orderUrl"),
        number=text(row, "orderId"),
        type=type_,
        status=_status(text(row, "statusId")),
        location_id=_place(row, type_),
        party_id=_party(row, type_),
        ordered_on=ordered_on.isoformat() if ordered_on else None,
        total_minor=minor(_total(lines, entries(row, "orderAdjustmentList")), terms.currency, "the total"),
        currency=terms.currency,
        lines=to_json([_line(line, f"{LINES}[{index}]", index + 1, terms) for index, line in enumerate(lines)]),
        extra=extra,
        version=micros(modified or began),
        modified_at=modified,
    )


def _type(type_id: str | None) -> str:
    """``RETURN`` wins because a return names the kind of order it returns as well."""
    name = type_id or ""
    found = [word for word in ("RETURN", "TRANSFER", "PURCHASE", "SALES") if word in name]
    return _TYPES[found[0]] if found else name.removesuffix("_ORDER").lower() or "sale"


def _status(status_id: str | None) -> str | None:
    """``ORDER_LOCKED`` -> ``locked``."""
    return status_id.removeprefix("ORDER_").lower() if status_id else None


def _place(row: Mapping[str, Any], type_: str) -> str | None:
    """Where the goods are for us: purchases and transfers arrive, sales leave; both URLs stay in ``extra``."""
    arriving, leaving = text(row, "destinationFacilityUrl"), text(row, "originFacilityUrl")
    first, second = (arriving, leaving) if type_ in ("purchase", "transfer") else (leaving, arriving)
    return tail(first or second)


def _party(row: Mapping[str, Any], type_: str) -> str | None:
    """The supplier of a purchase, the customer of anything else."""
    wanted = "SUPPLIER" if type_ == "purchase" else "CUSTOMER"
    roles = [role for role in entries(row, "orderRoleList") if isinstance(role, dict) and role.get("partyId")]
    match = next((role for role in roles if role.get("roleTypeId") == wanted), None)
    return str(match["partyId"]) if match else None


def _total(lines: list[Any], adjustments: list[Any]) -> Decimal | None:
    """The sum of what has an amount, ``None`` when nothing has."""
    amounts = [_times(line, f"{LINES}[{index}]") for index, line in enumerate(lines)]
    amounts += [
        number(each.get("amount"), "an adjustment's amount") for each in adjustments if isinstance(each, dict)
    ]
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None


def _times(line: Any, at: str) -> Decimal | None:
    if not isinstance(line, dict):
        raise Unmappable(f"{at} is {shown(line)}, expected an object")
    count, price = number(line.get("quantity"), f"{at}.quantity"), number(line.get("unitPrice"), f"{at}.unitPrice")
    return None if count is None or price is None else count * price


def _line(line: Mapping[str, Any], at: str, index: int, terms: Terms) -> dict[str, Any]:
    """One line as ``domain.Order`` describes it, with ``extra`` for what is left when there is something."""
    count = number(line.get("quantity"), f"{at}.quantity")
    rest = {
        key: _plain(value) for key, value in line.items() if key not in _LINE_MAPPED and value not in (None, "", [])
    }
    told = {
        "line_id": tail(text(line, "orderItemUrl")) or str(index),
        "listing_id": tail(text(line, "productUrl")),
        "sku": text(line, "productId"),
        "name": None,
        "quantity": None if count is None else str(amount_of(count, f"{at}.quantity")),
        "unit_minor": minor(number(line.get("unitPrice"), f"{at}.unitPrice"), terms.currency, f"{at}.unitPrice"),
        "currency": terms.currency,
    }
    return {**told, "extra": rest} if rest else told


def _plain(value: Any) -> Any:
    """A number stays a number in JSON text."""
    return float(value) if isinstance(value, Decimal) else value
