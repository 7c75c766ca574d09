"""The item path: fetch, apply, settle; and what becomes of failures."""

from datetime import timedelta

import pytest

from app.domain import Cause, Change, ItemKey, Kind
from app.errors import BadConfiguration, KilledWorker, RateLimited, Unavailable, Unmappable
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.stores import owed
from app.stores.letters import attempts
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, listing
from tests.rows import row_of

PRODUCT = Kind.PRODUCT


def key(external_id: str, kind: Kind = PRODUCT) -> ItemKey:
    return ItemKey(SHOP, kind, external_id)


def owe(world: World, *external_ids: str) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(PRODUCT, item) for item in external_ids], Cause.WEBHOOK, world.clock())


def sync(world: World, external_id: str) -> None:
    sync_item(world.deps, LeaseKeeper(world.database), key(external_id))


def is_owed(world: World, external_id: str) -> bool:
    with world.database.read() as conn:
        return owed.is_owed(conn, key(external_id))


def held(world: World, external_id: str) -> dict[str, object] | None:
    with world.database.read() as conn:
        return row_of(conn, SHOP, PRODUCT, (external_id,))


def outcomes(world: World) -> list[tuple[str, str, int]]:
    with world.database.read() as conn:
        rows = conn.exec_driver_sql("SELECT external_id, outcome, changes FROM settlements ORDER BY id")
        return [tuple(row) for row in rows]


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_a_changed_product_reaches_its_row(world: World) -> None:
    world.source.put(listing("A", name="Bowl"))
    owe(world, "A")
    sync(world, "A")
    row = held(world, "A")
    assert row is not None
    assert row["name"] == "Bowl"


def test_a_settled_item_is_no_longer_owed(world: World) -> None:
    world.source.put(listing("A"))
    owe(world, "A")
    sync(world, "A")
    assert not is_owed(world, "A")


def test_many_changes_of_an_item_are_one_fetch(world: World) -> None:
    world.source.put(listing("A"))
    for _ in range(5):
        owe(world, "A")
    sync(world, "A")
    sync(world, "A")
    assert world.source.requests == [("A",)]
    assert outcomes(world) == [("A", "applied", 5)]


def test_an_item_that_is_not_owed_costs_no_call(world: World) -> None:
    sync(world, "A")
    assert world.source.calls() == 0


def test_a_change_that_arrives_during_the_fetch_is_not_lost(world: World) -> None:
    world.source.put(listing("A"))
    owe(world, "A")
    world.source.meanwhile = lambda: owe(world, "A")
    sync(world, "A")
    assert is_owed(world, "A")
    assert world.queue.enqueued == [key("A")]


def test_a_change_is_counted_in_one_settlement_only(world: World) -> None:
    world.source.put(listing("A"))
    owe(world, "A")
    world.source.meanwhile = lambda: owe(world, "A")
    sync(world, "A")
    world.source.meanwhile = lambda: None
    sync(world, "A")
    assert outcomes(world) == [("A", "applied", 1), ("A", "unchanged", 1)]


def test_a_product_the_vendor_no_longer_has_becomes_a_tombstone(world: World) -> None:
    world.source.put(listing("A"))
    owe(world, "A")
    sync(world, "A")
    world.source.listings.clear()
    world.clock.pass_(1)
    owe(world, "A")
    sync(world, "A")
    row = held(world, "A")
    assert row is not None
    assert row["deleted"]
    assert outcomes(world)[-1][1] == "gone"


def test_a_product_named_by_sku_is_fetched_by_its_record(world: World) -> None:
    world.source.put(listing("A"))
    owe(world, "A")
    sync(world, "A")
    owe(world, "sku:SKU-A")
    sync(world, "sku:SKU-A")
    assert world.source.requests[-1] == ("A",)
    assert not is_owed(world, "sku:SKU-A")


def test_an_outage_postpones_the_item(world: World) -> None:
    world.source.put(listing("A"))
    world.source.failures.append(Unavailable("down"))
    owe(world, "A")
    sync(world, "A")
    sync(world, "A")
    assert world.source.calls() == 1, "not due yet, so not asked again"
    world.clock.pass_(2)
    sync(world, "A")
    assert not is_owed(world, "A")


def test_a_failed_attempt_is_recorded_with_its_traceback(world: World) -> None:
    world.source.failures.append(Unavailable("down"))
    owe(world, "A")
    sync(world, "A")
    with world.database.read() as conn:
        recorded = attempts.of(conn, owed.message_key(key("A")))
    assert [(attempt.number, attempt.error_type) for attempt in recorded] == [(1, "Unavailable")]
    assert "fetch" in recorded[0].traceback


def test_a_vendors_wish_to_wait_is_respected(world: World) -> None:
    world.source.put(listing("A"))
    world.source.failures.append(RateLimited("slow down", retry_after=60.0))
    owe(world, "A")
    sync(world, "A")
    world.clock.pass_(59)
    sync(world, "A")
    assert world.source.calls() == 1
    world.clock.pass_(2)
    sync(world, "A")
    assert not is_owed(world, "A")


def test_a_payload_we_cannot_map_is_raised_at_once(world: World) -> None:
    world.source.poison["A"] = Unmappable("price: expected a number")
    owe(world, "A")
    with pytest.raises(Unmappable):
        sync(world, "A")
    assert is_owed(world, "A"), "owed until the dead letter is written"


