"""Items that were being worked on when a worker process died: which of them may be worked on together."""

from collections.abc import Iterator

import pytest

from app.domain import Cause, Change, ItemKey, Kind
from app.errors import KilledWorker
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.items.sweep import sweep
from app.flows.items.sync_item import sync_item
from app.stores import owed
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, listing

ITEMS = ("A", "B", "C")


def key(external_id: str) -> ItemKey:
    return ItemKey(SHOP, Kind.PRODUCT, external_id)


@pytest.fixture
def world(database: Database) -> World:
    """A shop that is asked for a hundred items at a time; three are owed."""
    world = World(database, FakeSource(batch=100))
    world.source.put(*(listing(item) for item in ITEMS))
    with database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, item) for item in ITEMS], Cause.WEBHOOK, world.clock())
    return world


@pytest.fixture
def keeper(database: Database) -> Iterator[LeaseKeeper]:
    """One worker process."""
    keeper = LeaseKeeper(database)
    yield keeper
    keeper.stop()


def die_working_on_all(world: World, times: int) -> None:
    """So often a process dies while it works on every item."""
    for _ in range(times):
        for item in ITEMS:
            with world.database.begin() as conn:
                assert owed.claim(conn, key(item), more=0, lease=LEASE, now=world.clock())
        world.clock.pass_(LEASE + 1)


def owed_now(world: World) -> list[tuple[str, int, bool]]:
    """Per item: external id, kills, whether somebody has a lease."""
    with world.database.read() as conn:
        query = "SELECT external_id, kills, lease_until IS NOT NULL FROM owed_items ORDER BY external_id"
        return [(item, kills, bool(leased)) for item, kills, leased in conn.exec_driver_sql(query)]


def test_after_one_death_items_are_still_fetched_together(world: World, keeper: LeaseKeeper) -> None:
    die_working_on_all(world, 1)
    sync_item(world.deps, keeper, key("A"))
    assert [sorted(request) for request in world.source.requests] == [["A", "B", "C"]]


def test_after_two_deaths_each_item_is_fetched_alone(world: World, keeper: LeaseKeeper) -> None:
    die_working_on_all(world, 2)
    for item in ITEMS:
        sync_item(world.deps, keeper, key(item))
    assert world.source.requests == [("A",), ("B",), ("C",)]


def test_items_that_were_only_near_the_deaths_are_settled(world: World, keeper: LeaseKeeper) -> None:
    die_working_on_all(world, 2)
    for item in ITEMS:
        sync_item(world.deps, keeper, key(item))
    assert owed_now(world) == []


def test_a_process_works_on_one_suspect_at_a_time(world: World, keeper: LeaseKeeper) -> None:
    die_working_on_all(world, 2)
    world.source.meanwhile = lambda: sync_item(world.deps, keeper, key("B"))
    sync_item(world.deps, keeper, key("A"))
    assert world.source.requests == [("A",)]


def test_a_suspect_that_must_wait_is_not_leased(world: World, keeper: LeaseKeeper) -> None:
    """A lease would be one more of its kills, should the process die of the other one."""
    die_working_on_all(world, 2)
    seen: list[tuple[str, int, bool]] = []

    def look() -> None:
        before = owed_now(world)
        sync_item(world.deps, keeper, key("B"))
        seen.extend(row for row in owed_now(world) if row not in before)

    world.source.meanwhile = look
    sync_item(world.deps, keeper, key("A"))
    assert seen == []


def test_a_suspect_that_had_to_wait_is_sent_again(world: World, keeper: LeaseKeeper) -> None:
    die_working_on_all(world, 2)
    world.source.meanwhile = lambda: sync_item(world.deps, keeper, key("B"))
    sync_item(world.deps, keeper, key("A"))
    sweep(world.deps)
    assert key("B") in world.queue.enqueued


def test_another_process_works_on_another_suspect(world: World, keeper: LeaseKeeper) -> None:
    die_working_on_all(world, 2)
    elsewhere = LeaseKeeper(world.database)
    nested: list[str] = []

    def once() -> None:
        if not nested:
            nested.append("B")
            sync_item(world.deps, elsewhere, key("B"))

    world.source.meanwhile = once
    sync_item(world.deps, keeper, key("A"))
    elsewhere.stop()
    assert world.source.requests == [("A",), ("B",)]


def test_a_fresh_item_is_not_kept_waiting_by_a_suspect(world: World, keeper: LeaseKeeper) -> None:
    die_working_on_all(world, 2)
    world.source.put(listing("fresh"))
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, "fresh")], Cause.WEBHOOK, world.clock())
    nested: list[str] = []

    def once() -> None:
        if not nested:
            nested.append("fresh")
            sync_item(world.deps, keeper, key("fresh"))

    world.source.meanwhile = once
    sync_item(world.deps, keeper, key("A"))
    assert world.source.requests == [("A",), ("fresh",)]


def test_after_three_deaths_an_item_is_not_fetched_any_more(world: World, keeper: LeaseKeeper) -> None:
    die_working_on_all(world, 3)
    with pytest.raises(KilledWorker):
        sync_item(world.deps, keeper, key("A"))
    assert world.source.requests == []


def test_a_settled_item_is_no_suspect_any_more(world: World, keeper: LeaseKeeper) -> None:
    die_working_on_all(world, 2)
    for item in ITEMS:
        sync_item(world.deps, keeper, key(item))
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, item) for item in ITEMS], Cause.WEBHOOK, world.clock())
    world.source.requests.clear()
    sync_item(world.deps, keeper, key("A"))
    assert [sorted(request) for request in world.source.requests] == [["A", "B", "C"]]
