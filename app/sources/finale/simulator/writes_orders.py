"""Makes an order of what was POSTed; what would not be kept is refused."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from app.sources.finale.simulator.records import Line, Order
from app.sources.finale.simulator.strict import BadRequest, number_of, objects_of, only_fields, text_of
from app.sources.finale.simulator.world import World

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
        raise BadRequest(f"{used} must be a facility that is no sublocation, not {url!r}")
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
