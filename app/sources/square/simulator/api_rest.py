"""The simulated calls for orders, locations, vendors, the merchant and events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.square.simulator.answers import (
    ApiError,
    Json,
    body_of,
    invalid,
    json_response,
    limit_of,
    not_found,
    page,
    without_nothing,
)
from app.sources.square.simulator.clock import parse_us
from app.sources.square.simulator.order_things import Order
from app.sources.square.simulator.orders import entries
from app.sources.square.simulator.webhooks import range_us
from app.sources.square.simulator.world import World

TIME_FIELDS = {"created_at": "created", "updated_at": "updated", "closed_at": "closed"}


class OrderQuery(NamedTuple):
    """An order search, understood; times in milliseconds."""

    locations: list[int]
    field: str
    start: int
    end: int
    descending: bool
    states: list[str]


class OrdersApi:
    """/v2/orders."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.routes = [
            Route("/v2/orders/search", self.search, methods=["POST"]),
            Route("/v2/orders/batch-retrieve", self.batch_retrieve, methods=["POST"]),
            Route("/v2/orders/{order_id}", self.one),
        ]

    async def search(self, request: Request) -> Response:
        """By time and location; a missing ``end_at`` is the time of the first request of this cursor."""
        body = await body_of(request)
        now = self._world.clock.now_ms()
        query = self._query(body)
        limit = limit_of(body, 500, 1000)
        found, cursor = page(self._world, "orders", body, lambda at: self._rows(query, now, at), limit)
        if body.get("return_entries"):
            shown = list(entries(found, self._world.location_ids))
            return json_response(without_nothing({"order_entries": shown, "cursor": cursor}))
        return json_response(without_nothing({"orders": [self._json(one) for one in found], "cursor": cursor}))

    def _rows(self, query: OrderQuery, now: int, at: Any) -> Iterator[tuple[Any, Order]]:
        place, frozen = at or (None, min(query.end, now) if query.end >= 1 << 60 else query.end)
        found = self._world.orders.search(query.locations, query.field, query.start, frozen, query.descending)
        for order in found:
            key = (getattr(order, query.field), order.id)
            passed = place is not None and (key > place if query.descending else key < place)
            hidden = self._world.orders.readable(order.id, self._world.options.order_lag_empty) is None
            if not passed and not hidden and (not query.states or order.state in query.states):
                yield (key, frozen), order

    def _query(self, body: Json) -> OrderQuery:
        filter_ = (body.get("query") or {}).get("filter") or {}
        sort = (body.get("query") or {}).get("sort") or {}
        times = filter_.get("date_time_filter") or {"created_at": {}}
        if len(times) != 1:
            raise invalid("Exactly one of created_at, updated_at, closed_at can be filtered by.")
        field, limits = next(iter(times.items()))
        if filter_.get("date_time_filter") and sort.get("sort_field", "CREATED_AT") != field.upper():
            raise invalid(
                f"The sort_field must be {field.upper()} to match the date_time_filter.", field="query.sort"
            )
        field = TIME_FIELDS.get(sort.get("sort_field", "CREATED_AT").lower(), "created")
        return OrderQuery(
            locations=self._locations(body),
            field=field,
            start=_ms(limits.get("start_at"), 0),
            end=_ms(limits.get("end_at"), 1 << 60),
            descending=sort.get("sort_order", "DESC") == "DESC",
            states=(filter_.get("state_filter") or {}).get("states") or [],
        )

    def _locations(self, body: Json) -> list[int]:
        ids = body.get("location_ids") or []
        if not ids:
            raise invalid("At least one location_id is required.", "MISSING_REQUIRED_PARAMETER", "location_ids")
        if len(ids) > 10:
            raise invalid("Cannot provide more than 10 location_ids.", "ARRAY_LENGTH_TOO_LONG", "location_ids")
        return [place for place, known in enumerate(self._world.location_ids) if known in ids]

    async def batch_retrieve(self, request: Request) -> Response:
        """By id; unknown ids, and those that lag behind their webhook, are left out."""
        ids = (await body_of(request)).get("order_ids") or []
        if len(ids) > 100:
            raise invalid("Cannot retrieve more than 100 orders.", "ARRAY_LENGTH_TOO_LONG", "order_ids")
        return json_response(without_nothing({"orders": [shown for one in ids if (shown := self._readable(one))]}))

    async def one(self, request: Request) -> Response:
        """One order."""
        shown = self._readable(request.path_params["order_id"])
        if shown is None:
            raise not_found(f"Order not found for id {request.path_params['order_id']}")
        return json_response({"order": shown})

    def _readable(self, order_id: str) -> Json | None:
        order = self._world.orders.readable(order_id, self._world.options.order_lag_empty)
        return None if order is None else self._json(order)

    def _json(self, order: Order) -> Json:
        return self._world.orders.order_json(order, self._world.location_ids[order.location])


