"""A vendor that costs next to nothing: fixed answers after a fixed delay, so that what is measured is us.

``python -m tests.bench.upstream PORT [MILLISECONDS]``. It answers single records and empty lists as Finale does, and
catalog, counts and locations as Square does. ``GET /_calls`` says how many calls there were.
"""

import asyncio
import itertools
import sys
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import uvicorn

from app.domain import Listing

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

PLACES = tuple(f"LOCATION{place}" for place in range(3))

PRODUCT = """{"productId": "SKU-%(id)s", "productUrl": "/%(account)s/api/product/%(id)s", "statusId": "PRODUCT_ACTIVE",
"internalName": "Product %(id)s", "category": "Bench", "universalProductCode": "%(barcode)s",
"longDescription": "As told in call %(call)s: a product as long as most, so that there is some of it to carry.",
"cost": 7.25, "leadTime": 14, "productTypeId": "FINISHED_GOOD", "weight": 1.5, "createdDate": "2024-02-03T04:05:06",
"lastUpdatedDate": "%(now)s", "priceList": [{"productPriceTypeId": "LIST_PRICE", "price": 16.56, "currencyUomId":
"USD"}], "supplierList": [{"supplierPartyUrl": "/%(account)s/api/partygroup/10001", "supplierPrefOrderId":
"10_MAIN_SUPPL", "supplierProductId": "V-%(id)s", "price": 7.25, "leadTime": 10}], "userFieldDataList": [],
"reorderGuidelineList": [{"facilityUrl": "/%(account)s/api/facility/10000", "reorderCalculationMethodId":
"REORDER_MANUAL"}]}"""

ORDER = """{"orderId": "%(id)s", "orderUrl": "/%(account)s/api/order/%(id)s", "orderTypeId": "SALES_ORDER",
"statusId": "ORDER_LOCKED", "originFacilityUrl": "/%(account)s/api/facility/10000", "orderDate": "2026-11-20T09:00:00",
"lastUpdatedDate": "%(now)s", "orderItemList": [
{"orderItemUrl": "/%(account)s/api/order/%(id)s/orderItem/00000001", "productId": "BP2905",
 "productUrl": "/%(account)s/api/product/BP2905", "unitPrice": 16.56, "quantity": 4},
{"orderItemUrl": "/%(account)s/api/order/%(id)s/orderItem/00000002", "productId": "PH-1361",
 "productUrl": "/%(account)s/api/product/PH-1361", "unitPrice": 466.52, "quantity": 12}],
"orderAdjustmentList": [], "orderRoleList": [{"roleTypeId": "CUSTOMER", "partyId": "10007"}], "note": "call %(call)s"}"""

RECORDS = {"product": PRODUCT, "order": ORDER}


def held(id_: str) -> Listing:
    """A product as we may hold it before: what the vendor then tells of it changes nothing that the guard doubts."""
    name = f"Product {id_}"
    return Listing(
        id_, sku=f"SKU-{id_}", name=name, category="Bench", barcode=barcode(id_), price_minor=1656, currency="USD"
    )


def barcode(id_: str) -> str:
    """A product's own."""
    return f"40{zlib.crc32(id_.encode()):010d}"


class Upstream:
    """The ASGI application. ``delay`` is in seconds and the same for every answer."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._calls = 0
        self._counts = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then answer."""
        path = scope["path"]
        if path == "/_calls":
            await _answer(send, b"%d" % self._calls)
            return
        self._calls += 1
        asked = await _body(receive) if scope["method"] == "POST" else b""
        await asyncio.sleep(self._delay)
        await _answer(send, self._square(path, asked) if path.startswith("/v2/") else self._finale(path))

    def _finale(self, path: str) -> bytes:
        """A record with news in every answer, or a list without records."""
        account, _, collection, id_ = path.removeprefix("/").split("/", 3)
        if not id_:
            return b"{}"
        told = {"account": account, "id": id_, "barcode": barcode(id_), "call": self._calls, "now": _now()[:19]}
        return (RECORDS[collection] % told).encode()

    def _square(self, path: str, asked: bytes) -> bytes:
        said = msgspec.json.decode(asked) if asked else {}
        if path == "/v2/inventory/counts/batch-retrieve":
            return msgspec.json.encode({"counts": self._stock(said["catalog_object_ids"])})
        if path == "/v2/catalog/batch-retrieve":
            return msgspec.json.encode({"objects": [_item(id_) for id_ in said["object_ids"]]})
        return b"{}"

    def _stock(self, ids: list[str]) -> list[dict[str, str]]:
        quantity, now = str(next(self._counts)), _now()
        return [
            {
                "catalog_object_id": id_,
                "catalog_object_type": "ITEM_VARIATION",
                "state": "IN_STOCK",
                "location_id": place,
                "quantity": quantity,
                "calculated_at": now,
            }
            for id_ in ids
            for place in PLACES
        ]


def _item(id_: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    changed = {"version": int(now.timestamp() * 1000), "updated_at": _now(), "is_deleted": False}
    variation = {"item_id": id_, "name": "Regular", "sku": f"SKU-{id_}", "pricing_type": "FIXED_PRICING"}
    return {
        "type": "ITEM",
        "id": id_,
        **changed,
        "item_data": {
            "name": f"Item {id_}",
            "variations": [{"type": "ITEM_VARIATION", "id": f"{id_}-1", **changed, "item_variation_data": variation}],
        },
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until SIGTERM."""
    port, delay = int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    uvicorn.run(
        Upstream(delay / 1000),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
