"""What becomes of items that could not be fetched through no fault of their own."""

from datetime import timedelta

import pytest

from app.domain import Cause, Change, ItemKey, Kind
from app.errors import BudgetSpent, RateLimited, Unavailable
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.stores import owed
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, listing

ITEMS = ("A", "B", "C")


@pytest.fixture
def world(database: Database) -> World:
    """A shop with batch reads that owes three products."""
    world = World(database, FakeSource(batch=10))
    world.source.put(*map(listing, ITEMS))
    owe(world, *ITEMS)
    return world


def owe(world: World, *items: str) -> None:
    with world.database.begin() as conn:
        changes = [Change(Kind.PRODUCT, item) for item in items]
        owed.owe(conn, SHOP, changes, Cause.WEBHOOK, world.clock())


def sync(world: World, item: str) -> None:
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind.PRODUCT, item))


def asked_later(world: World, item: str) -> list[list[str]]:
    """What one message asks the vendor for once the backoff is over."""
    world.source.requests.clear()
    world.clock.moment += timedelta(minutes=5)
    sync(world, item)
    return [sorted(request) for request in world.source.requests]


def test_a_spent_budget_does_not_part_a_batch(world: World) -> None:
    world.source.failures.append(BudgetSpent("none left", retry_after=0.5))
    sync(world, "A")
    assert asked_later(world, "B") == [["A", "B", "C"]]


def test_a_spent_budget_is_no_failed_attempt(world: World) -> None:
    world.source.failures.append(BudgetSpent("none left", retry_after=0.5))
    sync(world, "A")
    with world.database.begin() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM attempts").scalar() == 0


def test_a_spent_budget_leaves_nothing_due_at_once(world: World) -> None:
    world.source.failures.append(BudgetSpent("none left", retry_after=0.5))
    sync(world, "A")
    with world.database.begin() as conn:
        assert owed.due(conn, world.clock()) == 0


def test_a_limit_counts_against_no_item(world: World) -> None:
    world.source.failures.append(RateLimited("slow down"))
    sync(world, "A")
    assert asked_later(world, "B") == [["A", "B", "C"]]


def test_an_item_that_is_limited_for_two_days_leaves_no_letter(world: World) -> None:
    world.source.down = RateLimited("slow down")
    for _ in range(600):
        world.clock.pass_(300)
        sync(world, "A")
    world.source.down = None
    assert asked_later(world, "A") == [["A", "B", "C"]]


def test_a_connection_that_is_limited_is_called_less_and_less(world: World) -> None:
    world.source.down = RateLimited("slow down")
    for _ in range(3600):
        world.clock.pass_(1)
        sync(world, "A")
    assert len(world.source.requests) < 40


def test_a_connection_that_answered_meanwhile_is_limited_anew(world: World) -> None:
    world.source.down = RateLimited("slow down")
    for _ in range(600):
        world.clock.pass_(1)
        sync(world, "A")
    world.source.down = None
    assert asked_later(world, "A") == [["A", "B", "C"]]
    owe(world, "A")
    world.source.failures.append(RateLimited("slow down"))
    sync(world, "A")
    world.clock.pass_(2)
    sync(world, "A")
    assert world.source.requests == [("A", "B", "C"), ("A",), ("A",)]


def test_a_batch_that_is_not_answered_while_others_are_is_halved_and_done(world: World) -> None:
    world.source.failures.append(Unavailable("down"))
    sync(world, "A")
    with world.database.begin() as conn:
        assert owed.count(conn) == 0
