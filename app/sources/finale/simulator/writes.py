"""What POST does: create, merge and act, as Finale does it (reference/resource-patterns)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from app.sources.finale.simulator.opening import claim_stock, new_product, place_order
from app.sources.finale.simulator.records import Line, Order, Product
from app.sources.finale.simulator.settings import Options
from app.sources.finale.simulator.shop_life import advance
from app.sources.finale.simulator.world import World

_KNOWN = {
    "internalName": "name",
    "longDescription": "description",
    "category": "category",
    "universalProductCode": "barcode",
}
_ACTIONS = {
    "lock": (("ORDER_CREATED",), "ORDER_LOCKED"),
    "complete": (("ORDER_CREATED", "ORDER_LOCKED"), "ORDER_COMPLETED"),
    "cancel": (("ORDER_CREATED", "ORDER_LOCKED"), "ORDER_CANCELLED"),
    "edit": (("ORDER_LOCKED", "ORDER_COMPLETED"), "ORDER_CREATED"),
}


class IllegalAction(Exception):
    """An action that the record's state does not allow; answered 403."""


def create_product(world: World, options: Options, body: dict[str, Any]) -> Product:
    """A new product with what the body says."""
    product = new_product(world, options)
    if body.get("productId"):
        product = msgspec.structs.replace(product, sku=str(body["productId"]))
    return update_product(world, product, body)


def update_product(world: World, product: Product, body: dict[str, Any]) -> Product:
    """A partial merge: fields not sent stay, lists that are sent replace."""
    known = {_KNOWN[name]: value for name, value in body.items() if name in _KNOWN}
    if "cost" in body:
        known["cost_minor"] = _cents(body["cost"])
    raw = {name: value for name, value in body.items() if name not in (*_KNOWN, "cost", "productId", "productUrl")}
    if "priceList" in raw:
        listed = [entry for entry in raw["priceList"] if entry.get("productPriceTypeId") == "LIST_PRICE"]
        known["price_minor"] = _cents(listed[0].get("price")) if listed else None
    world.edit(product, raw={**product.raw, **raw}, **known)
    return world.products[product.number]


def act_on_product(world: World, product: Product, action: str) -> Product:
    """Activate or deactivate; raises ``IllegalAction`` when it is so already."""
    if action not in ("activate", "deactivate") or product.active == (action == "activate"):
        raise IllegalAction(f"{action} is not possible for {product.sku}")
    world.edit(product, active=action == "activate")
    return world.products[product.number]


def create_order(world: World, body: dict[str, Any]) -> Order:
    """A new order; a line with an unknown productUrl is accepted without a product, as in the original."""
    lines = [_line(world, entry) for entry in body.get("orderItemList") or []]
    is_purchase = body.get("orderTypeId") == "PURCHASE_ORDER"
    known = tuple(line for line in lines if line is not None)
    return place_order(world, is_purchase=is_purchase, status="ORDER_CREATED", at=world.now(), lines=known)


def act_on_order(world: World, order: Order, action: str) -> Order:
    """Lock, complete, cancel or edit; raises ``IllegalAction`` when the order's state does not allow it."""
    allowed, status = _ACTIONS.get(action, ((), ""))
    if order.status not in allowed:
        raise IllegalAction(f"{action} is not possible for an order that is {order.status}")
    if order.is_open:
        claim_stock(world, order, -1)
    changed = advance(world, order, status)
    if changed.is_open:
        claim_stock(world, changed)
    return changed


def _line(world: World, entry: dict[str, Any]) -> Line | None:
    product = world.product_at(str(entry.get("productUrl", "")).rpartition("/")[2])
    if product is None:
        return None
    return Line(
        product.number, Decimal(str(entry.get("quantity", 1))), Decimal(str(entry.get("unitPrice") or 0)) * 100
    )


def _cents(amount: Any) -> int | None:
    return None if amount is None else round(Decimal(str(amount)) * 100)
