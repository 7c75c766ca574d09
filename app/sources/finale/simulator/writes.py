"""What POST does: create, merge and act, as Finale does it (reference/resource-patterns). What the account would not keep
is refused, never dropped."""

from collections.abc import Mapping
from typing import Any

import msgspec

from app.sources.finale.simulator import shipping, wire
from app.sources.finale.simulator.opening import claim_stock, new_product
from app.sources.finale.simulator.records import Done, Order, Product, Shipment
from app.sources.finale.simulator.settings import Options
from app.sources.finale.simulator.shop_life import advance
from app.sources.finale.simulator.strict import BadRequest, Illegal, number_of, objects_of, text_of
from app.sources.finale.simulator.world import World

ORDER_ACTIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "lock": (("ORDER_CREATED",), "ORDER_LOCKED"),
    "complete": (("ORDER_CREATED", "ORDER_LOCKED"), "ORDER_COMPLETED"),
    "cancel": (("ORDER_CREATED", "ORDER_LOCKED"), "ORDER_CANCELLED"),
    "edit": (("ORDER_LOCKED", "ORDER_COMPLETED"), "ORDER_CREATED"),
}
"""The statuses before and after each action."""

_KNOWN = {
    "internalName": "name",
    "longDescription": "description",
    "category": "category",
    "universalProductCode": "barcode",
}
_KEPT = (
    "manufacturer",
    "normalizedPackingString",
    "weightUomId",
    "distanceUomId",
    "productStoreList",
    "reorderGuidelineList",
    "glAccountList",
    "contentList",
    "userFieldDataList",
    "productAssocList",
)
"""Fields that are shown as they were sent."""


def create_product(world: World, options: Options, body: dict[str, Any]) -> Product:
    """A new product with what the body says; raises ``BadRequest`` as an update does."""
    changes = {name: value for name, value in body.items() if name != "productId"}
    for name, value in changes.items():
        _check(name, value)
    product = new_product(world, options)
    if sku := body.get("productId"):
        product = msgspec.structs.replace(product, sku=str(sku))
    return _merged(world, product, changes)


def update_product(world: World, options: Options, product: Product, body: dict[str, Any]) -> Product:
    """A partial merge: fields not sent stay, lists that are sent replace; what is sent as it is changes nothing.

    Raises ``BadRequest`` for a field that there is not, cannot be set here, or of another type.
    """
    held = wire.document(product, wire.columns("product", world, options))
    changed = {name: value for name, value in body.items() if name not in held or value != held[name]}
    for name, value in changed.items():
        _check(name, value)
    return _merged(world, product, changed)


def _check(name: str, value: Any) -> None:
    if name not in (*_KNOWN, *_KEPT, "cost", "priceList"):
        raise BadRequest(f"A product has no {name} that can be set")
    if name == "cost":
        number_of(name, value)
    elif name.endswith("List"):
        objects_of({name: value}, name)
    else:
        text_of({name: value}, name)


def _merged(world: World, product: Product, changes: Mapping[str, Any]) -> Product:
    known = {_KNOWN[name]: value for name, value in changes.items() if name in _KNOWN}
    if "cost" in changes:
        known["cost_minor"] = _cents(changes["cost"])
    if "priceList" in changes:
        listed = (entry for entry in changes["priceList"] or () if entry.get("productPriceTypeId") == "LIST_PRICE")
        known["price_minor"] = _cents(next((entry.get("price") for entry in listed), None))
    raw = {name: value for name, value in changes.items() if name in (*_KEPT, "priceList")}
    world.edit(product, raw={**product.raw, **raw}, **known)
    return world.products[product.number]


def act_on_product(world: World, product: Product, action: str) -> Product:
    """Activate or deactivate; raises ``Illegal`` when it is so already."""
    if product.active == (action == "activate"):
        raise Illegal(f"{action} is not possible for {product.sku}")
    world.edit(product, active=action == "activate")
    return world.products[product.number]


def act_on_order(world: World, order: Order, action: str) -> Order:
    """Lock, complete, cancel or edit; raises ``Illegal`` when the order's state does not allow it."""
    allowed, status = ORDER_ACTIONS[action]
    if order.status not in allowed:
        raise Illegal(f"{action} is not possible for an order that is {order.status}")
    if action == "lock" and order.facility_id is None:
        raise Illegal("lock is not possible for an order without a facility")
    claim_stock(world, order, -1)
    if action == "cancel":
        shipping.call_off(world, order)
    changed = advance(world, order, status)
    claim_stock(world, changed)
    return changed


def receive(world: World, shipment: Shipment) -> list[Done]:
    """The goods of a shipment arrive; raises ``Illegal`` when it is not on its way."""
    done = shipping.receive_one(world, shipment)
    if not done:
        raise Illegal(f"receive is not possible for a shipment that is {shipment.status}")
    return done


def _cents(amount: Any) -> int | None:
    price = number_of("price", amount)
    return None if price is None else round(price * 100)
