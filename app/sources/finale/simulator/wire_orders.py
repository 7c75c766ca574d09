"""How the simulated account's orders and shipments look on Finale's wire."""

from decimal import Decimal
from typing import Any

from app.sources.finale.simulator.cells import Columns, money, plain, stamp
from app.sources.finale.simulator.records import ON_ITS_WAY, Order, Shipment
from app.sources.finale.simulator.world import World


def orders(world: World) -> Columns:
    """Purchases and sales; a draft may not know its place yet."""
    base = world.base

    def url(order: Order, action: str = "") -> str:
        return f"{base}/order/{order.id}{action}"

    def place(order: Order) -> str | None:
        return f"{base}/facility/{order.facility_id}" if order.facility_id else None

    def when(order: Order, *statuses: str, action: str) -> str | None:
        return url(order, action) if order.status in statuses else None

    return {
        "orderId": lambda o: o.id,
        "orderUrl": url,
        "orderTypeId": lambda o: "PURCHASE_ORDER" if o.is_purchase else "SALES_ORDER",
        "orderHistoryListUrl": lambda o: url(o, "/history/"),
        "actionUrlLock": lambda o: when(o, "ORDER_CREATED", action="/lock"),
        "actionUrlComplete": lambda o: when(o, "ORDER_CREATED", "ORDER_LOCKED", action="/complete"),
        "actionUrlCancel": lambda o: when(o, "ORDER_CREATED", "ORDER_LOCKED", action="/cancel"),
        "actionUrlEdit": lambda o: when(o, "ORDER_LOCKED", "ORDER_COMPLETED", action="/edit"),
        "statusId": lambda o: o.status,
        "orderDate": lambda o: stamp(o.created)[:10] + "T07:00:00",
        "originFacilityUrl": lambda o: None if o.is_purchase else place(o),
        "destinationFacilityUrl": lambda o: place(o) if o.is_purchase else None,
        "orderItemList": lambda o: [_line(world, o, index, base) for index in range(len(o.lines))],
        "orderRoleList": _roles,
        "orderAdjustmentList": lambda o: _adjustments(o, base),
        "shipmentUrlList": lambda o: [f"{base}/shipment/{each.id}" for each in world.shipments_of(o)] or None,
        "invoiceUrlList": lambda o: None,
        "referenceNumber": lambda o: o.reference,
        "saleSourceId": lambda o: o.channel,
        "userFieldDataList": lambda o: [],
        "createdDate": lambda o: stamp(o.created),
        "lastUpdatedDate": lambda o: stamp(o.updated),
    }


def _roles(order: Order) -> list[dict[str, Any]] | None:
    """Without a party the list is empty or null."""
    if order.party_id is None:
        return [] if order.is_open else None
    return [{"roleTypeId": "SUPPLIER" if order.is_purchase else "CUSTOMER", "partyId": order.party_id}]


def _adjustments(order: Order, base: str) -> list[dict[str, Any]] | None:
    """Each has a name, or the URL of its tax or promotion; an empty list may be null."""
    adjustments = [{"amount": money(cents), **_named(name, base)} for name, cents in order.adjustments]
    return adjustments or (None if order.reference else [])


def _named(name: str, base: str) -> dict[str, str]:
    if not name.startswith("/"):
        return {"description": name}
    key = "taxAuthorityRateProductUrl" if "tax" in name else "productPromoUrl"
    return {key: f"{base}{name}"}


def _line(world: World, order: Order, index: int, base: str) -> dict[str, Any]:
    line = order.lines[index]
    tail = world.tail_of(line.number)
    price: dict[str, Any] = {"unitPrice": money(line.unit_minor)}
    cells = {"productUrl": tail and f"{base}/product/{tail}", "quantity": plain(line.quantity), **price}
    if order.is_purchase:
        return cells  # a real purchase names neither the line nor the SKU
    item = f"{base}/order/{order.id}/orderItem/{index + 1:08d}"
    sku = None if line.number is None else world.ever(line.number).sku
    return {"orderItemUrl": item, "productId": sku, "unitListPrice": price["unitPrice"], **cells}


def shipments(world: World) -> Columns:
    """A shipment's label differs from the end of its URL."""
    base = world.base

    def url(shipment: Shipment, action: str = "") -> str:
        return f"{base}/shipment/{shipment.id}{action}"

    def number(shipment: Shipment) -> int:
        order = world.orders[shipment.order_id]
        return world.shipments_of(order).index(shipment) + 1

    return {
        "shipmentUrl": url,
        "shipmentId": lambda s: f"{s.order_id}-{number(s)}",
        "shipmentIdUser": lambda s: f"{s.order_id}-{number(s)}",
        "shipmentTypeId": lambda s: "PURCHASE_SHIPMENT",
        "statusId": lambda s: s.status,
        "primaryOrderUrl": lambda s: f"{base}/order/{s.order_id}",
        "actionUrlReceive": lambda s: url(s, "/receive") if s.status == ON_ITS_WAY else None,
        "receiveDate": lambda s: None if s.received is None else stamp(s.received)[:10] + "T18:00:00",
        "destinationFacilityUrl": lambda s: None,
        "trackingCode": lambda s: None,
        "carrierPartyUrl": lambda s: None,
        "shipmentItemList": lambda s: [_item(world, item, base) for item in s.items],
        "statusIdHistoryList": lambda s: [{"statusId": None, "txStamp": s.created}],
        "userFieldDataList": lambda s: [],
    }


def _item(world: World, item: tuple[int, str, Decimal], base: str) -> dict[str, Any]:
    number, facility, quantity = item
    return {
        "productUrl": f"{base}/product/{world.tail_of(number)}",
        "facilityUrl": f"{base}/facility/{facility}",
        "quantity": plain(quantity),
    }
