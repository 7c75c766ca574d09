"""The delta path: watermarks, first loads, storms, and what a pull may settle."""

from __future__ import annotations

from datetime import datetime

import pytest

from app.domain import WHOLE, Cause, Change, ItemKey, Kind
from app.errors import Unavailable
from app.flows.leases import LeaseKeeper
from app.flows.sweep import sweep
from app.flows.sync_item import sync_item
from app.stores import catalog, holds, owed, watermarks
from app.stores.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing

PRODUCT, STOCK = Kind.PRODUCT, Kind.STOCK


@pytest.fixture
def world(database: Database) -> World:
    return World(database, FakeSource(storm=10))


def owe(world: World, *external_ids: str, kind: Kind = PRODUCT) -> None:
    with world.database.begin() as conn:
        owed.remember(conn, SHOP, [Change(kind, item) for item in external_ids], Cause.POLL, world.clock())


def pull(world: World, kind: Kind = PRODUCT) -> None:
    owe(world, WHOLE, kind=kind)
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, kind, WHOLE))


def live(world: World, kind: Kind = PRODUCT) -> int:
    with world.database.read() as conn:
        return catalog.counts(conn, SHOP)[kind][0]


def owed_now(world: World) -> int:
    with world.database.read() as conn:
        return owed.count(conn)


def mark(world: World) -> str | None:
    with world.database.read() as conn:
        return watermarks.get(conn, SHOP, PRODUCT)


def test_a_first_pull_loads_everything(world: World) -> None:
    world.source.put(*(listing(f"P{n}") for n in range(40)))
    pull(world)
    assert live(world) == 40


def test_a_later_pull_asks_only_from_the_watermark_on(world: World) -> None:
    world.source.put(listing("A", version=5))
    pull(world)
    world.source.put(listing("B", version=9))
    pull(world)
    assert world.source.asked[-1] == ("delta product 5000000",)
    assert live(world) == 2


def test_a_pull_that_fails_leaves_the_watermark(world: World) -> None:
    world.source.put(listing("A", version=5))
    pull(world)
    world.source.failures.append(Unavailable("down"))
    pull(world)
    assert mark(world) == "5000000"
    assert owed_now(world) == 1, "the pull itself is still owed"


def test_a_pull_settles_the_owed_items_that_it_has_read(world: World) -> None:
    world.source.put(listing("A", version=5))
    pull(world)
    world.source.put(listing("B", version=6))
    owe(world, "B")
    pull(world)
    assert owed_now(world) == 0


def test_a_pull_settles_an_item_owed_by_its_sku(world: World) -> None:
    world.source.put(listing("A", version=5))
    pull(world)
    world.source.put(listing("B", version=6))
    owe(world, "sku:SKU-B")
    pull(world)
    assert owed_now(world) == 0


def test_a_pull_leaves_items_owed_that_it_has_not_seen(world: World) -> None:
    world.source.put(listing("A", version=5), listing("B", version=1))
    pull(world)
    owe(world, "B")
    pull(world)
    assert owed_now(world) == 1


def test_pulls_of_a_kind_keep_their_pace(database: Database) -> None:
    world = World(database, FakeSource(pace=30.0))
    pull(world)
    pull(world)
    assert world.source.calls() == 1
    world.clock.pass_(31)
    pull(world)
    assert world.source.calls() == 2


def test_a_storm_becomes_one_pull(world: World) -> None:
    world.source.put(listing("A", version=1))
    pull(world)
    items = [f"P{n}" for n in range(12)]
    world.source.put(*(listing(item, version=9) for item in items))
    owe(world, *items)
    sweep(world.deps)
    assert ItemKey(SHOP, PRODUCT, WHOLE) in world.queue.woken
    before = world.source.calls()
    for key in list(world.queue.woken):
        sync_item(world.deps, LeaseKeeper(world.database), key)
    assert world.source.calls() == before + 1
    assert owed_now(world) == 0


