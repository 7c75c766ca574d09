"""A new release of ours reads the same source otherwise: many rows change, and no merchant did it."""

from typing import Any

import pytest

from app.domain import Kind, Options, Strategy
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.stores.guard import holds
from app.stores.runs import drift
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, listing
from tests.rows import row_of

PRODUCT = Kind.PRODUCT
MANY = 60


@pytest.fixture
def world(database: Database) -> World:
    """A shop of which everything was read by an older release."""
    world = World(database, FakeSource())
    world.source.mapping = "older"
    put(world, price_minor=1000)
    carry_out(world)
    return world


def put(world: World, version: int = 5, **fields: Any) -> None:
    world.source.put(*(listing(f"P{number:02d}", version, **fields) for number in range(MANY)))


def carry_out(world: World) -> int:
    world.clock.pass_(60)
    run_id = request_run(world.deps, SHOP, Strategy.FULL, Options(), cause="person")
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    return run_id


def is_held(world: World) -> bool:
    with world.database.read() as conn:
        return holds.open_of(conn, SHOP, PRODUCT) is not None


def row(world: World, name: str = "P07") -> Any:
    with world.database.read() as conn:
        return row_of(conn, SHOP, PRODUCT, (name,))


def test_details_that_a_new_release_fills_in_are_written(world: World) -> None:
    world.source.mapping = "newer"
    put(world, price_minor=1000, category="Bath", category_path="Home / Bath", images='[{"id":"P1"}]', unit="kg")
    carry_out(world)
    assert (is_held(world), row(world)["category_path"]) == (False, "Home / Bath")


def test_prices_that_a_new_release_does_not_take_from_another_list_are_no_disaster(world: World) -> None:
    world.source.mapping = "newer"
    put(world, price_minor=None)
    carry_out(world)
    assert (is_held(world), row(world)["price_minor"]) == (False, None)


def test_such_differences_are_shown_as_ours(world: World) -> None:
    world.source.mapping = "newer"
    put(world, price_minor=None)
    run_id = carry_out(world)
    with world.database.read() as conn:
        assert {count.cause for count in drift.summary(conn, run_id)} == {"mapping"}


def test_the_same_loss_without_a_new_release_is_held(world: World) -> None:
    put(world, price_minor=None)
    carry_out(world)
    assert is_held(world)


def test_what_the_source_itself_changed_is_held_in_spite_of_a_new_release(world: World) -> None:
    world.source.mapping = "newer"
    put(world, version=9, price_minor=None)
    carry_out(world)
    assert is_held(world)


def test_products_that_end_are_held_in_spite_of_a_new_release(world: World) -> None:
    world.source.mapping = "newer"
    put(world, price_minor=1000, active=False)
    carry_out(world)
    assert is_held(world)


def test_after_that_read_the_same_loss_is_held_again(world: World) -> None:
    world.source.mapping = "newer"
    put(world, price_minor=1000, category="Bath")
    carry_out(world)
    put(world, price_minor=None, category="Bath")
    carry_out(world)
    assert is_held(world)
