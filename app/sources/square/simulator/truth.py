"""The truth of the simulated account in Tallyhook's words, from its state and not from the API's answers."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.sources.simulating.answers import decimal_text
from app.sources.square.simulator.bill import true_lines, true_sums
from app.sources.square.simulator.order_things import Order
from app.sources.square.simulator.orders import payer, source_name
from app.sources.square.simulator.product_truth import true_product
from app.sources.square.simulator.world import World

Json = dict[str, Any]
STATES = {"IN_STOCK": "on_hand", "RESERVED_FOR_SALE": "reserved", "ORDERED_FROM_VENDOR": "on_order"}


class Truth:
    """The rows of a perfect copy, by kind."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.kinds: Mapping[str, Callable[[], Iterator[Json]]] = {
            "product": self._products,
            "stock": self._stock,
            "order": self._orders,
            "location": self._locations,
            "vendor": self._vendors,
            "category": self._categories,
        }

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
                "quantity": decimal_text(count.quantity),
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


def _type(order: Order) -> str:
    if order.refund:
        return "refund"
    return "sale" if not order.returned else "exchange" if order.lines else "return"
