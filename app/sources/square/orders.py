"""Square's orders as our records; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from app.domain import Order, to_json
from app.sources.square.counts import amount
from app.sources.square.mapping import Id, Json, Money, full_name, rest, typed
from app.sources.square.times import last_change, moment, version_of

SETTLING = timedelta(minutes=2)
"""How long after its creation an order may still come without its line items."""


class Line(msgspec.Struct):
    """A line item, or a returned one; ``catalog_object_id`` is the variation."""

    uid: str | None = None
    name: str | None = None
    variation_name: str | None = None
    quantity: str | int | float | None = None
    catalog_object_id: str | None = None
    base_price_money: Money | None = None


class Return(msgspec.Struct):
    """What was brought back, in an order of its own."""

    return_line_items: list[Any] | None = None


class OrderData(msgspec.Struct):
    """The fields of an order that we map. Point-of-sale orders have no ``version``."""

    id: Id
    location_id: str | None = None
    reference_id: str | None = None
    customer_id: str | None = None
    state: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    line_items: list[Any] | None = None
    returns: list[Return] | None = None
    total_money: Money | None = None


_ORDER = frozenset({"id", "location_id", "reference_id", "customer_id", "state", "updated_at", "total_money"})
_LINE = frozenset({"uid", "name", "quantity", "catalog_object_id", "base_price_money"})


def order(data: Json, zones: Mapping[str, str]) -> Order:
    """An order; ``zones`` gives each location's time zone, in which its business date is told (UTC if unknown).

    A return is an order of its own at Square: without line items of its own its returned lines are shown.
    """
    wire = typed(data, OrderData)
    returned = [line for part in wire.returns or [] for line in part.return_line_items or []]
    lines = wire.line_items or returned
    named = "line_items" if wire.line_items else "return_line_items"
    total = wire.total_money or Money()
    return Order(
        external_id=wire.id,
        number=wire.reference_id or None,
        type="sale" if wire.line_items or not returned else "return",
        status=wire.state,
        location_id=wire.location_id,
        party_id=wire.customer_id or None,
        ordered_on=_business_date(wire, zones),
        total_minor=total.amount,
        currency=total.currency,
        lines=to_json([_line(line, f"{named}[{index}]") for index, line in enumerate(lines)]),
        extra=to_json(_extra(data, lines)),
        version=version_of(wire.updated_at, wire.created_at),
        modified_at=last_change(wire.updated_at, wire.created_at),
    )


def is_settling(data: Json, now: datetime) -> bool:
    """Whether the order is so young that its missing line items are a lag of Square's, not the truth."""
    wire = typed(data, OrderData)
    created = moment(wire.created_at, "created_at")
    return not wire.line_items and not wire.returns and created is not None and now - created < SETTLING


def _line(data: Any, at: str) -> Json:
    line = typed(data, Line, at)
    price = line.base_price_money or Money()
    return {
        "line_id": line.uid,
        "listing_id": line.catalog_object_id,
        "sku": None,
        "name": full_name(line.name, line.variation_name, alone=True),
        "quantity": None if line.quantity is None else format(amount(line.quantity, f"{at}.quantity"), "f"),
        "unit_minor": price.amount,
        "currency": price.currency,
    }


def _business_date(wire: OrderData, zones: Mapping[str, str]) -> str | None:
    created = moment(wire.created_at, "created_at")
    if created is None:
        return None
    return created.astimezone(zone_of(zones.get(wire.location_id or "", "UTC"))).date().isoformat()


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """A location's time zone; UTC for one that we do not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the name of a folder of zones is no file
        return UTC


def _extra(data: Json, lines: Sequence[Json]) -> Json:
    """Everything unmapped; of the lines only what ``lines`` does not say, beside their ids."""
    extra = rest(data, _ORDER | {"line_items"})
    further = [{"uid": line.get("uid"), **left} for line in lines if (left := rest(line, _LINE))]
    if further and data.get("line_items"):
        extra["line_items"] = further
    return extra
