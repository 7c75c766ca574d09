"""One simulated account: its world, the shop's life in it, and what survives a restart: what changed since the opening."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from app.sources.simulating import account, state_file
from app.sources.simulating.account import Changed
from app.sources.simulating.answers import Json
from app.sources.simulating.state_file import SHORTEST_REST, Keeper
from app.sources.square.simulator.bill import Order
from app.sources.square.simulator.catalog_things import CatalogChanges
from app.sources.square.simulator.counts import Change, Count
from app.sources.square.simulator.pages import Pages
from app.sources.square.simulator.places import Location, Vendor
from app.sources.square.simulator.settings import Faults, Options
from app.sources.square.simulator.shop_life import ShopLife
from app.sources.square.simulator.truth import Truth
from app.sources.square.simulator.webhooks import OutboxState
from app.sources.square.simulator.world import World

FORMAT = 1
LEAD_US = 250_000  # no process is up again faster

Dice = tuple[int, tuple[int, ...], float | None]
"""What ``random.Random.getstate`` gives."""


class Account(account.Account):
    """Everything the endpoints share."""

    switches = Faults
    options: Options

    def __init__(self, world: World) -> None:
        self.world = world
        self.options = world.options
        self.outbox = world.outbox
        self.keeper = keeper_of(world)
        self.life = ShopLife(world)
        world.on_change = world.outbox.on_try = self.keeper.changed

    def happen(self, count: int = 1, kinds: Sequence[str] = ()) -> list[Changed]:
        """Changes of some kinds of record, or with some names of ``shop_life.HAPPENINGS``."""
        return self.life.happen(count, kinds)

    def repair(self) -> None:
        """Every order has another ``updated_at``, those of the API another version; no webhook tells of it, a poll does."""
        for order in self.world.orders.by_id.values():
            self.world.orders.save(order)
        self.keeper.changed()

    def pause(self) -> float | None:
        """The same time always, from the rate in the options."""
        rate = self.options.changes_per_minute
        return 60 / rate if rate > 0 else None

    def truths(self) -> Mapping[str, Callable[[], Iterable[Json]]]:
        """Iterators, so that 600,000 rows need no memory."""
        return Truth(self.world).kinds

    def status(self) -> Json:
        """Sizes, calls, webhooks and options."""
        world = self.world
        return {
            "items": world.catalog.items,
            "variations": world.catalog.wares,
            "orders": len(world.orders.by_id),
            "locations": len(world.places.locations),
            "vendors": len(world.places.vendors),
            "requests": dict(world.requests),
            "answers": {str(code): times for code, times in world.answers.items()},
            "webhooks": {**world.outbox.status(), "enabled": world.outbox.own.enabled},
            "options": msgspec.structs.asdict(world.options),
        }


class Kept(msgspec.Struct):
    """A world as it is saved. Its opening merchandise is not saved, because seed and size determine it."""

    format: int
    seed: int
    size: tuple[int, int, int]  # items, locations and vendors at the opening
    clock_us: int
    catalog: CatalogChanges
    counts: list[Count]
    orders: list[Order]
    locations: list[Location]
    vendors: list[Vendor]
    outbox: OutboxState
    dice: Dice
    fault_dice: Dice
    moves: list[Change] = []  # of inventory


def opened(options: Options) -> World:
    """The saved world if ``state_file`` has one, else a new one.

    A saved world keeps the size of its opening, whatever the options say. Raises ``ValueError`` for a file with
    another shop or none.
    """
    kept = _load(options)
    if kept is None:
        return World(options)
    options.products, options.locations, options.vendors = kept.size
    world = World(options)
    _restore(world, kept)
    return world


def _load(options: Options) -> Kept | None:
    path = options.state_file
    kept = state_file.load(path, Kept)
    if kept is not None and kept.format != FORMAT:
        raise state_file.unusable(path, f"has format {kept.format}, not {FORMAT}")
    if kept is not None and kept.seed != options.seed:
        raise state_file.unusable(path, f"has seed {kept.seed}, not {options.seed}")
    return kept


def _restore(world: World, kept: Kept) -> None:
    world.clock.resume(kept.clock_us)
    world.catalog.restore(kept.catalog)
    world.counts.restore(kept.counts)
    world.counts.moves[:] = kept.moves
    world.orders.by_id = {order.id: order for order in kept.orders}
    world.places.locations[:] = kept.locations
    world.places.vendors[:] = kept.vendors
    world.outbox.restore(kept.outbox)
    world.dice.setstate(kept.dice)
    world.fault_dice.setstate(kept.fault_dice)
    # a cursor of before the restart must not lead anywhere
    world.pages = Pages(world.options, world.fault_dice, first=world.clock.tick_us())


def snapshot(world: World) -> Kept:
    """The present state; it shares its rows with the world."""
    return Kept(
        format=FORMAT,
        seed=world.options.seed,
        size=(world.options.products, world.options.locations, world.options.vendors),
        clock_us=world.clock.latest_us(),
        catalog=world.catalog.changes(),
        counts=world.counts.changes(),
        orders=list(world.orders.by_id.values()),
        locations=world.places.locations,
        vendors=world.places.vendors,
        outbox=world.outbox.state(),
        dice=world.dice.getstate(),
        fault_dice=world.fault_dice.getstate(),
        moves=world.counts.moves,
    )


def keeper_of(world: World, shortest_rest: float = SHORTEST_REST) -> Keeper:
    """Saves a world. Stamps ahead of the present do not wait: after a kill the wall clock alone would repeat them."""
    return Keeper(
        world.options.state_file,
        partial(snapshot, world),
        is_urgent=lambda: world.clock.lead_us() > LEAD_US,
        shortest_rest=shortest_rest,
    )
