"""A real worker on a real Valkey: every message that dies becomes a dead letter, and can come back."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker

from app.channels.queue import BULK, LIVE, BrokerQueue, message, redis_broker
from app.domain import Cause, Change, ItemKey, Kind
from app.errors import DatabaseFault, Unavailable, Unmappable, VendorRefused
from app.flows.items.leases import LeaseKeeper
from app.flows.letters.replay import replay_letter
from app.stores import owed
from app.stores.letters.rows import Letter
from app.stores.runs import runs
from app.stores.sql.engine import Database
from tests.asking import request_reconcile
from tests.fakes import SHOP, World, listing
from tests.letters import all_letters
from tests.rows import row_of
from tests.stack import eventually
from workers.actors import register
from workers.middleware import DeadLetters

KEY = ItemKey(SHOP, Kind.PRODUCT, "A")


@pytest.fixture
def broker(valkey: str) -> Iterator[RedisBroker]:
    made = redis_broker(valkey)
    yield made
    made.client.close()


@pytest.fixture
def world(database: Database, broker: RedisBroker) -> World:
    """A shop whose messages go through the broker."""
    world = World(database)
    world.deps = replace(world.deps, queue=BrokerQueue(broker))
    broker.add_middleware(DeadLetters(world.deps))
    register(broker, world.deps, LeaseKeeper(database))
    return world


def work(broker: RedisBroker, send: Callable[[], object]) -> None:
    """Let a worker deal with everything that ``send`` sends."""
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=10)
    worker.start()
    try:
        send()
        for queue in (LIVE, BULK):
            broker.join(queue, timeout=60_000)
        worker.join()
    finally:
        worker.stop()  # waits for its threads, and so for their last letter


def owe(world: World) -> None:
    with world.database.begin() as conn:
        fresh = owed.owe(conn, SHOP, [Change(Kind.PRODUCT, "A")], Cause.WEBHOOK, world.clock())
    world.deps.queue.enqueue(fresh)


def letters(world: World) -> list[Letter]:
    return all_letters(world.database)


def is_held(world: World) -> bool:
    with world.database.read() as conn:
        return row_of(conn, SHOP, Kind.PRODUCT, ("A",)) is not None


def test_a_woken_item_reaches_its_row(world: World, broker: RedisBroker) -> None:
    world.source.put(listing("A"))
    work(broker, lambda: owe(world))
    assert is_held(world)


def test_an_item_that_fails_for_good_is_a_letter(world: World, broker: RedisBroker) -> None:
    world.source.poison["A"] = Unmappable("price: expected a number")
    work(broker, lambda: owe(world))
    assert [(letter.actor, letter.external_id) for letter in letters(world)] == [("sync_item", "A")]


def test_a_letter_has_every_attempts_traceback(world: World, broker: RedisBroker) -> None:
    world.source.failures.extend([Unavailable("down"), Unmappable("price: expected a number")])
    work(broker, lambda: owe(world))
    world.clock.pass_(60)
    work(broker, lambda: world.deps.queue.enqueue([KEY]))
    attempts = letters(world)[0].attempts
    assert [attempt.error_type for attempt in attempts] == ["Unavailable", "Unmappable"]
    assert all("in fetch" in attempt.traceback for attempt in attempts)


def test_an_outage_is_no_letter(world: World, broker: RedisBroker) -> None:
    world.source.failures.append(Unavailable("down"))
    work(broker, lambda: owe(world))
    assert letters(world) == []


def test_a_fault_of_the_database_is_no_letter(world: World, broker: RedisBroker) -> None:
    world.source.failures.append(DatabaseFault("the connection is lost"))
    work(broker, lambda: owe(world))
    assert letters(world) == []


def test_what_a_fault_of_the_database_interrupted_is_owed_and_counts_no_attempt(
    world: World, broker: RedisBroker
) -> None:
    world.source.failures.append(DatabaseFault("the connection is lost"))
    work(broker, lambda: owe(world))
    with world.database.read() as conn:
        left = conn.exec_driver_sql("SELECT external_id, attempts, kills, token FROM owed_items").all()
    assert [tuple(row) for row in left] == [("A", 0, 0, None)]


def test_a_message_for_an_unknown_actor_is_a_letter(world: World, broker: RedisBroker) -> None:
    work(broker, lambda: BrokerQueue(broker).resend("no_such_actor", LIVE, ["x"]))
    assert [(letter.actor, letter.args, letter.error_type) for letter in letters(world)] == [
        ("no_such_actor", ["x"], "LookupError")
    ]


@pytest.mark.parametrize(
    "args",
    [(), ("shop",), ("shop", "no such kind", "A"), (1, 2, 3), (None, None, None), ("a", "b", "c", "d")],
    ids=str,
)
def test_a_message_with_malformed_arguments_is_a_letter(
    world: World, broker: RedisBroker, args: tuple[object, ...]
) -> None:
    work(broker, lambda: BrokerQueue(broker).resend("sync_item", LIVE, args))
    assert [letter.args for letter in letters(world)] == [list(args)]


def test_a_message_for_an_unknown_connection_is_a_letter(world: World, broker: RedisBroker) -> None:
    work(broker, lambda: world.deps.queue.enqueue([ItemKey("elsewhere", Kind.PRODUCT, "A")]))
    assert [letter.error_type for letter in letters(world)] == ["BadConfiguration"]


def test_a_dead_message_leaves_the_worker_working(world: World, broker: RedisBroker) -> None:
    world.source.put(listing("A"))

    def send() -> None:
        BrokerQueue(broker).resend("no_such_actor", LIVE, [])
        BrokerQueue(broker).resend("sync_item", LIVE, ["malformed"])
        owe(world)

    work(broker, send)
    assert is_held(world)


def test_a_message_that_cannot_be_read_leaves_the_worker_working(world: World, broker: RedisBroker) -> None:
    world.source.put(listing("A"))
    broken = message(LIVE, "sync_item", ())
    pipe = broker.client.pipeline()
    pipe.hset(f"{broker.namespace}:{LIVE}.msgs", broken.options["redis_message_id"], b"not a message")
    pipe.rpush(f"{broker.namespace}:{LIVE}", broken.options["redis_message_id"])
    pipe.execute()
    owe(world)
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=10)
    worker.start()
    try:
        assert _eventually_held(world)
    finally:
        worker.stop()


def _eventually_held(world: World) -> bool:
    def enqueued() -> bool:
        world.deps.queue.enqueue([KEY])  # as the sweep does
        return is_held(world)

    return bool(eventually(enqueued, within=60, every=0.1))


def test_a_replayed_letter_reaches_its_row(world: World, broker: RedisBroker) -> None:
    world.source.poison["A"] = Unmappable("no")
    work(broker, lambda: owe(world))
    world.source.poison.clear()
    world.source.put(listing("A"))
    work(broker, lambda: replay_letter(world.deps, letters(world)[0].id))
    assert is_held(world)


def test_a_letter_of_an_unknown_actor_can_be_sent_again(world: World, broker: RedisBroker) -> None:
    work(broker, lambda: BrokerQueue(broker).resend("no_such_actor", LIVE, ["x"]))
    work(broker, lambda: replay_letter(world.deps, letters(world)[0].id))
    assert [letter.state for letter in letters(world)] == ["replayed", "dead"]


def test_a_requested_run_is_carried_out(world: World, broker: RedisBroker) -> None:
    world.source.put(listing("A"))
    work(broker, lambda: request_reconcile(world.deps, SHOP))
    with world.database.read() as conn:
        assert runs.latest(conn, SHOP)[0].status == "completed"


def test_a_run_that_failed_is_a_letter(world: World, broker: RedisBroker) -> None:
    world.source.failures.append(VendorRefused("refused"))
    work(broker, lambda: request_reconcile(world.deps, SHOP))
    assert [(letter.actor, letter.error) for letter in letters(world)] == [("run", "product: VendorRefused: refused")]
