"""The guard in a shop of a few rows: what an empty answer would take is held, what a merchant does is not."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from app.domain import ON_HAND, RESERVED, Options, Strategy
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.stores.guard import holds
from app.stores.runs import runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing

SIZE = 24


@pytest.fixture
def world(database: Database) -> World:
    """A shop of 24 products with 24 counts, read once."""
    world = World(database)
    world.source.put(*(listing(f"P{number}") for number in range(SIZE)))
    world.source.put(*(count(f"P{number}", 5) for number in range(SIZE)))
    read_all(world)
    return world


def read_all(world: World) -> Run:
    return read(world, Strategy.FULL)


def read(world: World, strategy: Strategy) -> Run:
    world.clock.pass_(86_400)
    run_id = request_run(world.deps, SHOP, strategy, Options(), cause="schedule")
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    with world.database.read() as conn:
        ended = runs.get(conn, run_id)
    assert ended is not None
    return ended


def held(world: World) -> dict[str, str]:
    with world.database.read() as conn:
        return {hold.kind: hold.reason for hold in holds.open_(conn)}


def live(world: World) -> tuple[int, int]:
    """Products, and counts above zero."""
    with world.database.read() as conn:
        products = conn.exec_driver_sql("SELECT count(*) FROM listings WHERE NOT deleted").scalar()
        counts = conn.exec_driver_sql("SELECT count(*) FROM stock WHERE quantity > 0").scalar()
    return int(products or 0), int(counts or 0)


def test_two_empty_answers_empty_nothing_and_wait_for_a_person(world: World) -> None:
    world.source.listings.clear()
    world.source.counts.clear()
    read_all(world)
    assert live(world) == (SIZE, SIZE)
    assert held(world) == {
        "product": "would delete 24 of 24 rows (100%)",
        "stock": "would zero 24 of 24 rows (100%)",
    }


def test_a_few_products_that_a_merchant_deletes_go(world: World) -> None:
    for number in range(2):
        del world.source.listings[f"P{number}"]
    read_all(world)
    assert (live(world)[0], held(world)) == (SIZE - 2, {})


def test_counts_that_sell_out_on_a_good_day_are_written(world: World) -> None:
    world.source.put(*(count(f"P{number}", 0, version=9) for number in range(6)))
    read_all(world)
    assert (live(world)[1], held(world)) == (SIZE - 6, {})


def test_a_third_of_the_products_of_a_small_shop_gone_at_once_is_held(world: World) -> None:
    for number in range(8):
        del world.source.listings[f"P{number}"]
    read_all(world)
    assert (live(world)[0], set(held(world))) == (SIZE, {"product"})


@pytest.mark.parametrize("unshown", [set[str](), {f"P{number}" for number in range(SIZE)}], ids=["gone", "not shown"])
def test_an_account_that_knows_none_of_our_products_is_another_one(world: World, unshown: set[str]) -> None:
    world.source.listings.clear()
    world.source.not_yet = unshown
    world.source.put(*(listing(f"Q{number}", version=9) for number in range(SIZE)))
    read(world, Strategy.INCREMENTAL)
    assert held(world)["product"] == "looks like another account: 20 of 20 of our products are unknown there"


@pytest.mark.parametrize(("state", "held"), [(RESERVED, False), (ON_HAND, True)])
def test_what_orders_reserved_may_go_from_most_of_a_place_at_once(database: Database, state: str, held: bool) -> None:
    world = World(database, FakeSource())
    elsewhere = replace(count("", 40), state=RESERVED if state == ON_HAND else ON_HAND, location_id="L2")
    for number in range(17):
        id = f"P{number:02}"
        world.source.put(listing(id), replace(count(id, 4), state=state))
        world.source.counts[f"{id} elsewhere"] = replace(elsewhere, listing_id=id)
    read_all(world)
    for id in [f"P{number:02}" for number in range(10)]:  # four of each are shipped
        world.source.put(replace(count(id, 0, version=9), state=state))
        left = replace(elsewhere, listing_id=id, quantity=Decimal(36), version=9_000_000)
        world.source.counts[f"{id} elsewhere"] = left
    read_all(world)
    with database.read() as conn:
        assert bool(holds.open_(conn)) is held
