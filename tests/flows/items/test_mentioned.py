"""A renamed category, another image: the listings that are told by it are read again, though they have not changed."""

from typing import Any

import pytest

from app.domain import ALL_ITEMS, Cause, Change, ItemKey, Kind, Mentioned, Options, Strategy, micros
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.stores import owed
from app.stores.runs import drift
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, listing
from tests.rows import row_of

PRODUCT = Kind.PRODUCT


@pytest.fixture
def world(database: Database) -> World:
    """A shop whose category was renamed after we had read its products."""
    world = World(database, FakeSource(storm=10))
    world.source.put(*(bath(name, "Bath") for name in ("A", "B")), listing("C", version=9))
    pull(world)
    world.clock.pass_(60)
    world.source.put(*(bath(name, "Bathroom") for name in ("A", "B")))
    world.source.mentioned = [Mentioned("C1", micros(world.clock()))]
    world.clock.pass_(60)
    return world


def bath(name: str, category: str) -> Any:
    return listing(name, version=5, category_id="C1", category=category, mentions='["C1"]')


def pull(world: World) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(PRODUCT, ALL_ITEMS)], Cause.POLL, world.clock())
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, ALL_ITEMS))


def owed_now(world: World) -> list[str]:
    with world.database.read() as conn:
        return sorted(one.key.external_id for one in owed.noted(conn, SHOP, PRODUCT))


def category(world: World, name: str) -> str:
    with world.database.read() as conn:
        row = row_of(conn, SHOP, PRODUCT, (name,))
    assert row is not None
    return str(row["category"])


def carry_out(world: World, **options: Any) -> int:
    run_id = request_run(world.deps, SHOP, Strategy.INCREMENTAL, Options(**options), cause="person")
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    return run_id


def test_a_pull_owes_the_items_that_mention_what_changed(world: World) -> None:
    pull(world)
    assert owed_now(world) == ["A", "B"]


def test_an_item_read_again_has_the_new_name_though_its_version_is_the_same(world: World) -> None:
    pull(world)
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, "A"))
    assert category(world, "A") == "Bathroom"


def test_an_item_that_was_read_since_is_not_owed_again(world: World) -> None:
    pull(world)
    for name in ("A", "B"):
        sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, name))
    pull(world)
    assert owed_now(world) == []


def test_a_run_that_reads_what_changed_owes_them_too(world: World) -> None:
    carry_out(world)
    assert {"A", "B"} <= set(owed_now(world))


def test_a_dry_run_says_what_the_new_name_would_change(world: World) -> None:
    run_id = carry_out(world, dry_run=True)
    with world.database.read() as conn:
        rows = drift.of_run(conn, run_id)
    assert {row.item for row in rows if "category" in row.fields} >= {"A", "B"}
