"""A Finale account made of fixed answers, for what the simulator would never say."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from app.sources.base import Context, Unlimited
from app.sources.finale import connect
from app.sources.finale.source import FinaleSource

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PRODUCTS, STOCK, ORDERS = "product/", "inventoryitem/", "order/"
FACILITIES, PARTIES = "facility/", "partygroup/"


class Refusal:
    """An answer of another status, or of another type, than a 200 in JSON."""

    def __init__(self, status: int, body: bytes = b"{}", type_: str = "application/json") -> None:
        self.status = status
        self.body = body
        self.type = type_


def stub(answers: Mapping[str, Any], **options: str) -> FinaleSource:
    """A source whose calls are answered by what follows ``/demo/api/``: JSON-ready values, bytes as they stand, or a
    ``Refusal``; anything else is a 404."""

    def answer(request: httpx.Request) -> httpx.Response:
        given = answers.get(request.url.path.removeprefix("/demo/api/"), Refusal(404))
        if not isinstance(given, Refusal):
            given = Refusal(200, given if isinstance(given, bytes) else msgspec.json.encode(given))
        return httpx.Response(given.status, content=given.body, headers={"content-type": given.type})

    context = Context(
        "finale",
        Unlimited(),
        transport=lambda: httpx.MockTransport(answer),
        sleep=lambda seconds: None,
        now=lambda: NOW,
    )
    source = connect(context, {"account": "demo", "api_key": "k", "api_secret": "s", **options})
    assert isinstance(source, FinaleSource)
    return source


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as a column-major document."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def product(id_: str, **fields: Any) -> dict[str, Any]:
    """A product as a list row has it."""
    usual = {"productUrl": f"/demo/api/product/{id_}", "productId": id_, "statusId": "PRODUCT_ACTIVE"}
    return {**usual, "lastUpdatedDate": "2026-05-01T00:00:00", **fields}


def stock(id_: str, place: str = "1", **fields: Any) -> dict[str, Any]:
    """One on hand."""
    where = {"productUrl": f"/demo/api/product/{id_}", "facilityUrl": f"/demo/api/facility/{place}"}
    return {"inventoryItemUrl": f"/demo/api/inventoryitem/{id_}-{place}", **where, "quantityOnHand": 1, **fields}


def order(id_: str, **fields: Any) -> dict[str, Any]:
    """An order with one line."""
    usual = {"orderUrl": f"/demo/api/order/{id_}", "orderId": id_, "lastUpdatedDate": "2026-05-31T00:00:00"}
    return {**usual, "orderDate": "2026-05-30T07:00:00", "orderItemList": [{"quantity": 1}], **fields}
