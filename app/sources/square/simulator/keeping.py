"""Keeps a simulated shop over a restart: all that changed since its opening in one file, replaced as a whole."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import msgspec

from app.sources.square.simulator.catalog_things import CatalogChanges
from app.sources.square.simulator.changes import Change
from app.sources.square.simulator.counts import Count
from app.sources.square.simulator.cursors import Cursors
from app.sources.square.simulator.order_things import Order
from app.sources.square.simulator.places import Location, Vendor
from app.sources.square.simulator.settings import Options
from app.sources.square.simulator.webhooks import OutboxState
from app.sources.square.simulator.world import World

FORMAT = 1
SHORTEST_REST, LONGEST_REST = 0.05, 5.0  # seconds between two saves
REST = 20  # a rest is so many times as long as the save before it: saving takes at most a twentieth of the time
LEAD_US = 250_000  # no process is up again faster

Dice = tuple[int, tuple[int, ...], float | None]
"""What ``random.Random.getstate`` gives."""


class Kept(msgspec.Struct):
    """A world as it is written down. The merchandise it opened with is not: that comes from seed and size."""

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


_READER = msgspec.msgpack.Decoder(Kept)


def opened(options: Options) -> World:
    """The kept world if ``state_file`` has one, else a new one.

    A kept world has the size it was opened with, whatever the options say. Raises ``ValueError`` for a file that
    keeps another shop or none.
    """
    kept = _load(options) if options.state_file else None
    if kept is None:
        return World(options)
    options.products, options.locations, options.vendors = kept.size
    world = World(options)
    _restore(world, kept)
    return world


def _load(options: Options) -> Kept | None:
    path = Path(options.state_file)
    if not path.exists():
        return None
    advice = f"delete {path} to begin with a new shop"
    try:
        kept = _READER.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise ValueError(
            f"simulator option: state_file holds no shop of this simulator ({error}); {advice}"
        ) from error
    if kept.format != FORMAT:
        raise ValueError(f"simulator option: state_file has format {kept.format}, not {FORMAT}; {advice}")
    if kept.seed != options.seed:
        raise ValueError(f"simulator option: state_file has seed {kept.seed}, not {options.seed}; {advice}")
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
    world.cursors = Cursors(first=world.clock.tick_us())  # a cursor of before the restart must not lead anywhere


def snapshot(world: World) -> Kept:
    """The state as of now; shares its rows with the world."""
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


class Keeper:
    """Saves a world soon after each change: at once while that is cheap, else after a rest."""

    def __init__(self, world: World, shortest_rest: float = SHORTEST_REST) -> None:
        self._world = world
        self._shortest_rest = shortest_rest
        self._path = Path(world.options.state_file)
        self._timer: asyncio.TimerHandle | None = None
        self._rested_at = 0.0

    def changed(self) -> None:
        """Something changed. Must be called on the event loop; the save comes after the changes of this turn."""
        # Stamps ahead of now do not wait: after a kill the wall clock alone would not keep them from coming again.
        hurry = self._world.clock.lead_us() > LEAD_US
        if self._timer is not None and not hurry:
            return
        if self._timer is not None:
            self._timer.cancel()
        rest = 0.0 if hurry else self._rested_at - time.monotonic()
        # From a timer, a full disk is an error in the log and not the end of the shop's life: the next change saves.
        self._timer = asyncio.get_running_loop().call_later(rest, self.save)

    def save(self) -> None:
        """Write beside the file, then over it, so that a kill leaves the old state or the new; raises ``OSError``."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        began = time.monotonic()
        beside = self._path.with_name(self._path.name + ".new")
        beside.write_bytes(msgspec.msgpack.encode(snapshot(self._world)))
        os.replace(beside, self._path)
        took = time.monotonic() - began
        self._rested_at = began + took + max(self._shortest_rest, min(LONGEST_REST, REST * took))
