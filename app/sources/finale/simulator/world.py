"""The simulated account's state, and the only way to change it."""

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from app.sources.finale.simulator.records import Done, Facility, Order, Party, Place, Product, Shipment
from app.sources.finale.simulator.settings import Options

Candidate = TypeVar("Candidate")


class NothingFits(LookupError):
    """Nothing in the shop is what an event needs."""


class World:
    """Products, places, parties, orders and stock of one account at present.

    Changes happen on the event loop; a longer reader takes a snapshot, which stays true because the records are
    frozen.
    """

    def __init__(self, options: Options, clock: Callable[[], float], seed: int) -> None:
        self.options = options
        self.base = f"/{options.account}/api"  # of every URL
        self.dice = random.Random(seed)
        self.products: dict[int, Product] = {}
        self.dropped: dict[int, Product] = {}
        self.facilities: dict[str, Facility] = {}
        self.parties: dict[str, Party] = {}
        self.orders: dict[str, Order] = {}
        self.shipments: dict[str, Shipment] = {}
        self._shipped: dict[str, list[str]] = {}
        self.stock: dict[Place, Decimal] = {}
        self.row_ids: dict[Place, int] = {}
        self.places: list[Place] = []
        self._rows: dict[int, list[Place]] = {}
        self.next_number = 1
        self.next_order = 1
        self.revision = 0
        self._clock = clock
        self._by_tail: dict[str, int] = {}
        self._sorted: tuple[int, list[Product]] = (-1, [])

    def now(self) -> int:
        """Epoch seconds: Finale knows no fractions."""
        return int(self._clock())

    def put_product(self, product: Product) -> Product:
        """Add or replace a product."""
        self.products[product.number] = product
        self._by_tail[product.tail] = product.number
        self.next_number = max(self.next_number, product.number + 1)
        self.revision += 1
        return product

    def edit(self, product: Product, **fields: object) -> Done:
        """Change a product and its time."""
        changed = self.put_product(msgspec.structs.replace(product, updated=self.now(), **fields))
        return Done("product", changed.tail, "updated", changed.sku)

    def drop_product(self, product: Product) -> Done:
        """Delete a product and its stock for good."""
        del self.products[product.number], self._by_tail[product.tail]
        self.dropped[product.number] = product  # orders go on naming it
        for place in self._rows.get(product.number, ()):
            self.stock.pop(place, None)
        self.revision += 1
        return Done("product", product.tail, "deleted", product.sku)

    def product_at(self, tail: str) -> Product | None:
        """The product whose URL ends in ``tail``."""
        number = self._by_tail.get(tail)
        return None if number is None else self.products[number]

    def ever(self, number: int) -> Product:
        """The product with a number, even if it was deleted."""
        return self.products.get(number) or self.dropped[number]

    def tail_of(self, number: int | None) -> str | None:
        """The end of a product's URL, ``None`` for an unknown product."""
        return None if number is None else self.ever(number).tail

    def by_update(self) -> list[Product]:
        """All products, oldest edit first, then by URL."""
        if self._sorted[0] != self.revision:
            ordered = sorted(self.products.values(), key=lambda product: (product.updated, product.tail))
            self._sorted = (self.revision, ordered)
        return self._sorted[1]

    def new_order_id(self, *, is_purchase: bool) -> str:
        """The next unused id: a client may have chosen any."""
        while True:
            id_ = f"{'p' if is_purchase else ''}{self.next_order:05d}"
            self.next_order += 1
            if id_ not in self.orders:
                return id_

    def put_order(self, order: Order) -> Order:
        """Add or replace an order."""
        self.orders[order.id] = order
        return order

    def put_shipment(self, shipment: Shipment) -> Shipment:
        """Add or replace a shipment."""
        if shipment.id not in self.shipments:
            self._shipped.setdefault(shipment.order_id, []).append(shipment.id)
        self.shipments[shipment.id] = shipment
        return shipment

    def shipments_of(self, order: Order) -> list[Shipment]:
        """The shipments of an order, oldest first."""
        return [self.shipments[id_] for id_ in self._shipped.get(order.id, ())]

    def move(self, place: Place, by: Decimal) -> Done:
        """Change a stock row by an amount."""
        if place not in self.row_ids:
            self.enter(place, 100_000 + len(self.row_ids))
        amount = self.stock.get(place, Decimal(0)) + by
        if amount:
            self.stock[place] = amount
        else:
            self.stock.pop(place, None)
        product = self.products[place.number]
        key = f"{product.tail}/{place.facility_id}/{self.state_of(place)}"
        return Done("stock", key, f"{by:+f}", product.sku)

    def enter(self, place: Place, row_id: int) -> None:
        """Give a stock row its id, which it keeps even while it has no goods."""
        self.row_ids[place] = row_id
        self.places.append(place)
        self._rows.setdefault(place.number, []).append(place)

    def state_of(self, place: Place) -> str:
        """Whether a stock row is on hand, on order or reserved."""
        if not place.order_id:
            return "on_hand"
        return "on_order" if self.orders[place.order_id].is_purchase else "reserved"

    def stores(self) -> list[Facility]:
        """The top-level facilities."""
        return [facility for facility in self.facilities.values() if facility.parent_id is None]

    def shelves(self) -> list[Facility]:
        """The sublocations, where goods lie."""
        return [facility for facility in self.facilities.values() if facility.parent_id is not None]

    def suppliers(self) -> list[Party]:
        """The parties that are suppliers."""
        return [party for party in self.parties.values() if "SUPPLIER" in party.roles]

    def some_product(self, *, wanted: Callable[[Product], bool] = lambda product: True) -> Product:
        """A random product that fits; raises ``NothingFits`` when none is found soon."""
        for _ in range(50 if self.products else 0):
            number = self.dice.randrange(1, self.next_number)
            product = self.products.get(number)
            if product is not None and wanted(product):
                return product
        raise NothingFits

    def some_stock(self) -> Place:
        """A random row with goods on hand; raises ``NothingFits`` when none is found soon."""
        for _ in range(50 if self.places else 0):
            place = self.places[self.dice.randrange(len(self.places))]
            if not place.order_id and self.stock.get(place, 0) > 0:
                return place
        raise NothingFits

    def rows_of(self, number: int) -> list[Place]:
        """The rows on hand of a product."""
        return [place for place in self._rows.get(number, ()) if place in self.stock and not place.order_id]

    def some_order(self, fits: Callable[[Order], object]) -> Order:
        """A random order that fits; raises ``NothingFits``."""
        return self.some([order for order in self.orders.values() if fits(order)])

    def some(self, candidates: Sequence[Candidate]) -> Candidate:
        """A random one among some; raises ``NothingFits`` when there are none."""
        if not candidates:
            raise NothingFits
        return self.dice.choice(candidates)
