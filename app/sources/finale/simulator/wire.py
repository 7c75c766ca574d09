"""How the simulated account's records look on Finale's wire: each kind as named columns of cells, and its customization."""

from collections.abc import Callable, Mapping
from typing import Any

from app.sources.finale.simulator.cells import Columns, money, plain, stamp
from app.sources.finale.simulator.records import ACTIVE_PRODUCT, Facility, Party, Place, Product
from app.sources.finale.simulator.wire_orders import orders, shipments
from app.sources.finale.simulator.world import World
from app.sources.simulating.merchandise import CATEGORIES

USER_CATEGORIES = {name: f"##user{number:02d}" for number, name in enumerate(CATEGORIES)}
"""The ids of categories in the older spelling, by name."""


def document(record: Any, shape: Columns) -> dict[str, Any]:
    """A single record; unlike a list, it shows its nulls."""
    return {name: cell(record) for name, cell in shape.items()}


def _product(world: World) -> Columns:
    base = world.base
    shape: dict[str, Callable[[Product], Any]] = {
        "productId": lambda p: p.sku,
        "internalName": lambda p: p.name,
        "longDescription": lambda p: p.description,
        "productTypeId": lambda p: "GOOD",
        "statusId": _status,
        "productUrl": lambda p: f"{base}/product/{p.tail}",
        "category": lambda p: None if _user_category(p) else p.category,
        "userCategory": _user_category,
        "categoryEnum": lambda p: None,
        "cost": lambda p: money(p.cost_minor),
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


def _status(product: Product) -> str | None:
    """Some active products have none."""
    if not product.active:
        return "PRODUCT_INACTIVE"
    return None if product.number % 41 == 0 else ACTIVE_PRODUCT


def _user_category(product: Product) -> str | None:
    """The category in the older spelling, which some products have."""
    return USER_CATEGORIES.get(product.category or "") if product.number % 12 == 6 else None


def _prices(product: Product) -> list[dict[str, Any]]:
    """Some of those without a list price have prices in other lists, and no entry for the list price at all. A price that
    is not set has no key, or is null."""
    other: dict[str, Any] = {"productPriceTypeId": "##user2", "currencyUomId": "USD"}
    if product.number % 9 == 0:
        other["price"] = None
    if product.price_minor is None and product.number % 2:
        web, trade = ({"productPriceTypeId": f"##user{list_}", "currencyUomId": "USD"} for list_ in (5, 6))
        return [other, {**web, "price": 0}, {**trade, "price": money(product.cost_minor)}]
    listed: dict[str, Any] = {
        "productPriceTypeId": "LIST_PRICE",
        "currencyUomId": None if product.number % 21 == 0 else "USD",
    }
    if product.price_minor is not None:
        listed["price"] = money(product.exact_price)
    return [other, listed]


def _suppliers(product: Product, base: str) -> list[dict[str, Any]] | None:
    """One in seven has a blank entry before those that are suppliers; a list of none may be null."""
    if product.supplier_id is None:
        return None if product.number % 24 == 0 else []
    nobody: dict[str, Any] = {"supplierPartyUrl": None, "leadTime": None} if product.number % 14 == 0 else {}
    blank = [nobody] if product.number % 7 == 0 else []
    main = {
        "supplierPartyUrl": f"{base}/partygroup/{product.supplier_id}",
        "supplierPrefOrderId": "10_MAIN_SUPPL",
        "price": money(product.cost_minor),
        "supplierProductId": f"S-{product.sku}",
        "leadTime": product.lead_time_days,
    }
    spare = {"supplierPartyUrl": f"{base}/partygroup/10001", "supplierPrefOrderId": "90_BACKUP", "leadTime": 99}
    return [*blank, spare, main] if product.number % 5 == 0 else [*blank, main]


def _guidelines(product: Product, base: str) -> list[dict[str, Any]] | None:
    if product.number % 3:
        return None if product.number % 10 == 5 else []
    return [{"facilityUrl": f"{base}/facility/10000", "reorderCalculationMethodId": "##salesVelocity"}]


def _stock(world: World) -> Columns:
    base, ids, facilities = world.base, dict(world.row_ids), dict(world.facilities)
    products, dropped, buys = dict(world.products), dict(world.dropped), _purchases(world)

    def parent(place: Place) -> str | None:
        above = facilities[place.facility_id].parent_id if place.facility_id else None
        return f"{base}/facility/{above}" if above else None

    def product(place: Place) -> Product:
        return products.get(place.number) or dropped[place.number]

    return {
        "inventoryItemUrl": lambda row: f"{base}/inventoryitem/{ids.get(row[0], 900_000 + row[0].number)}",
        "productId": lambda row: product(row[0]).sku,
        "productUrl": lambda row: f"{base}/product/{product(row[0]).tail}",
        "facilityUrl": lambda row: f"{base}/facility/{row[0].facility_id}" if row[0].facility_id else None,
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


def _facility(world: World) -> Columns:
    base = world.base
    shape: dict[str, Callable[[Facility], Any]] = {
        "facilityId": lambda f: f.id,
        "facilityUrl": lambda f: f"{base}/facility/{f.id}",
        "facilityName": lambda f: f.name,
        "parentFacilityUrl": lambda f: f"{base}/facility/{f.parent_id}" if f.parent_id else None,
        "statusId": lambda f: "FACILITY_ACTIVE",
    }
    return shape


def _party(world: World) -> Columns:
    base = world.base
    shape: dict[str, Callable[[Party], Any]] = {
        "partyId": lambda p: p.id,
        "partyUrl": lambda p: f"{base}/partygroup/{p.id}",
        "groupName": lambda p: p.name,
        "statusId": lambda p: "PARTY_ENABLED",
        "roleTypeIdList": lambda p: list(p.roles) or None,
        "contactMechList": lambda p: (
            [{"contactMechTypeId": "EMAIL_ADDRESS", "infoString": p.email}] if p.email else None
        ),
        "description": lambda p: None,
        "userFieldDataList": lambda p: [],
    }
    return shape


def customization() -> dict[str, Any]:
    """The customization object as far as it is documented, without price lists."""
    options = [{"optionName": "category", "optionValue": name} for name in CATEGORIES]
    field = {"attrName": "user_10001", "label": "Weight"}
    return {
        "customizationId": "PRIMARY",
        "productTypeList": [{"productTypeId": "GOOD", "userFieldDefList": [field], "optionList": options}],
        "productUserCategoryList": [{"attrName": id_, "label": name} for name, id_ in USER_CATEGORIES.items()],
        "productUserUnitOfMeasureList": [{"attrName": "##user00", "label": "ea"}],
    }


COLUMNS: Mapping[str, Callable[[World], Columns]] = {
    "product": _product,
    "inventoryitem": _stock,
    "order": orders,
    "facility": _facility,
    "partygroup": _party,
    "shipment": shipments,
}
"""For each collection its columns, and how to get the cell of each from a record."""
