"""One simulated account: its world, its limits, its bridge, its counters, and what survives a restart: the whole world."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial

import msgspec
from msgspec.structs import replace

from app.sources.finale.simulator import truth
from app.sources.finale.simulator.bridge import Bridge
from app.sources.finale.simulator.limits import Limits
from app.sources.finale.simulator.opening import opened
from app.sources.finale.simulator.records import Done, Facility, Order, Party, Place, Product, Shipment
from app.sources.finale.simulator.settings import Faults, Options
from app.sources.finale.simulator.shop_life import happen
from app.sources.finale.simulator.world import World
from app.sources.simulating import account, state_file
from app.sources.simulating.account import Changed
from app.sources.simulating.answers import Json
from app.sources.simulating.settings import active
from app.sources.simulating.state_file import Keeper


class Account(account.Account):
    """Everything the endpoints share."""

    switches = Faults
    options: Options

    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        self.options = options
        self.clock = clock
        self.world = load(options, clock) or opened(options, clock)
        self.limits = Limits(options, clock)
        self.outbox: Bridge = Bridge(options, random.Random(options.seed + 1))
        self.keeper = Keeper(options.state_file, partial(snapshot, self.world))
        self.requests: Counter[str] = Counter()
        self.changes = 0

    def happen(self, count: int = 1, kinds: Sequence[str] = ()) -> list[Changed]:
        """Events of the shop's life, reported to the bridge; raises ``ValueError`` where none can happen."""
        changed: list[Changed] = []
        for _ in range(count):
            done = happen(self.world, kinds)
            self.note(done)
            changed += [Changed(one.kind, one.external_id, one.what) for one in done]
        return changed

    def note(self, done: Sequence[Done]) -> None:
        """Report and save a change that the shop's life or a POST made."""
        self.changes += 1
        self.outbox.report(done)
        self.keeper.changed()

    def repair(self) -> None:
        """Every order has another ``lastUpdatedDate``."""
        now = self.world.now()
        orders = [self.world.put_order(replace(order, updated=now)) for order in list(self.world.orders.values())]
        self.note([Done("order", order.id, "updated") for order in orders])

    def pause(self) -> float | None:
        """A random time, as customers come."""
        rate = self.options.changes_per_minute
        return self.world.dice.expovariate(rate / 60) if rate > 0 else None

    def truths(self) -> Mapping[str, Callable[[], list[Json]]]:
        """Lists rather than iterators, so that no change comes in between."""
        return {kind: partial(truth.rows, self.world, kind) for kind in truth.KINDS}

    def status(self) -> Json:
        """Counts, requests by path, refusals, and the faults that are switched on."""
        world = self.world
        counts = {
            "product": len(world.products),
            "stock": len(world.stock),
            "order": len(world.orders),
            "location": len(world.facilities),
            "vendor": len(world.suppliers()),
        }
        return {
            "counts": counts,
            "changes": self.changes,
            "requests": dict(self.requests),
            "refused_429": self.limits.refused,
            "webhooks": self.outbox.status(),
            "faults": active(self.options, Faults),
        }


class Kept(msgspec.Struct):
    """A world as it is saved."""

    products: list[Product]
    dropped: list[Product]
    facilities: list[Facility]
    parties: list[Party]
    orders: list[Order]
    stock: list[tuple[Place, Decimal]]
    row_ids: list[tuple[Place, int]]
    next_number: int
    next_order: int
    seed: int
    shipments: list[Shipment] = []


def snapshot(world: World) -> Kept:
    """The present state."""
    return Kept(
        products=list(world.products.values()),
        dropped=list(world.dropped.values()),
        facilities=list(world.facilities.values()),
        parties=list(world.parties.values()),
        orders=list(world.orders.values()),
        stock=list(world.stock.items()),
        row_ids=list(world.row_ids.items()),
        next_number=world.next_number,
        next_order=world.next_order,
        seed=world.dice.getrandbits(32),
        shipments=list(world.shipments.values()),
    )


def load(options: Options, clock: Callable[[], float]) -> World | None:
    """The saved world, ``None`` when there is none yet; raises ``ValueError`` for a file that holds none."""
    kept = state_file.load(options.state_file, Kept)
    if kept is None:
        return None
    world = World(options, clock, kept.seed)
    for product in kept.products:
        world.put_product(product)
    world.dropped = {product.number: product for product in kept.dropped}
    world.facilities = {facility.id: facility for facility in kept.facilities}
    world.parties = {party.id: party for party in kept.parties}
    world.orders = {order.id: order for order in kept.orders}
    for shipment in kept.shipments:
        world.put_shipment(shipment)
    for place, row_id in kept.row_ids:
        world.enter(place, row_id)
    world.stock = dict(kept.stock)
    world.next_number, world.next_order = kept.next_number, kept.next_order
    return world
