"""Makes the files a reconciliation is measured on: one account's products and stock, column-major, in two states."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

ACCOUNT = "demo"
EPOCH = datetime(2026, 1, 1)  # noqa: DTZ001 (the vendor writes its UTC times without a zone)
_WORDS = ("Bamboo", "Copper", "Linen", "Oak", "Slate", "Wool", "Ceramic", "Cork", "Jute", "Walnut")
_THINGS = ("Bowl", "Lamp", "Mug", "Planter", "Tray", "Basket", "Candle", "Blanket", "Shelf", "Stool", "Vase")


def make(folder: Path, products: int, stock: int) -> None:
    """``before/`` and ``after/``: two states of the account, 1 % of the rows differ; nothing if they are there."""
    for name, changed in (("before", False), ("after", True)):
        state = folder / name
        if (state / "complete").exists():
            continue
        state.mkdir(parents=True, exist_ok=True)
        _write(state / "product", _product_columns(changed), products)
        _write(state / "inventoryitem", _stock_columns(products, changed), stock)
        (state / "complete").touch()


def _write(file: Path, columns: dict[str, Callable[[int], object]], rows: int) -> None:
    """Column by column and some thousand cells at a time: a whole document would take gigabytes."""
    with file.open("wb") as out:
        out.write(b"{")
        for position, (name, cell) in enumerate(columns.items()):
            out.write(b"," if position else b"")
            out.write(msgspec.json.encode(name) + b":[")
            out.writelines(_cells(cell, rows))
            out.write(b"]")
        out.write(b"}")


def _cells(cell: Callable[[int], object], rows: int, size: int = 10_000) -> Iterator[bytes]:
    for start in range(0, rows, size):
        piece = msgspec.json.encode([cell(row) for row in range(start, min(start + size, rows))])
        yield (b"," if start else b"") + piece[1:-1]


def _product_columns(changed: bool) -> dict[str, Callable[[int], object]]:
    """26 columns as the product list has them; the twelve we map are among them."""

    def differs(row: int) -> bool:
        return changed and row % 100 == 37

    def updated(row: int) -> str:
        return (EPOCH + timedelta(seconds=row % 9_000_000, days=300 if differs(row) else 0)).isoformat()

    return {
        "productId": _sku,
        "internalName": lambda row: f"{_WORDS[row % 10]} {_THINGS[row % 11]} No. {row}",
        "longDescription": lambda row: (
            f"Hand made by our people in batch {row % 977}, ready to ship." if row % 3 else None
        ),
        "productTypeId": lambda row: "GOOD",
        "statusId": lambda row: "PRODUCT_ACTIVE" if row % 9 else "PRODUCT_INACTIVE",
        "productUrl": lambda row: f"/{ACCOUNT}/api/product/{_sku(row)}",
        "lastUpdatedDate": updated,
        "createdDate": lambda row: (EPOCH - timedelta(seconds=row * 7)).isoformat(),
        "category": lambda row: f"Category {row % 40}",
        "userCategory": lambda row: None,
        "cost": lambda row: (row % 19_000 + 150) / 100,
        "universalProductCode": lambda row: f"04{row:010d}" if row % 2 else None,
        "leadTime": lambda row: row % 40 + 2,
        "normalizedPackingString": lambda row: f"{row % 12 + 1} cs 12/1" if row % 5 == 0 else None,
        "weightUomId": lambda row: "WT_lb",
        "distanceUomId": lambda row: "LEN_ft",
        "actionUrlDeactivate": lambda row: f"/{ACCOUNT}/api/product/{_sku(row)}/deactivate",
        "priceList": lambda row: [
            {
                "productPriceTypeId": "LIST_PRICE",
                "price": (row % 30_000 + differs(row) + 399) / 100,
                "currencyUomId": "USD",
            },
            {"productPriceTypeId": "##user2", "currencyUomId": "USD"},
        ],
        "supplierList": lambda row: [
            {
                "supplierPartyUrl": f"/{ACCOUNT}/api/partygroup/{10_000 + row % 60}",
                "supplierPrefOrderId": "10_MAIN_SUPPL",
                "price": (row % 19_000 + 150) / 100,
                "supplierProductId": f"S-{row:06d}",
                "leadTime": row % 40 + 2,
            }
        ],
        "productStoreList": lambda row: [],
        "reorderGuidelineList": lambda row: [
            {"facilityUrl": f"/{ACCOUNT}/api/facility/10000", "reorderCalculationMethodId": "##salesVelocity"}
        ],
        "glAccountList": lambda row: [],
        "contentList": lambda row: [],
        "userFieldDataList": lambda row: [{"attrName": "user_10000", "attrValue": f"shelf {row % 400}"}],
        "productAssocList": lambda row: [],
        "manufacturerProductId": lambda row: f"M{row:07d}",
    }


def _stock_columns(products: int, changed: bool) -> dict[str, Callable[[int], object]]:
    """11 columns as the inventory list has them; a product's further rows lie at other places or are on order."""

    def amount(row: int) -> float:
        more = 1 if changed and row % 100 == 37 else 0
        return row % 200 + 1 + more + (0.5 if row % 50 == 0 else 0)

    def ordered(row: int) -> bool:
        return row // products == 2

    return {
        "inventoryItemUrl": lambda row: f"/{ACCOUNT}/api/inventoryitem/{row}",
        "productId": lambda row: _sku(row % products),
        "productUrl": lambda row: f"/{ACCOUNT}/api/product/{_sku(row % products)}",
        "facilityUrl": lambda row: f"/{ACCOUNT}/api/facility/{10_000 + row // products}",
        "parentFacilityUrl": lambda row: f"/{ACCOUNT}/api/facility/10000" if row >= products else None,
        "quantityOnHand": lambda row: 0 if ordered(row) else amount(row),
        "quantityOnOrder": lambda row: amount(row) if ordered(row) else 0,
        "quantityReserved": lambda row: 0,
        "lotId": lambda row: f"L_{row % 900}" if row % 20 == 0 else None,
        "normalizedPackingString": lambda row: None,
        "orderUrl": lambda row: f"/{ACCOUNT}/api/order/{row % 3_000}" if ordered(row) else None,
    }


def _sku(row: int) -> str:
    return f"{_THINGS[row % 11][:3].upper()}-{row:06d}"
