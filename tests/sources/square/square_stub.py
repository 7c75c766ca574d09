"""A Square account made of fixed answers, for what the simulator would never say."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from app.sources.base import Context, Unlimited
from app.sources.square import connect
from app.sources.square.source import SquareSource

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SEARCH, RETRIEVE = "/v2/catalog/search", "/v2/catalog/batch-retrieve"
COUNTS, LOCATIONS = "/v2/inventory/counts/batch-retrieve", "/v2/locations"
ORDERS, ORDERS_BY_ID = "/v2/orders/search", "/v2/orders/batch-retrieve"
VENDORS, VENDORS_BY_ID = "/v2/vendors/search", "/v2/vendors/bulk-retrieve"
SHOP = {"id": "L1", "name": "Shop", "timezone": "America/New_York", "merchant_id": "M1"}


class Refusal:
    """An answer of another status than 200."""

    def __init__(self, status: int, body: Any = None) -> None:
        self.status = status
        self.body = body


def stub(answers: Mapping[str, Any], **options: str) -> SquareSource:
    """A source whose calls are answered by path: JSON-ready values, bytes as they stand, or a ``Refusal``; or by what a
    function makes of the request's body."""

    def answer(request: httpx.Request) -> httpx.Response:
        given = answers.get(request.url.path, {})
        if isinstance(given, Exception):
            raise given
        if callable(given):
            given = given(msgspec.json.decode(request.content))
        status, body = (given.status, given.body) if isinstance(given, Refusal) else (200, given)
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return httpx.Response(status, content=content, headers={"content-type": "application/json"})

    context = Context(
        "square",
        Unlimited(),
        transport=lambda: httpx.MockTransport(answer),
        sleep=lambda seconds: None,
        now=lambda: NOW,
    )
    source = connect(context, {"access_token": "t", **options})
    assert isinstance(source, SquareSource)
    return source


def by_ids(*things: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """What a retrieval by ids finds among objects: only those asked for."""
    return lambda body: {"objects": [thing for thing in things if thing["id"] in body["object_ids"]]}


def variation(id_: str, item_id: str = "I1", data: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A variation object."""
    own = {"item_id": item_id, "name": "Regular", "sku": f"SKU-{id_}", **(data or {})}
    return {"type": "ITEM_VARIATION", "id": id_, "version": 2, "item_variation_data": own, **fields}


def item(id_: str, *variations: Any, data: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A live item object."""
    own = {"name": f"Item {id_}", "variations": list(variations), **(data or {})}
    return {"type": "ITEM", "id": id_, "version": 3, "updated_at": "2026-05-01T00:00:00Z", "item_data": own, **fields}


def count(listing: str, **fields: Any) -> dict[str, Any]:
    """An inventory count."""
    usual = {"catalog_object_id": listing, "location_id": "L1", "state": "IN_STOCK", "quantity": "1"}
    return {**usual, "calculated_at": "2026-05-01T00:00:00Z", **fields}


def order(id_: str, **fields: Any) -> dict[str, Any]:
    """An order of one line."""
    times = {"created_at": "2026-05-01T00:00:00Z", "updated_at": "2026-05-02T00:00:00Z"}
    line = {"uid": "u", "quantity": "1", "catalog_object_id": "V1"}
    return {"id": id_, "location_id": "L1", **times, "line_items": [line], **fields}
