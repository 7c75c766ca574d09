"""How the simulated account's records look on Finale's wire: each kind as named columns of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from app.sources.finale.simulator.records import Facility, Order, Party, Place, Product
from app.sources.finale.simulator.settings import Options
from app.sources.finale.simulator.world import World

Columns = Mapping[str, Callable[[Any], Any]]
StockRow = tuple[Place, Decimal]


def columns(collection: str, world: World, options: Options) -> Columns:
    """For each column of a collection how to get its cell from a record."""
    base = f"/{options.account}/api"
    made: Mapping[str, Callable[[], Columns]] = {
        "product": lambda: _product(base),
        "inventoryitem": lambda: _stock(base, world),
        "order": lambda: _order(base, world),
        "facility": lambda: _facility(base),
        "partygroup": lambda: _party(base),
    }
    return made[collection]()


def document(record: Any, shape: Columns) -> dict[str, Any]:
    """A single record: unlike a list it says its nulls."""
    return {name: cell(record) for name, cell in shape.items()}


def _product(base: str) -> Columns:
    shape: dict[str, Callable[[Product], Any]] = {
        "productId": lambda p: p.sku,
        "internalName": lambda p: p.name,
        "longDescription": lambda p: p.description,
        "productTypeId": lambda p: "GOOD",
        "statusId": lambda p: "PRODUCT_ACTIVE" if p.active else "PRODUCT_INACTIVE",
        "productUrl": lambda p: f"{base}/product/{p.tail}",
        "category": lambda p: p.category,
        "userCategory": lambda p: None,
        "cost": lambda p: _money(p.cost_minor),
        "universalProductCode": lambda p: p.barcode,
        "manufacturer": lambda p: f"Maker {p.number % 40}",
        "leadTime": lambda p: None if p.supplier_id else p.lead_time_days,
        "normalizedPackingString": lambda p: "36 cs 36/1" if p.number % 13 == 0 else None,
        "weightUomId": lambda p: "WT_lb",
        "distanceUomId": lambda p: "LEN_ft",
        "actionUrlActivate": lambda p: None if p.active else f"{base}/product/{p.tail}/activate",
        "actionUrlDeactivate": lambda p: f"{base}/product/{p.tail}/deactivate" if p.active else None,
        "priceList": _prices,
        "supplierList": lambda p: _suppliers(p, base),
        "productStoreList": lambda p: [],
        "reorderGuidelineList": lambda p: _guidelines(p, base),
        "glAccountList": lambda p: [],
        "contentList": lambda p: [],
        "userFieldDataList": lambda p: [{"attrName": "user_10001", "attrValue": f"{p.number * 1.1:.4f}"}],
        "productAssocList": lambda p: [],
        "createdDate": lambda p: stamp(p.created),
        "lastUpdatedDate": lambda p: stamp(p.updated),
    }
    return {name: _overridable(name, cell) for name, cell in shape.items()}


def _overridable(name: str, cell: Callable[[Product], Any]) -> Callable[[Product], Any]:
    return lambda product: product.raw[name] if name in product.raw else cell(product)


def _prices(product: Product) -> list[dict[str, Any]]:
    """Some of those without a list price have prices in other lists, and no entry for the list price at all."""
    other = {"productPriceTypeId": "##user2", "currencyUomId": "USD"}
    if product.price_minor is None and product.number % 2:
        web, trade = ({"productPriceTypeId": f"##user{list_}", "currencyUomId": "USD"} for list_ in (5, 6))
        return [other, {**web, "price": 0}, {**trade, "price": _money(product.cost_minor)}]
    listed: dict[str, Any] = {"productPriceTypeId": "LIST_PRICE", "currencyUomId": "USD"}
    if product.price_minor is not None:
        listed["price"] = _money(product.price_minor)
    return [other, listed]


def _suppliers(product: Product, base: str) -> list[dict[str, Any]]:
    """One in seven has a blank entry before those that are suppliers."""
    if product.supplier_id is None:
        return []
    blank: list[dict[str, Any]] = [{}] if product.number % 7 == 0 else []
    main = {
        "supplierPartyUrl": f"{base}/partygroup/{product.supplier_id}",
        "supplierPrefOrderId": "10_MAIN_SUPPL",
        "price": _money(product.cost_minor),
        "supplierProductId": f"S-{product.sku}",
        "leadTime": product.lead_time_days,
    }
    spare = {"supplierPartyUrl": f"{base}/partygroup/10001", "supplierPrefOrderId": "90_BACKUP", "leadTime": 99}
    return [*blank, spare, main] if product.number % 5 == 0 else [*blank, main]


def _guidelines(product: Product, base: str) -> list[dict[str, Any]]:
    if product.number % 3:
        return []
    return [{"facilityUrl": f"{base}/facility/10000", "reorderCalculationMethodId": "##salesVelocity"}]


def _stock(base: str, world: World) -> Columns:
    ids, facilities = dict(world.row_ids), dict(world.facilities)
    products, dropped, buys = dict(world.products), dict(world.dropped), _purchases(world)

    def parent(place: Place) -> str | None:
        above = facilities[place.facility_id].parent_id
        return f"{base}/facility/{above}" if above else None

    def product(place: Place) -> Product:
        return products.get(place.number) or dropped[place.number]

    return {
        "inventoryItemUrl": lambda row: f"{base}/inventoryitem/{ids[row[0]]}",
        "productId": lambda row: product(row[0]).sku,
        "productUrl": lambda row: f"{base}/product/{product(row[0]).tail}",
        "facilityUrl": lambda row: f"{base}/facility/{row[0].facility_id}",
        "parentFacilityUrl": lambda row: parent(row[0]),
        "quantityOnHand": lambda row: 0 if row[0].order_id else plain(row[1]),
        "quantityOnOrder": lambda row: plain(row[1]) if row[0].order_id in buys else 0,
        "quantityReserved": lambda row: plain(row[1]) if row[0].order_id and row[0].order_id not in buys else 0,
        "lotId": lambda row: row[0].lot or None,
        "normalizedPackingString": lambda row: row[0].packing or None,
        "orderUrl": lambda row: f"{base}/order/{row[0].order_id}" if row[0].order_id else None,
    }


def _purchases(world: World) -> set[str]:
    return {order.id for order in world.orders.values() if order.is_purchase}


def _order(base: str, world: World) -> Columns:
    def url(order: Order, action: str = "") -> str:
        return f"{base}/order/{order.id}{action}"

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
        "originFacilityUrl": lambda o: None if o.is_purchase else f"{base}/facility/{o.facility_id}",
        "destinationFacilityUrl": lambda o: f"{base}/facility/{o.facility_id}" if o.is_purchase else None,
        "orderItemList": lambda o: [_line(world, o, index, base) for index in range(len(o.lines))],
        "orderRoleList": lambda o: [
            {"roleTypeId": "SUPPLIER" if o.is_purchase else "CUSTOMER", "partyId": o.party_id}
        ],
        "orderAdjustmentList": lambda o: [
            {"amount": _money(cents), "description": name} for name, cents in o.adjustments
        ],
        "shipmentUrlList": lambda o: [],
        "invoiceUrlList": lambda o: None,
        "referenceNumber": lambda o: None,
        "userFieldDataList": lambda o: [],
        "createdDate": lambda o: stamp(o.created),
        "lastUpdatedDate": lambda o: stamp(o.updated),
    }


def _line(world: World, order: Order, index: int, base: str) -> dict[str, Any]:
    line = order.lines[index]
    product = world.ever(line.number)
    told: dict[str, Any] = {
        "productUrl": f"{base}/product/{product.tail}",
        "quantity": plain(line.quantity),
        "unitPrice": plain(line.unit_minor / 100),
    }
    if order.is_purchase:
        return told  # a real purchase names neither the line nor the SKU
    item = f"{base}/order/{order.id}/orderItem/{index + 1:08d}"
    return {"orderItemUrl": item, "productId": product.sku, "unitListPrice": told["unitPrice"], **told}


def _facility(base: str) -> Columns:
    shape: dict[str, Callable[[Facility], Any]] = {
        "facilityId": lambda f: f.id,
        "facilityUrl": lambda f: f"{base}/facility/{f.id}",
        "facilityName": lambda f: f.name,
        "parentFacilityUrl": lambda f: f"{base}/facility/{f.parent_id}" if f.parent_id else None,
        "statusId": lambda f: "FACILITY_ACTIVE",
    }
    return shape


def _party(base: str) -> Columns:
    shape: dict[str, Callable[[Party], Any]] = {
        "partyId": lambda p: p.id,
        "partyUrl": lambda p: f"{base}/partygroup/{p.id}",
        "groupName": lambda p: p.name,
        "statusId": lambda p: "PARTY_ENABLED",
        "roleTypeIdList": lambda p: list(p.roles),
        "contactMechList": lambda p: (
            [{"contactMechTypeId": "EMAIL_ADDRESS", "infoString": p.email}] if p.email else []
        ),
        "description": lambda p: None,
        "userFieldDataList": lambda p: [],
    }
    return shape


@lru_cache(maxsize=65_536)
def stamp(epoch: int) -> str:
    """A time as Finale writes it: UTC, no zone, no fraction."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def plain(amount: Decimal) -> int | float:
    """A JSON number."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _money(cents: int | None) -> int | float | None:
    return None if cents is None else plain(Decimal(cents) / 100)
