"""What POST does: create, merge and act, as Finale does it (reference/resource-patterns). What the account would not keep
is refused, never dropped."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from app.sources.finale.simulator import shipping, wire
from app.sources.finale.simulator.opening import claim_stock, new_product
from app.sources.finale.simulator.records import Done, Line, Order, Product, Shipment
from app.sources.finale.simulator.shop_life import advance
from app.sources.finale.simulator.strict import BadRequest, Illegal, number_of, objects_of, only_fields, text_of
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

_TYPES = ("PURCHASE_ORDER", "SALES_ORDER")
_PLACES = ("originFacilityUrl", "destinationFacilityUrl")
_FIELDS = (
    "orderId",
    "orderTypeId",
    *_PLACES,
    "orderItemList",
    "orderRoleList",
    "orderAdjustmentList",
    "referenceNumber",
    "saleSourceId",
)
_LONGEST_ID, _LONGEST_REFERENCE = 20, 60
_ADDED = {"taxAuthorityRateProductUrl": "/taxauthorityrateproduct/", "productPromoUrl": "/productpromo/"}


def create_product(world: World, body: dict[str, Any]) -> Product:
    """A new product with what the body says; raises ``BadRequest`` as an update does."""
    changes = {name: value for name, value in body.items() if name != "productId"}
    for name, value in changes.items():
        _check(name, value)
    product = new_product(world)
    if sku := body.get("productId"):
        product = msgspec.structs.replace(product, sku=str(sku))
    return _merged(world, product, changes)


def update_product(world: World, product: Product, body: dict[str, Any]) -> Product:
    """A partial merge: fields not sent stay, lists that are sent replace; what is sent as it is changes nothing.

    Raises ``BadRequest`` for a field that there is not, cannot be set here, or of another type.
    """
    held = wire.document(product, wire.COLUMNS["product"](world))
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


def create_order(world: World, body: Mapping[str, Any]) -> Order:
    """A draft; a line with an unknown ``productUrl`` is taken without a product, as in the original.

    Raises ``BadRequest`` for a field that there is not, or a value that cannot be kept.
    """
    only_fields("An order", body, _FIELDS)
    if body.get("orderTypeId") not in _TYPES:
        raise BadRequest(f"orderTypeId must be one of {', '.join(_TYPES)}")
    is_purchase = body["orderTypeId"] == "PURCHASE_ORDER"
    place = _place(world, body, is_purchase)
    order = Order(
        id=_own_id(world, body) or world.new_order_id(is_purchase=is_purchase),
        is_purchase=is_purchase,
        status="ORDER_CREATED",
        facility_id=place,
        party_id=_party(world, body, is_purchase),
        lines=tuple(_line(world, entry) for entry in objects_of(body, "orderItemList")),
        created=world.now(),
        updated=world.now(),
        adjustments=tuple(_adjustment(entry) for entry in objects_of(body, "orderAdjustmentList")),
        reference=text_of(body, "referenceNumber", _LONGEST_REFERENCE),
        channel=text_of(body, "saleSourceId"),
    )
    return world.put_order(order)


def _own_id(world: World, body: Mapping[str, Any]) -> str | None:
    """A client may choose the id."""
    id_ = text_of(body, "orderId", _LONGEST_ID)
    if id_ is not None and (not id_.isascii() or id_ in world.orders):
        raise BadRequest(f"orderId {id_!r} is taken, or not ASCII")
    return id_


def _place(world: World, body: Mapping[str, Any], is_purchase: bool) -> str | None:
    """A purchase needs one; neither may be a sublocation."""
    unused, used = _PLACES if is_purchase else _PLACES[::-1]
    if body.get(unused) is not None:
        raise BadRequest(f"{unused} is not of this type of order")
    url = text_of(body, used)
    if url is None:
        if is_purchase:
            raise BadRequest(f"{used} is missing")
        return None
    id_ = url.rpartition("/")[2]
    if id_ not in [store.id for store in world.stores()]:
        raise BadRequest(f"{used} must be a facility that is not a sublocation, not {url!r}")
    return id_


def _party(world: World, body: Mapping[str, Any], is_purchase: bool) -> str | None:
    wanted, party_id = "SUPPLIER" if is_purchase else "CUSTOMER", None
    for role in objects_of(body, "orderRoleList"):
        only_fields("A role", role, ("roleTypeId", "partyId"))
        if role.get("roleTypeId") != wanted or role.get("partyId") not in world.parties:
            raise BadRequest(f"orderRoleList has {role}, expected a {wanted} that there is")
        party_id = str(role["partyId"])
    return party_id


def _line(world: World, entry: Mapping[str, Any]) -> Line:
    only_fields("An order item", entry, ("productUrl", "quantity", "unitPrice"))
    product = world.product_at((text_of(entry, "productUrl") or "").rpartition("/")[2])
    quantity, price = number_of("quantity", entry.get("quantity")), number_of("unitPrice", entry.get("unitPrice"))
    if quantity is None:
        raise BadRequest("quantity is missing")
    return Line(product.number if product else None, quantity, None if price is None else price * 100)


def _adjustment(entry: Mapping[str, Any]) -> tuple[str, int | None]:
    only_fields("An adjustment", entry, ("amount", "description", *_ADDED))
    name = text_of(entry, "description") or next(
        (path + str(entry[key]).rpartition("/")[2] for key, path in _ADDED.items() if entry.get(key)), "Adjustment"
    )
    amount = number_of("amount", entry.get("amount"))
    return name, None if amount is None else round(amount * Decimal(100))
