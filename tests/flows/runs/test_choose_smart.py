"""What a smart run goes by, and what it chooses when a kind may not be read."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain import Kind, Options, Strategy
from app.errors import VendorForbidden
from app.flows.connections.health import judge
from app.flows.items.leases import LeaseKeeper
from app.flows.runs import choose_smart
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.stores.runs import runs
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing


@pytest.fixture
def world(database: Database) -> World:
    """A shop of which only vendors were never read: smart would read them first."""
    world = World(database)
    world.source.kinds = (Kind.VENDOR, Kind.PRODUCT)
    return world


def test_smart_never_chooses_a_kind_that_may_not_be_read(world: World) -> None:
    judge(world.deps, SHOP, Kind.VENDOR, VendorForbidden("403: VENDOR_READ"))
    choice = choose_smart.choose_smart(world.deps, SHOP)
    assert choice.strategy is not Strategy.VENDORS
    assert "vendor" not in choice.reason


def test_smart_still_chooses_something_when_no_kind_may_be_read(world: World) -> None:
    for kind in world.source.kinds:
        judge(world.deps, SHOP, kind, VendorForbidden("403"))
    assert choose_smart.choose_smart(world.deps, SHOP).strategy in Strategy


# --- what it goes by ---


@pytest.fixture
def read_once(database: Database) -> World:
    """A shop of which everything was read an hour ago, its stock in one call and its products in four."""
    world = World(database, FakeSource(page_size=10))
    world.source.kinds = (Kind.PRODUCT, Kind.STOCK)
    world.source.put(*(listing(f"P{number:02}", category="Bowls") for number in range(40)))
    world.source.put(*(count(f"P{number:02}", 0 if number < 3 else 5) for number in range(40)))
    run_strategy(world, Strategy.CATALOG)
    run_strategy(world, Strategy.INVENTORY)
    return world


def run_strategy(world: World, strategy: Strategy, **options: Any) -> None:
    run_id = request_run(world.deps, SHOP, strategy, Options(**options), cause="person")
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    world.clock.pass_(3600)


SOME: list[tuple[Strategy, dict[str, Any]]] = [
    (Strategy.CRITICAL, {}),
    (Strategy.CATEGORY, {"category": "Bowls"}),
    (Strategy.CATALOG, {"limit": 5}),
    (Strategy.FULL, {"modified_since": datetime(2026, 1, 1, tzinfo=UTC)}),
    (Strategy.ACTIVE, {}),
]


@pytest.mark.parametrize(("strategy", "options"), SOME, ids=str)
def test_a_run_that_reads_some_rows_of_a_kind_is_not_taken_for_its_last_read(
    read_once: World, strategy: Strategy, options: dict[str, Any]
) -> None:
    before = last_reads(read_once)
    run_strategy(read_once, strategy, **options)
    assert last_reads(read_once) == before


def last_reads(world: World) -> dict[Kind, datetime]:
    with world.database.read() as conn:
        return choose_smart.last_reads(runs.completed(conn, SHOP))


def test_where_only_a_few_rows_were_ever_read_nothing_is_said_to_have_been(database: Database) -> None:
    world = World(database)
    world.source.put(listing("A"), listing("B"))
    run_strategy(world, Strategy.CATALOG, limit=1)
    assert "no run has read anything yet" in choose_smart.choose_smart(world.deps, SHOP).reason


def test_a_run_that_was_stopped_by_its_limit_is_no_price_of_its_strategy(read_once: World) -> None:
    before = prices(read_once)
    run_strategy(read_once, Strategy.CATALOG, limit=5)
    assert prices(read_once) == before


def test_a_run_that_smart_chose_is_a_price_of_what_it_chose(world: World) -> None:
    run_strategy(world, Strategy.SMART)
    assert Strategy.FULL in prices(world)


def prices(world: World) -> dict[Strategy, float]:
    with world.database.read() as conn:
        return choose_smart.prices(runs.completed(conn, SHOP))
