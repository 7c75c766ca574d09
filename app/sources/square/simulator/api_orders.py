"""The simulated order calls."""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.simulating.answers import Json
from app.sources.square.simulator.answers import invalid, not_found, reply
from app.sources.square.simulator.bill import Order
from app.sources.square.simulator.orders import entries, fulfillments, payer, source_name
from app.sources.square.simulator.request_orders import OrderBatch, OrderFilter, OrderSearch, OrderSort, TimeRange
from app.sources.square.simulator.strict import parameters, request_body, stamp
from app.sources.square.simulator.world import World

TIME_FIELDS = {"created_at": "created", "updated_at": "updated", "closed_at": "closed"}
FOR_EVER = 1 << 60
ROWS = 500


class OrderQuery(NamedTuple):
    """An order search, understood; times in milliseconds. An empty filter lets everything pass."""

    locations: list[int]
    field: str
    start: int
    end: int
    descending: bool
    states: Collection[str] = ()
    sources: Collection[str] = ()
    customers: Collection[str] = ()
    fulfillment_types: Collection[str] = ()
    fulfillment_states: Collection[str] = ()

    def fits(self, order: Order) -> bool:
        """Whether an order passes all filters; one without the time that is asked for does not."""
        at, parts = getattr(order, self.field), fulfillments(order)
        return (
            order.location in self.locations
            and (at is not None and self.start <= at <= self.end)
            and _passes(self.states, [order.state])
            and _passes(self.sources, [source_name(order)])
            and _passes(self.customers, [payer(order)])
            and _passes(self.fulfillment_types, [part["type"] for part in parts])
            and _passes(self.fulfillment_states, [part["state"] for part in parts])
        )

    def key(self, order: Order) -> tuple[int, str]:
        """What orders are sorted by."""
        return getattr(order, self.field), order.id


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
        """Orders by time and location; a missing ``end_at`` is the time of the first request of this cursor."""
        body, wanted = await request_body(request, OrderSearch)
        now = self._world.clock.now_ms()
        query = self._query(wanted)
        limit = wanted.limit or ROWS
        orders, cursor = self._world.pages.page("orders", body, lambda at: self._rows(query, now, at), limit)
        if wanted.return_entries:
            return reply(order_entries=list(entries(orders, self._world.location_ids)), cursor=cursor)
        return reply(orders=[self._json(one) for one in orders], cursor=cursor)

    def _rows(self, query: OrderQuery, now: int, at: Any) -> Iterator[tuple[Any, Order]]:
        """The orders that fit, from a place on; each place carries the end of the time range of its first request."""
        place, end = at or (None, min(query.end, now) if query.end >= FOR_EVER else query.end)
        frozen = query._replace(end=end)
        orders = filter(frozen.fits, self._world.orders.by_id.values())
        for order in sorted(orders, key=query.key, reverse=query.descending):
            key = query.key(order)
            passed = place is not None and (key > place if query.descending else key < place)
            hidden = self._world.orders.readable(order.id, self._world.options.order_lag_empty) is None
            if not passed and not hidden:
                yield (key, end), order

    def _query(self, wanted: OrderSearch) -> OrderQuery:
        locations = self._locations(wanted.location_ids or [])
        filter_ = (wanted.query.filter if wanted.query else None) or OrderFilter()
        sort = (wanted.query.sort if wanted.query else None) or OrderSort()
        field, limits = _times(filter_, sort)
        start, end = stamp(limits.start_at, 0), stamp(limits.end_at, FOR_EVER * 1000)
        if start > end:
            where = f"query.filter.date_time_filter.{field}"
            raise invalid("The end of the time range lies before its start.", "INVALID_TIME_RANGE", where)
        fulfillment = filter_.fulfillment_filter
        return OrderQuery(
            locations=locations,
            field=TIME_FIELDS[field],
            start=-(-start // 1000),
            end=end // 1000,
            descending=sort.sort_order != "ASC",
            states=filter_.state_filter.states if filter_.state_filter else (),
            sources=(filter_.source_filter.source_names or ()) if filter_.source_filter else (),
            customers=(filter_.customer_filter.customer_ids or ()) if filter_.customer_filter else (),
            fulfillment_types=(fulfillment.fulfillment_types or ()) if fulfillment else (),
            fulfillment_states=(fulfillment.fulfillment_states or ()) if fulfillment else (),
        )

    def _locations(self, ids: list[str]) -> list[int]:
        if not ids:
            raise invalid("At least one location_id is required.", "MISSING_REQUIRED_PARAMETER", "location_ids")
        return [place for place, known in enumerate(self._world.location_ids) if known in ids]

    async def batch_retrieve(self, request: Request) -> Response:
        """Orders by id, without unknown ids and those that lag behind their webhook."""
        _, wanted = await request_body(request, OrderBatch)
        orders = [shown for one in wanted.order_ids if (shown := self._readable(one))]
        here = [one for one in orders if wanted.location_id in (None, one["location_id"])]
        return reply(orders=here)

    async def one(self, request: Request) -> Response:
        """The order that the path names, or 404, also for one too new to be readable yet."""
        parameters(request)
        shown = self._readable(request.path_params["order_id"])
        if shown is None:
            raise not_found(f"Order not found for id {request.path_params['order_id']}")
        return reply(order=shown)

    def _readable(self, order_id: str) -> Json | None:
        order = self._world.orders.readable(order_id, self._world.options.order_lag_empty)
        return None if order is None else self._json(order)

    def _json(self, order: Order) -> Json:
        return self._world.orders.order_json(order, self._world.location_ids[order.location])


def _times(filter_: OrderFilter, sort: OrderSort) -> tuple[str, TimeRange]:
    """The time that is filtered and sorted by; a filter must be about the one that is sorted by."""
    times = filter_.date_time_filter
    sorted_by = (sort.sort_field or "CREATED_AT").lower()
    if times is None:
        return sorted_by, TimeRange()
    given = [(name, limits) for name in TIME_FIELDS if (limits := getattr(times, name)) is not None]
    if len(given) != 1:
        where = "query.filter.date_time_filter"
        raise invalid("Exactly one of created_at, updated_at, closed_at can be filtered by.", "BAD_REQUEST", where)
    if given[0][0] != sorted_by:
        raise invalid("The sort field must be the time that is filtered by.", "BAD_REQUEST", "query.sort.sort_field")
    return given[0]


def _passes(wanted: Collection[str], has: Collection[str]) -> bool:
    return not wanted or any(one in wanted for one in has)
