"""A stopped run goes on behind its kept pages, unless the kind was read as a whole meanwhile."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from app.domain import ALL_ITEMS, ItemKey, Kind, Strategy
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.runs.request_run import cancel_run, resume_run
from app.flows.runs.run import run
from app.stores import catalog
from app.stores.sql.engine import Database
from tests.dying import Dying
from tests.dying import Killed as Died
from tests.fakes import SHOP, FakeSource, World, listing
from tests.flows.items.test_pull import owe, pull
from tests.flows.runs.test_run import Killed, carry_out, die_at, open_run, recover

PRODUCTS = 45


@pytest.fixture
def world(database: Database) -> World:
    world = World(database, FakeSource(page_size=10))
    world.source.put(*(listing(f"P{number:03}") for number in range(PRODUCTS)))
    return world


def live(world: World) -> int:
    with world.database.read() as conn:
        return catalog.counts(conn, SHOP)[Kind.PRODUCT][0]


def stopped_midway(world: World) -> int:
    """A full run whose process dies when two pages of products are behind it."""
    run_id = open_run(world)
    die_at(world, 2)
    with pytest.raises(Killed):
        run(world.deps, LeaseKeeper(world.database), run_id)
    recover(world)
    return run_id


def test_what_a_first_load_did_not_show_any_more_is_not_brought_back_by_an_older_run(world: World) -> None:
    run_id = stopped_midway(world)
    del world.source.listings["P001"]
    pull(world)
    carry_out(world, run_id)
    assert live(world) == PRODUCTS - 1


def test_what_a_later_run_did_not_show_any_more_is_not_brought_back_by_an_older_one(world: World) -> None:
    run_id = open_run(world)
    world.source.on_page = lambda number: cancel_run(world.deps, SHOP, run_id) if number == 2 else None
    carry_out(world, run_id)
    world.source.on_page = lambda number: None
    world.clock.pass_(10)
    del world.source.listings["P001"]
    carry_out(world, open_run(world))
    resume_run(world.deps, SHOP, run_id)
    carry_out(world, run_id)
    assert live(world) == PRODUCTS - 1


def test_a_poll_of_what_changed_makes_no_run_read_its_pages_again(world: World) -> None:
    carry_out(world, open_run(world))
    world.clock.pass_(10)
    run_id = stopped_midway(world)
    pull(world)
    read_before = len(world.source.pages_read)
    carry_out(world, run_id)
    assert len(world.source.pages_read) - read_before <= PRODUCTS // 10


@pytest.mark.parametrize("at", range(8))
def test_a_pull_that_died_after_it_wrote_has_overtaken_an_older_run(world: World, at: int) -> None:
    run_id = stopped_midway(world)
    del world.source.listings["P001"]
    owe(world, ALL_ITEMS)
    dying: Any = Dying(world.database, at, after=True, reads=False)
    with suppress(Died):
        sync_item(
            replace(world.deps, database=dying), LeaseKeeper(world.database), ItemKey(SHOP, Kind.PRODUCT, ALL_ITEMS)
        )
    has_written = live(world) > 0
    world.clock.pass_(60)
    carry_out(world, run_id)
    assert live(world) == PRODUCTS - 1 or not has_written


def test_a_pull_of_a_whole_kind_counts_as_a_read_of_it(world: World) -> None:
    world.source.whole_kinds = (Kind.PRODUCT, Kind.STOCK)
    run_id = stopped_midway(world)
    del world.source.listings["P001"]
    pull(world)
    ended = carry_out(world, run_id)
    assert (ended.status, live(world)) == ("completed", PRODUCTS - 1)


def test_a_row_that_a_later_whole_read_did_not_show_is_not_brought_back_by_a_run_of_what_is_active(
    world: World,
) -> None:
    carry_out(world, open_run(world))
    world.source.put(listing("NEW"))
    run_id = open_run(world, Strategy.ACTIVE)
    world.source.on_page = lambda number: cancel_run(world.deps, SHOP, run_id) if number == 4 else None
    world.source.listings = dict(sorted(world.source.listings.items()))
    carry_out(world, run_id)
    world.source.on_page = lambda number: None
    world.clock.pass_(10)
    del world.source.listings["NEW"]
    carry_out(world, open_run(world))
    resume_run(world.deps, SHOP, run_id)
    carry_out(world, run_id)
    assert live(world) == PRODUCTS