class PlacesApi:
    """/v2/locations, /v2/vendors and /v2/merchants."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._places = world.places
        self.routes = [
            Route("/v2/locations", self.locations),
            Route("/v2/locations/{location_id}", self.location),
            Route("/v2/vendors/search", self.vendors, methods=["POST"]),
            Route("/v2/vendors/bulk-retrieve", self.bulk_vendors, methods=["POST"]),
            Route("/v2/vendors/{vendor_id}", self.vendor),
            Route("/v2/merchants", self.merchants),
            Route("/v2/merchants/{merchant_id}", self.merchant),
        ]

    async def locations(self, request: Request) -> Response:
        """All, by name, inactive ones too; no pages."""
        ordered = sorted(self._places.locations, key=lambda one: one.name)
        return json_response(without_nothing({"locations": [self._places.location_json(one) for one in ordered]}))

    async def location(self, request: Request) -> Response:
        """One location; ``main`` is the first."""
        wanted = request.path_params["location_id"]
        for place in self._places.locations:
            if wanted in (place.id, "main"):
                return json_response({"location": self._places.location_json(place)})
        raise not_found(f"Could not find location with id {wanted}")

    async def vendors(self, request: Request) -> Response:
        """Filter by name and status, no filter by time."""
        body = await body_of(request)
        if unknown := body.keys() - {"filter", "sort", "cursor"}:
            raise invalid(f"Unexpected field {sorted(unknown)[0]}.", "UNEXPECTED_VALUE")
        filter_ = body.get("filter") or {}
        shown = [self._places.vendor_json(vendor) for vendor in self._places.vendors]
        for name in ("name", "status"):
            shown = [one for one in shown if not filter_.get(name) or one[name] in filter_[name]]
        rows, cursor = page(self._world, "vendors", body, lambda at: _from(shown, at), 100)
        return json_response(without_nothing({"vendors": rows, "cursor": cursor}))

    async def bulk_vendors(self, request: Request) -> Response:
        """An answer of its own for each id, inside a 200."""
        ids = (await body_of(request)).get("vendor_ids") or []
        return json_response({"responses": {one: self._vendor(one) for one in ids}})

    async def vendor(self, request: Request) -> Response:
        """One vendor."""
        found = self._vendor(request.path_params["vendor_id"])
        return json_response(found, 404 if "errors" in found else 200)

    def _vendor(self, vendor_id: str) -> Json:
        for vendor in self._places.vendors:
            if vendor.id == vendor_id:
                return {"vendor": self._places.vendor_json(vendor)}
        return not_found(f"Vendor with id {vendor_id} not found.").body

    async def merchants(self, request: Request) -> Response:
        """One merchant per token."""
        return json_response({"merchant": [self._places.merchant_json()]})

    async def merchant(self, request: Request) -> Response:
        """The merchant, also as ``me``."""
        if request.path_params["merchant_id"] not in ("me", self._world.options.merchant_id):
            raise not_found("Merchant not found.")
        return json_response({"merchant": self._places.merchant_json()})


class EventsApi:
    """/v2/events."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.routes = [
            Route("/v2/events", self.search, methods=["POST"]),
            Route("/v2/events/enable", self.enable, methods=["PUT"]),
            Route("/v2/events/disable", self.disable, methods=["PUT"]),
        ]

    async def search(self, request: Request) -> Response:
        """Events that happened while the API was enabled, in the last 28 days."""
        if not self._world.options.events_enabled:
            raise ApiError(
                403, "AUTHENTICATION_ERROR", "FORBIDDEN", "Events search is disabled for this application."
            )
        body = await body_of(request)
        filter_ = (body.get("query") or {}).get("filter") or {}
        try:
            events = self._world.outbox.recorded(*range_us(filter_))
        except ValueError as error:
            raise invalid("created_at needs RFC 3339 timestamps.", "INVALID_TIME") from error
        events = [one for one in events if not filter_.get("event_types") or one.type in filter_["event_types"]]
        found, cursor = page(self._world, "events", body, lambda at: _from(events, at), limit_of(body, 100, 100))
        metadata = [{"event_id": one.id, "api_version": "2026-07-15"} for one in found]
        shown = [msgspec.Raw(one.body) for one in found]
        return json_response(without_nothing({"events": shown, "metadata": metadata, "cursor": cursor}))

    async def enable(self, request: Request) -> Response:
        """From now on events are kept."""
        self._world.options.events_enabled = True
        return self._changed({})

    async def disable(self, request: Request) -> Response:
        """From now on they are not."""
        self._world.options.events_enabled = False
        return self._changed({})

    def _changed(self, body: Json) -> Response:
        self._world.on_change()
        return json_response(body)


def _from(rows: list[Any], at: int | None) -> Iterator[tuple[int, Any]]:
    return iter([*enumerate(rows)][at or 0 :])


def _ms(text: str | None, default: int) -> int:
    try:
        return parse_us(text) // 1000 if text else default
    except ValueError as error:
        raise invalid(f"{text!r} is no RFC 3339 timestamp.", "INVALID_TIME") from error
