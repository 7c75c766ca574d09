"""The whole simulated account: its records, its clock, its webhooks."""

from collections import Counter
from collections.abc import Callable
from random import Random
from uuid import UUID

from app.sources.simulating.answers import Json
from app.sources.square.simulator.bill import Line
from app.sources.square.simulator.catalog import Catalog
from app.sources.square.simulator.catalog_things import Variation
from app.sources.square.simulator.clock import Clock, trimmed
from app.sources.square.simulator.counts import Count, Counts
from app.sources.square.simulator.orders import Orders
from app.sources.square.simulator.pages import Pages
from app.sources.square.simulator.places import Places
from app.sources.square.simulator.settings import Options
from app.sources.square.simulator.webhooks import Outbox


class World:
    """One account. Everything happens on one event loop, so nothing is locked."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.clock = Clock()
        self.places = Places(options.seed, options.locations, options.vendors, options.merchant_id, self.clock)
        self.location_ids = [location.id for location in self.places.locations]
        vendor_ids = [vendor.id for vendor in self.places.vendors]
        self.catalog = Catalog(options.seed, options.products, self.location_ids, vendor_ids, self.clock)
        self.counts = Counts(options.seed, self.catalog.base_wares, options.locations, self.clock)
        self.orders = Orders(options.seed, self.clock)
        self.outbox = Outbox(options, self.clock)
        self.requests: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.dice = Random(options.seed * 13 + 5)
        self.fault_dice = Random(options.seed * 17 + 9)
        self.pages = Pages(options, self.fault_dice)
        self.on_change: Callable[[], None] = lambda: None
        self._open_shop()

    def _open_shop(self) -> None:
        for _ in range(self.options.orders if self.catalog.items and self.location_ids else 0):
            self.orders.add_old(self.dice.randrange(len(self.location_ids)), self.basket(), self.dice)

    def basket(self) -> list[Line]:
        """One to three things that somebody buys."""
        chosen = {one.id: one for one in (self.something() for _ in range(self.dice.randrange(1, 4)))}
        return [self._line(variation) for variation in chosen.values()]

    def something(self) -> Variation:
        """A random live variation; raises ``ValueError`` when every item has been deleted."""
        if self.catalog.deleted_items >= self.catalog.items:
            raise ValueError("nothing can happen in a shop that has no live item left")
        while True:
            live = self.catalog.item(self.dice.randrange(self.catalog.items)).live()
            if live:
                return self.dice.choice(live)

    def count_json(self, count: Count) -> Json:
        """A count as the API shows it."""
        return {
            "catalog_object_id": self.catalog.variation_id(count.place.ware),
            "catalog_object_type": "ITEM_VARIATION",
            "state": count.place.state,
            "location_id": self.location_ids[count.place.location],
            "quantity": format(count.quantity, "f"),
            "calculated_at": trimmed(count.stamp),
        }

    def uuid(self) -> str:
        """A UUID of version 3, like Square's."""
        return str(UUID(int=self.dice.getrandbits(128), version=3))

    def _line(self, variation: Variation) -> Line:
        name = self.catalog.item(self.catalog.owner(variation.ware)).name
        quantity = "0.5" if variation.ware % 13 == 0 else str(self.dice.randrange(1, 4))
        return Line(variation.id, name, variation.name, quantity, variation.price)