def test_an_item_announced_but_not_readable_yet_is_asked_for_again(world: World) -> None:
    world.source.put(listing("A"))
    world.source.not_yet = {"A"}
    owe(world, "A")
    sync(world, "A")
    assert is_owed(world, "A")
    world.source.not_yet = set()
    world.clock.pass_(2)
    sync(world, "A")
    assert not is_owed(world, "A")


def test_an_item_that_killed_three_workers_is_raised(world: World) -> None:
    owe(world, "A")
    for _ in range(3):
        with world.database.begin() as conn:
            assert owed.claim(conn, key("A"), more=0, lease=LEASE, now=world.clock())
        world.clock.pass_(LEASE + 1)
    with pytest.raises(KilledWorker):
        sync(world, "A")
    assert world.source.calls() == 0


def test_a_message_for_an_unknown_connection_is_raised(world: World) -> None:
    with pytest.raises(BadConfiguration, match="elsewhere"):
        sync_item(world.deps, LeaseKeeper(world.database), ItemKey("elsewhere", PRODUCT, "A"))


@pytest.fixture
def batching(database: Database) -> World:
    world = World(database, FakeSource(batch=100))
    world.source.put(*(listing(item) for item in "ABC"))
    owe(world, "A", "B", "C")
    return world


def test_a_backlog_is_fetched_in_one_call(batching: World) -> None:
    sync(batching, "A")
    assert [sorted(request) for request in batching.source.requests] == [["A", "B", "C"]]


def test_one_bad_item_does_not_fail_its_batch(batching: World) -> None:
    batching.source.poison["B"] = Unmappable("no")
    sync(batching, "A")
    assert [is_owed(batching, item) for item in "ABC"] == [False, True, False]


def test_a_neighbours_failure_is_raised_by_its_own_message(batching: World) -> None:
    batching.source.poison["B"] = Unmappable("no")
    sync(batching, "A")
    assert batching.queue.enqueued == [key("B")]
    with pytest.raises(Unmappable):
        sync(batching, "B")


def test_an_item_that_failed_before_is_no_longer_fetched_with_others(batching: World) -> None:
    batching.source.poison["B"] = Unmappable("no")
    sync(batching, "A")
    batching.source.requests.clear()
    owe(batching, "A", "C")
    sync(batching, "A")
    assert [sorted(request) for request in batching.source.requests] == [["A", "C"]]


def test_an_outage_postpones_the_whole_batch(batching: World) -> None:
    batching.source.refuses[Kind.PRODUCT] = Unavailable("down")
    sync(batching, "A")
    assert batching.source.calls() == 3  # the batch, and two of it by themselves
    assert all(is_owed(batching, item) for item in "ABC")
    batching.source.refuses.clear()
    batching.clock.moment += timedelta(seconds=6)
    for item in "ABC":
        sync(batching, item)
    assert not any(is_owed(batching, item) for item in "ABC")


# --- several items in a message ---


def sync_together(world: World, external_id: str, *also: str) -> None:
    sync_item(world.deps, LeaseKeeper(world.database), key(external_id), also)


def test_items_named_together_are_fetched_one_after_the_other_and_all_settled(world: World) -> None:
    for item in "ABC":
        world.source.put(listing(item))
    owe(world, "A", "B", "C")
    sync_together(world, "B", "A", "C")
    assert sorted(world.source.requests) == [("A",), ("B",), ("C",)]
    assert sorted(outcomes(world)) == [("A", "applied", 1), ("B", "applied", 1), ("C", "applied", 1)]


def test_the_death_of_the_own_item_takes_no_other_with_it(world: World) -> None:
    for item in "ABC":
        world.source.put(listing(item))
    world.source.poison["A"] = Unmappable("no")
    owe(world, "A", "B", "C")
    with pytest.raises(Unmappable):
        sync_together(world, "A", "B", "C")
    assert [is_owed(world, item) for item in "ABC"] == [True, False, False]


def test_another_item_that_cannot_be_read_gets_a_message_of_its_own(world: World) -> None:
    for item in "AB":
        world.source.put(listing(item))
    world.source.poison["B"] = Unmappable("no")
    owe(world, "A", "B")
    sync_together(world, "A", "B")
    assert not is_owed(world, "A")
    assert world.queue.enqueued == [key("B")]


def test_when_the_vendor_does_not_answer_the_rest_is_not_asked_for(world: World) -> None:
    owe(world, "A", "B", "C")
    world.source.failures.append(Unavailable("down"))
    sync_together(world, "A", "B", "C")
    assert len(world.source.requests) == 1
    world.clock.pass_(1000)
    for item in "ABC":
        sync(world, item)
    assert not any(is_owed(world, item) for item in "ABC")


def test_what_was_read_before_the_vendor_went_silent_is_kept(world: World) -> None:
    world.source.put(listing("A"))
    owe(world, "A", "B")

    def then_silent() -> None:
        world.source.failures.append(Unavailable("down"))

    world.source.meanwhile = then_silent
    sync_together(world, "A", "B")
    assert [is_owed(world, item) for item in "AB"] == [False, True]


def test_a_change_that_comes_while_others_of_the_message_are_fetched_is_not_lost(world: World) -> None:
    for item in "AB":
        world.source.put(listing(item))
    owe(world, "A", "B")
    world.source.meanwhile = lambda: owe(world, "A")
    sync_together(world, "A", "B")
    assert is_owed(world, "A")
    assert key("A") in world.queue.enqueued
