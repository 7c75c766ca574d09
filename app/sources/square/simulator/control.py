"""The simulator's own endpoints: the truth, the status, faults and changes. Without credentials: loopback only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.sources.square.simulator.answers import json_response
from app.sources.square.simulator.bill import true_lines, true_sums
from app.sources.square.simulator.order_things import Order
from app.sources.square.simulator.orders import payer, source_name
from app.sources.square.simulator.product_truth import true_product
from app.sources.square.simulator.settings import merge
from app.sources.square.simulator.shop_life import ShopLife
from app.sources.square.simulator.world import World

Json = dict[str, Any]
STATES = {"IN_STOCK": "on_hand", "RESERVED_FOR_SALE": "reserved", "ORDERED_FROM_VENDOR": "on_order"}
CHUNK = 2000


class Control:
    """/_sim."""

    def __init__(self, world: World, life: ShopLife) -> None:
        self._world = world
        self._life = life
        self.routes = [
            Route("/_sim/truth/{kind}", self.truth),
            Route("/_sim/status", self.status),
            Route("/_sim/acknowledged", self.acknowledged),
            Route("/_sim/faults", self.faults, methods=["POST"]),
            Route("/_sim/changes", self.changes, methods=["POST"]),
        ]

    async def truth(self, request: Request) -> Response:
        """Every row a perfect copy has, in the copy's own words, as a JSON list."""
        kinds = {
            "product": self._products,
            "stock": self._stock,
            "order": self._orders,
            "location": self._locations,
            "vendor": self._vendors,
            "category": self._categories,
        }
        rows = kinds.get(request.path_params["kind"])
        if rows is None:
            return json_response({"error": f"no such kind; there are {', '.join(kinds)}"}, 404)
        return StreamingResponse(_json_list(rows()), media_type="application/json")

    async def status(self, request: Request) -> Response:
        """Sizes, calls, and how the webhooks fare."""
        world = self._world
        webhooks = {name: world.outbox.tally[name] for name in TALLIES}
        return json_response(
            {
                "items": world.catalog.items,
                "variations": world.catalog.wares,
                "orders": len(world.orders.by_id),
                "locations": len(world.places.locations),
                "vendors": len(world.places.vendors),
                "requests": dict(world.requests),
                "answers": {str(code): times for code, times in world.answers.items()},
                "webhooks": {**webhooks, "pending": world.outbox.pending, "enabled": world.outbox.enabled},
                "options": msgspec.structs.asdict(world.options),
            }
        )

    async def acknowledged(self, request: Request) -> Response:
        """The ids of all events that were acknowledged."""
        return json_response(sorted(self._world.outbox.acknowledged))

    async def faults(self, request: Request) -> Response:
        """Switch faults on and off."""
        try:
            merge(self._world.options, msgspec.json.decode(await request.body(), type=dict[str, Any]))
        except (ValueError, msgspec.DecodeError) as error:
            return json_response({"error": str(error)}, 400)
        return json_response(msgspec.structs.asdict(self._world.options))

    async def changes(self, request: Request) -> Response:
        """``{"count": n, "kinds": [...]}``: let changes happen now, of some kinds of record or of some names."""
        wanted = msgspec.json.decode(await request.body() or b"{}", type=dict[str, Any])
        try:
            return json_response(self._life.happen(int(wanted.get("count", 1)), wanted.get("kinds") or ()))
        except ValueError as error:
            return json_response({"error": str(error)}, 400)

    def _products(self) -> Iterator[Json]:
        for index in range(self._world.catalog.items):
            item = self._world.catalog.item(index)
            for variation in item.live():
                yield true_product(self._world.catalog, item, variation)

    def _stock(self) -> Iterator[Json]:
        for count in self._world.counts.newest_first():
            yield {
                "listing_id": self._world.catalog.variation_id(count.place.ware),
                "location_id": self._world.location_ids[count.place.location],
                "state": STATES.get(count.place.state, count.place.state.lower()),
                "quantity": _plain(format(count.quantity, "f")),
            }

    def _orders(self) -> Iterator[Json]:
        for order in self._world.orders.by_id.values():
            yield {
                "external_id": order.id,
                "type": _type(order),
                "status": order.state,
                "ordered_on": self._business_day(order),
                **true_sums(order),
                "party_id": payer(order) or None,
                "channel": source_name(order),
                "lines": list(true_lines(order)),
            }

    def _business_day(self, order: Order) -> str:
        """The date at the order's location when it was made."""
        zone = ZoneInfo(self._world.places.locations[order.location].timezone)
        return datetime.fromtimestamp(order.created / 1000, zone).date().isoformat()

    def _locations(self) -> Iterator[Json]:
        return ({"external_id": one.id, "name": one.name} for one in self._world.places.locations)

    def _vendors(self) -> Iterator[Json]:
        return ({"external_id": one.id, "name": one.name} for one in self._world.places.vendors)

    def _categories(self) -> Iterator[Json]:
        live = (one for one in self._world.catalog.categories if not one.deleted)
        return ({"external_id": one.id, "name": one.name} for one in live)


TALLIES = ("published", "sent", "acked", "failed", "dropped", "discarded", "delayed", "reordered")


def _type(order: Order) -> str:
    if order.refund:
        return "refund"
    return "sale" if not order.returned else "exchange" if order.lines else "return"


def _plain(text: str) -> str:
    """A decimal without trailing zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _json_list(rows: Iterable[Json]) -> Iterator[bytes]:
    """A JSON list in pieces, so that 600,000 rows need no memory."""
    yield b"["
    waiting: list[bytes] = []
    first = True
    for row in rows:
        waiting.append(msgspec.json.encode(row))
        if len(waiting) == CHUNK:
            yield (b"" if first else b",") + b",".join(waiting)
            waiting, first = [], False
    if waiting:
        yield (b"" if first else b",") + b",".join(waiting)
    yield b"]"
