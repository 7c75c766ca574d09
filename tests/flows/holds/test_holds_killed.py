"""A process dies between any two transactions while a hold takes the place of another: no row that waited is forgotten."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from app.domain import ItemKey, Kind
from app.flows.holds import holds
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.stores import owed
from app.stores.guard import held_rows
from app.stores.sql.engine import Database
from tests.dying import Dying, Killed
from tests.fakes import SHOP, World, listing
from tests.flows.holds.test_doubted_items import ALL, NamingSource, drain, owe, send_webhooks
from tests.flows.holds.test_holds import only, price, prices, read_all

SHOWN = ALL[:22]
STEPS = range(10)
"""More writing transactions than either story has; ``test_the_stories_end`` says so."""


@pytest.fixture
def world(database: Database) -> World:
    """A shop of 24 products at 10.00, of which a price a hundred times as high is held."""
    world = World(database, NamingSource(batch=100))
    world.source.put(*(listing(id, price_minor=1_000) for id in ALL))
    read_all(world)
    price(world)
    send_webhooks(world)
    return world


def show(world: World, price_minor: int, *, dies_at: int) -> None:
    """22 of the products are edited and announced; the process that looks dies, and another goes on."""
    for id in SHOWN:
        world.source.put(listing(id, 11, price_minor=price_minor))
    owe(world, Kind.PRODUCT, SHOWN)
    dying: Any = Dying(world.database, dies_at, after=False, reads=False)
    with suppress(Killed):
        look(world, dying)
    world.clock.pass_(2 * LEASE)
    drain(world)


def look(world: World, database: Any) -> None:
    """One message's work: the other items come with it."""
    keeper = LeaseKeeper(world.database, world.clock)
    sync_item(replace(world.deps, database=database), keeper, ItemKey(SHOP, Kind.PRODUCT, SHOWN[0]))


@pytest.mark.parametrize("at", STEPS)
def test_what_is_left_of_a_hold_that_became_plausible_is_looked_at(world: World, at: int) -> None:
    show(world, 900, dies_at=at)
    assert (holds.list_(world.deps), prices(world)) == ([], {900, 100_000})


@pytest.mark.parametrize("at", STEPS)
def test_what_waited_waits_still_where_another_batch_is_held(world: World, at: int) -> None:
    show(world, 10_000_000, dies_at=at)
    hold = only(world)
    with world.database.read() as conn:
        rows = held_rows.page(conn, hold.id, Kind.PRODUCT)
    assert (sorted(row.key[0] for row in rows), prices(world)) == (ALL, {1_000})


@pytest.mark.parametrize("price_minor", [900, 10_000_000])
def test_the_stories_end(world: World, price_minor: int) -> None:
    for id in SHOWN:
        world.source.put(listing(id, 11, price_minor=price_minor))
    owe(world, Kind.PRODUCT, SHOWN)
    look(world, Dying(world.database, len(STEPS), after=False, reads=False))
    with world.database.read() as conn:
        assert owed.count(conn) == (2 if price_minor == 900 else 0)
