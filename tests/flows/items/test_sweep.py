"""The sweep: the queue may lose everything, what is owed comes back."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.domain import ALL_ITEMS, Cause, Change, ItemKey, Kind, Page
from app.errors import Unavailable
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.items.sweep import BATCH, QUEUE_FULL, REQUEUE_AFTER, STORM_PAUSE, sweep
from app.flows.items.sync_item import sync_item
from app.flows.runs.run import run as reconcile
from app.stores import owed
from app.stores.catalog import watermarks
from app.stores.runs import runs
from app.stores.sql.engine import Database
from tests.asking import request_reconcile
from tests.fakes import SHOP, FakeSource, World, listing

PRODUCT = Kind.PRODUCT
STORM = 10


def key(external_id: str) -> ItemKey:
    return ItemKey(SHOP, PRODUCT, external_id)


def owe(world: World, *external_ids: str) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(PRODUCT, item) for item in external_ids], Cause.WEBHOOK, world.clock())


def sync(world: World, external_id: str) -> None:
    sync_item(world.deps, LeaseKeeper(world.database), key(external_id))


def is_owed(world: World, external_id: str) -> bool:
    with world.database.read() as conn:
        return owed.is_owed(conn, key(external_id))


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


# --- lost messages ---


def test_an_owed_item_without_a_message_gets_one(world: World) -> None:
    owe(world, "A")
    sweep(world.deps)
    assert world.queue.enqueued == [key("A")]


def test_a_message_not_acted_upon_for_a_while_is_sent_again(world: World) -> None:
    owe(world, "A")
    sweep(world.deps)
    world.clock.pass_(REQUEUE_AFTER + 1)
    sweep(world.deps)
    assert world.queue.enqueued == [key("A")] * 2


def test_a_message_just_sent_is_not_sent_again(world: World) -> None:
    owe(world, "A")
    sweep(world.deps)
    world.clock.pass_(1)
    sweep(world.deps)
    assert world.queue.enqueued == [key("A")]


def test_what_failed_before_gets_a_message_of_its_own(world: World) -> None:
    world.source.failures.append(Unavailable("down"))
    owe(world, "A")
    sync(world, "A")
    owe(world, "B", "C")
    world.clock.pass_(60)
    enqueued: list[list[ItemKey]] = []
    world.queue.enqueue = lambda keys: enqueued.append(list(keys))  # type: ignore[method-assign]
    sweep(world.deps)
    assert [sorted(keys) for keys in enqueued] == [[key("B"), key("C")], [key("A")]]


def test_an_item_being_worked_on_is_left_alone(world: World) -> None:
    owe(world, "A")
    with world.database.begin() as conn:
        owed.claim(conn, key("A"), more=0, lease=LEASE, now=world.clock())
    assert sweep(world.deps) == 0


def test_an_item_whose_worker_died_gets_a_message(world: World) -> None:
    owe(world, "A")
    with world.database.begin() as conn:
        owed.claim(conn, key("A"), more=0, lease=LEASE, now=world.clock())
    world.clock.pass_(LEASE + 1)
    sweep(world.deps)
    assert world.queue.enqueued == [key("A")]


def test_an_item_that_waits_for_its_next_try_is_left_alone(world: World) -> None:
    world.source.failures.append(Unavailable("down"))
    owe(world, "A")
    sync(world, "A")
    assert sweep(world.deps) == 0


def test_an_item_whose_next_try_has_come_gets_a_message(world: World) -> None:
    world.source.failures.append(Unavailable("down"))
    owe(world, "A")
    sync(world, "A")
    world.clock.pass_(2)
    sweep(world.deps)
    assert world.queue.enqueued == [key("A")]


def test_a_settled_item_is_not_swept(world: World) -> None:
    world.source.put(listing("A"))
    owe(world, "A")
    sync(world, "A")
    world.clock.pass_(60)
    assert sweep(world.deps) == 0


def test_sweeps_at_the_same_time_send_each_item_once(world: World) -> None:
    owe(world, *(f"P{n}" for n in range(200)))
    with ThreadPoolExecutor(8) as pool:
        swept = sum(pool.map(lambda _: sweep(world.deps), range(8)))
    assert swept == 200
    assert len(set(world.queue.enqueued)) == len(world.queue.enqueued) == 200


# --- runs ---


def test_a_run_without_a_message_gets_one(world: World) -> None:
    run_id = request_reconcile(world.deps, SHOP)
    world.queue.runs.clear()
    sweep(world.deps)
    assert world.queue.runs == [run_id]


def test_a_run_whose_worker_died_gets_a_message(world: World) -> None:
    run_id = request_reconcile(world.deps, SHOP)
    with world.database.begin() as conn:
        runs.start(conn, run_id, "dead worker", LEASE, world.clock())
    world.queue.runs.clear()
    assert sweep(world.deps) == 0, "its lease still holds"
    world.clock.pass_(LEASE + 1)
    sweep(world.deps)
    assert world.queue.runs == [run_id]


def test_a_finished_run_is_not_swept(world: World) -> None:
    reconcile(world.deps, LeaseKeeper(world.database), request_reconcile(world.deps, SHOP))
    world.clock.pass_(3600)
    assert sweep(world.deps) == 0


# --- full queues ---


def test_a_full_queue_gets_no_more(world: World) -> None:
    owe(world, "A")
    world.queue.depth = lambda: QUEUE_FULL + 1  # type: ignore[method-assign]
    assert sweep(world.deps) == 0
    assert world.queue.enqueued == []


def test_what_a_full_queue_did_not_get_comes_when_it_has_room(world: World) -> None:
    owe(world, "A")
    world.queue.depth = lambda: QUEUE_FULL + 1  # type: ignore[method-assign]
    sweep(world.deps)
    world.queue.depth = lambda: 0  # type: ignore[method-assign]
    sweep(world.deps)
    assert world.queue.enqueued == [key("A")]


def test_an_item_whose_message_is_on_its_way_gets_no_second_one(world: World) -> None:
    owe(world, "A")
    world.queue.depth = lambda: 1  # type: ignore[method-assign]
    sweep(world.deps)
    assert world.queue.enqueued == []


def test_messages_on_their_way_are_not_sent_once_more(world: World) -> None:
    owe(world, *(f"P{n}" for n in range(10)))
    world.queue.depth = lambda: 7  # type: ignore[method-assign]
    assert sweep(world.deps) == 3


def test_an_unreachable_queue_does_not_stop_the_sweep(world: World) -> None:
    owe(world, "A")
    world.queue.depth = lambda: -1  # type: ignore[method-assign]
    assert sweep(world.deps) == 1


def test_one_sweep_sends_a_bounded_number(world: World) -> None:
    owe(world, *(f"P{n}" for n in range(BATCH + 5)))
    assert [sweep(world.deps), sweep(world.deps)] == [BATCH, 5]


# --- storms ---


class Shop(FakeSource):
    """A shop whose delta shows nothing once: what is owed is older than the watermark."""

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        if since is None:
            yield from super().delta(kind, since)
        else:
            self._called(f"delta {kind} {since}")
            yield Page(watermark=since)


@pytest.fixture
def storm(database: Database) -> World:
    """A loaded shop in which more items are owed than should be fetched one by one."""
    world = World(database, FakeSource(storm=STORM))
    return _stormy(world)


def _stormy(world: World) -> World:
    world.source.put(*(listing(item) for item in _items()))
    with world.database.begin() as conn:
        watermarks.put(conn, SHOP, PRODUCT, "9000000", world.clock())
    world.clock.pass_(60)
    owe(world, *_items())
    return world


def _items() -> Sequence[str]:
    return [f"P{n:02}" for n in range(STORM)]


def test_a_storm_owes_one_pull(storm: World) -> None:
    sweep(storm.deps)
    assert set(storm.queue.enqueued) == {key(ALL_ITEMS)}


def test_one_item_less_is_no_storm(database: Database) -> None:
    world = World(database, FakeSource(storm=STORM + 1))
    owe(world, *_items())
    sweep(world.deps)
    assert sorted(world.queue.enqueued) == [key(item) for item in _items()]


def test_a_storm_of_a_connection_that_is_gone_is_left_alone(storm: World) -> None:
    storm.deps.sources.pop(SHOP)  # type: ignore[attr-defined]
    sweep(storm.deps)
    assert key(ALL_ITEMS) not in storm.queue.enqueued


def test_the_items_of_a_storm_wait_for_its_pull(storm: World) -> None:
    sweep(storm.deps)
    storm.clock.pass_(REQUEUE_AFTER + 1)
    sweep(storm.deps)
    assert set(storm.queue.enqueued) == {key(ALL_ITEMS)}


def test_a_change_in_a_storm_joins_the_same_pull(storm: World) -> None:
    sweep(storm.deps)
    owe(storm, "late")
    sweep(storm.deps)
    assert set(storm.queue.enqueued) == {key(ALL_ITEMS)}


def test_a_storm_that_waits_for_its_pull_asks_for_no_second_one(storm: World) -> None:
    for _ in range(5):
        sweep(storm.deps)
        storm.clock.pass_(1)
    with storm.database.read() as conn:
        revs = conn.exec_driver_sql(f"SELECT rev FROM owed_items WHERE external_id = '{ALL_ITEMS}'").scalars().all()
    assert revs == [1]


def test_items_that_the_pull_did_not_show_are_fetched_one_by_one(database: Database) -> None:
    world = _stormy(World(database, Shop(storm=STORM)))
    sweep(world.deps)
    world.clock.pass_(1)
    sync(world, ALL_ITEMS)
    world.clock.pass_(STORM_PAUSE.total_seconds())
    sweep(world.deps)
    for enqueued in list(world.queue.enqueued):
        sync_item(world.deps, LeaseKeeper(world.database), enqueued)
    assert not any(is_owed(world, item) for item in _items())


def test_one_storm_costs_one_pull(database: Database) -> None:
    world = _stormy(World(database, Shop(storm=STORM)))
    for _ in range(10):
        sweep(world.deps)
        world.clock.pass_(REQUEUE_AFTER + 1)
        sync(world, ALL_ITEMS)
    assert len([request for request in world.source.requests if request[0].startswith("delta")]) == 1
