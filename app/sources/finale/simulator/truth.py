"""The truth of the simulated account in Tallyhook's words, from its state and not from the wire."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from app.domain.order_lines import MONEY_COLUMNS
from app.sources.finale.simulator.records import Order
from app.sources.finale.simulator.world import World
from app.sources.simulating.answers import decimal_text


def rows(world: World, kind: str) -> list[dict[str, Any]]:
    """All live rows of a kind; raises ``KeyError`` for a kind there is not."""
    return list(KINDS[kind](world))


def _products(world: World) -> Iterator[dict[str, Any]]:
    for product in list(world.products.values()):
        yield {
            "external_id": product.tail,
            "sku": product.sku,
            "name": product.name,
            "active": product.active,
            "category": product.category,
            "category_path": product.category,
            "price_minor": product.price_minor,
            "cost_minor": product.cost_minor,
            "currency": "USD",
            "barcode": product.barcode,
            "supplier_id": product.supplier_id,
            "lead_time_days": product.lead_time_days,
        }


def _stock(world: World) -> Iterator[dict[str, Any]]:
    sums: dict[tuple[str, str, str], Decimal] = {}
    for place, amount in list(world.stock.items()):
        key = (world.ever(place.number).tail, place.facility_id, world.state_of(place))
        sums[key] = sums.get(key, Decimal(0)) + amount
    for (listing, location, state), amount in sums.items():
        if amount:
            yield {"listing_id": listing, "location_id": location, "state": state, "quantity": decimal_text(amount)}


def _orders(world: World) -> Iterator[dict[str, Any]]:
    for order in list(world.orders.values()):
        yield {
            "external_id": order.id,
            "type": "purchase" if order.is_purchase else "sale",
            "status": order.status.removeprefix("ORDER_").lower(),
            "location_id": order.facility_id,
            "party_id": order.party_id,
            "channel": order.channel,
            "ordered_on": datetime.fromtimestamp(order.created, UTC).date().isoformat(),
            **_money(order),
            "lines": list(_lines(world, order)),
        }


def _money(order: Order) -> dict[str, int | None]:
    """The money columns in cents; all ``None`` for an order without any price."""
    total, added = _total(order), list(_added(order))
    if total is None:
        return dict.fromkeys(MONEY_COLUMNS)
    sums = [sum(cents for kind, cents in added if kind == wanted) for wanted in ("discount", "tax", "service")]
    discount, tax, service = sums
    return dict(zip(MONEY_COLUMNS, (total - sum(sums), -discount, tax, service, None, total, total), strict=True))


def _total(order: Order) -> int | None:
    added = [cents for _, cents in _added(order)]
    if not added and all(line.unit_minor is None for line in order.lines):
        return None
    return round(sum((line.exact for line in order.lines), Decimal(0)) + sum(added))


def _added(order: Order) -> Iterator[tuple[str, int]]:
    """Kind and cents of each adjustment that has an amount."""
    for name, cents in order.adjustments:
        if cents is not None:
            yield "tax" if "tax" in name else "discount" if cents < 0 else "service", cents


def _lines(world: World, order: Order) -> Iterator[list[Any]]:
    """Kind, listing, quantity, unit price and total; the difference of the rounded lines to the total is a line too."""
    kind = "bought" if order.is_purchase else "sold"
    left = _total(order) or 0
    for line in order.lines:
        total, price = None, None
        if line.unit_minor is not None:
            total, price = round(line.exact), decimal_text(line.unit_minor / 100)
            left -= total
        yield [kind, world.tail_of(line.number), decimal_text(line.quantity), price, total]
    for kind, cents in _added(order):
        left -= cents
        yield [kind, None, None, None, cents]
    if left:
        yield ["rounding", None, None, None, left]


def _locations(world: World) -> Iterator[dict[str, Any]]:
    for facility in list(world.facilities.values()):
        yield {"external_id": facility.id, "parent_id": facility.parent_id, "name": facility.name}


def _vendors(world: World) -> Iterator[dict[str, Any]]:
    for party in world.suppliers():
        yield {"external_id": party.id, "name": party.name}


KINDS: Mapping[str, Callable[[World], Iterator[dict[str, Any]]]] = {
    "product": _products,
    "stock": _stock,
    "order": _orders,
    "location": _locations,
    "vendor": _vendors,
}