def test_stock_that_a_complete_read_no_longer_shows_is_zero(world: World) -> None:
    world.source.put(count("A", 5), count("B", 3))
    pull(world, STOCK)
    del world.source.counts["B"]
    world.clock.pass_(10)
    pull(world, STOCK)
    with world.database.read() as conn:
        row = catalog.get(conn, SHOP, STOCK, ("B", "L1", "on_hand"))
    assert row is not None
    assert row["quantity"] == 0
    assert not row["deleted"]


def test_a_read_that_would_zero_the_shop_is_held_after_a_second_look(world: World) -> None:
    world.source.put(*(count(f"P{n}", 5) for n in range(100)))
    pull(world, STOCK)
    world.source.counts.clear()
    world.clock.pass_(10)
    before = world.source.calls()
    pull(world, STOCK)
    assert world.source.calls() == before + 2
    with world.database.read() as conn:
        assert [hold["reason"] for hold in holds.open_(conn)] == ["would zero 100 of 100 rows (100%)"]
        row = catalog.get(conn, SHOP, STOCK, ("P1", "L1", "on_hand"))
    assert row is not None
    assert row["quantity"] == 5


def hold_everything(world: World) -> int:
    world.source.put(*(count(f"P{n}", 5) for n in range(100)))
    pull(world, STOCK)
    world.source.counts.clear()
    world.clock.pass_(10)
    pull(world, STOCK)
    with world.database.read() as conn:
        return int(holds.open_(conn)[0]["id"])


def test_a_hold_that_repeats_is_still_one_hold(world: World) -> None:
    hold_everything(world)
    world.clock.pass_(10)
    pull(world, STOCK)
    with world.database.read() as conn:
        assert len(holds.open_(conn)) == 1


def test_a_released_hold_lets_the_next_such_read_pass(world: World) -> None:
    hold_id = hold_everything(world)
    with world.database.begin() as conn:
        holds.close(conn, hold_id, "released")
    world.clock.pass_(10)
    pull(world, STOCK)
    with world.database.read() as conn:
        row = catalog.get(conn, SHOP, STOCK, ("P1", "L1", "on_hand"))
    assert row is not None
    assert row["quantity"] == 0


def test_a_hold_is_closed_when_a_later_read_is_plausible(world: World) -> None:
    hold_everything(world)
    world.source.put(*(count(f"P{n}", 5) for n in range(100)))
    world.clock.pass_(10)
    pull(world, STOCK)
    with world.database.read() as conn:
        assert holds.open_(conn) == []


def test_a_first_load_is_believed_although_webhooks_brought_some_rows_before(world: World) -> None:
    world.source.put(*(listing(f"P{n}") for n in range(100)))
    owe(world, "P1")
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, "P1"))
    pull(world)
    assert live(world) == 100


def test_a_held_pull_is_settled_as_held(world: World) -> None:
    hold_everything(world)
    with world.database.read() as conn:
        last = conn.exec_driver_sql("SELECT outcome FROM settlements ORDER BY id DESC LIMIT 1").scalar()
    assert last == "held"


def looked_at(world: World) -> tuple[str | None, datetime | None]:
    with world.database.read() as conn:
        return watermarks.get(conn, SHOP, STOCK), watermarks.pulled_at(conn, SHOP, STOCK)


def test_a_held_pull_counts_as_a_look_but_gets_no_further(world: World) -> None:
    world.source.put(*(count(f"P{n}", 5) for n in range(100)))
    pull(world, STOCK)
    before, _ = looked_at(world)
    world.source.counts.clear()
    world.clock.pass_(10)
    pull(world, STOCK)
    assert looked_at(world) == (before, world.clock())


def test_items_whose_pull_was_held_are_fetched_one_by_one(database: Database) -> None:
    world = World(database, FakeSource(storm=10))
    world.source.whole_kinds = (PRODUCT,)
    items = [f"P{n}" for n in range(100)]
    world.source.put(*(listing(item) for item in items))
    pull(world)
    world.source.listings = {item: world.source.listings[item] for item in items[:12]}
    world.clock.pass_(100)
    owe(world, *items[:12])
    world.clock.pass_(1)
    for _ in range(12):
        world.queue.woken.clear()
        sweep(world.deps)
        for key in [*world.queue.woken]:
            sync_item(world.deps, LeaseKeeper(database), key)
        world.clock.pass_(10)
    assert owed_now(world) == 0
