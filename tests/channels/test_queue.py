"""The queue: one message per item, in one round trip, and nobody waits for a broker that is gone."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import dramatiq
import fakeredis
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from app.channels.queue import BULK, LIVE, MAX_ITEMS, SPREAD_OVER, BrokerQueue, NullQueue, message_args, redis_broker
from app.domain import ALL_ITEMS, Cause, Change, ItemKey, Kind
from app.errors import Unavailable
from app.flows.items.sweep import QUEUE_FULL, REQUEUE_AFTER, sweep
from app.stores import owed
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World

KEYS = [ItemKey(SHOP, Kind.PRODUCT, item) for item in ("A", "B", "sku:Ü/*")]
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def fake() -> Iterator[RedisBroker]:
    """A broker whose Redis lives in this process."""
    client = fakeredis.FakeRedis()
    broker = RedisBroker(client=client, middleware=[])  # type: ignore[no-untyped-call]
    yield broker
    client.close()


@pytest.fixture
def broker(valkey: str) -> Iterator[RedisBroker]:
    """A broker on a real Valkey."""
    made = redis_broker(valkey)
    yield made
    made.client.close()


def fetched(broker: RedisBroker, queue: str) -> list[tuple[str, tuple[Any, ...]]]:
    """What a consumer of the queue gets: actor and arguments of each message."""
    broker.declare_queue(queue)
    consumer = broker.consume(queue, prefetch=100, timeout=10)
    result = []
    while (message := next(consumer)) is not None:
        result.append((message.actor_name, tuple(message.args)))
    consumer.close()
    return result


# --- on a broker in memory ---


def test_each_item_is_one_message(fake: RedisBroker) -> None:
    BrokerQueue(fake).enqueue(KEYS)
    assert fetched(fake, LIVE) == [("sync_item", tuple(map(str, key))) for key in KEYS]


def test_many_items_share_messages_and_each_is_in_one(fake: RedisBroker) -> None:
    ids = [f"P{number}" for number in range(2 * SPREAD_OVER + 1)]
    BrokerQueue(fake).enqueue([ItemKey(SHOP, Kind.PRODUCT, id) for id in ids])
    messages = [args for _, args in fetched(fake, LIVE)]
    named = [[first, *(also[0] if also else ())] for _, _, first, *also in messages]
    assert [id for items in named for id in items] == ids
    assert len(messages) == SPREAD_OVER + 1


def test_no_message_holds_more_than_a_fixed_number_of_items() -> None:
    shared = message_args([ItemKey(SHOP, Kind.PRODUCT, f"P{number}") for number in range(10_000)])
    assert max(1 + len(args[3]) for args in shared) == MAX_ITEMS  # type: ignore[arg-type]


def test_items_of_different_kinds_or_connections_share_no_message() -> None:
    keys = [
        ItemKey(name, kind, str(n)) for name in ("a", "b") for kind in (Kind.PRODUCT, Kind.ORDER) for n in range(99)
    ]
    owners = {(connection, kind) for connection, kind, *_ in message_args(keys)}
    assert len(owners) == 4
    assert len(list(message_args(keys))) == 4 * -(-99 // min(MAX_ITEMS, len(keys) // SPREAD_OVER))


def test_a_pull_shares_its_message_with_nobody() -> None:
    keys = [ItemKey(SHOP, Kind.PRODUCT, str(n)) for n in range(99)] + [ItemKey(SHOP, Kind.PRODUCT, ALL_ITEMS)]
    assert (SHOP, "product", ALL_ITEMS) in list(message_args(keys))


def test_no_items_make_no_message(fake: RedisBroker) -> None:
    BrokerQueue(fake).enqueue([])
    assert fetched(fake, LIVE) == []


def test_a_run_has_a_queue_of_its_own(fake: RedisBroker) -> None:
    BrokerQueue(fake).enqueue_run(7)
    assert fetched(fake, BULK) == [("run", (7,))]


def test_a_message_sent_again_is_as_it_was(fake: RedisBroker) -> None:
    fake.declare_queue(LIVE)
    BrokerQueue(fake).resend("some_actor", LIVE, ["a", {"b": 1}])
    assert fetched(fake, LIVE) == [("some_actor", ("a", {"b": 1}))]


def test_a_message_can_be_sent_again_by_a_process_that_only_sends(fake: RedisBroker) -> None:
    BrokerQueue(fake).resend("run", BULK, [7])
    assert fetched(fake, BULK) == [("run", (7,))]


def test_an_empty_queue_has_no_depth(fake: RedisBroker) -> None:
    assert BrokerQueue(fake).depth() == 0


def test_depth_counts_waiting_items(fake: RedisBroker) -> None:
    BrokerQueue(fake).enqueue(KEYS)
    assert BrokerQueue(fake).depth() == 3


def test_depth_does_not_count_runs(fake: RedisBroker) -> None:
    BrokerQueue(fake).enqueue_run(7)
    assert BrokerQueue(fake).depth() == 0


def test_messages_that_a_consumer_lost_hold_of_are_not_waiting(fake: RedisBroker) -> None:
    """A consumer that lost its connection keeps what it had fetched, while its worker lives: nobody works on it."""
    queue = BrokerQueue(fake)
    queue.enqueue(KEYS)
    fake.declare_queue(LIVE)
    next(fake.consume(LIVE, prefetch=100, timeout=10))
    assert queue.depth() == 0


# --- on a real Valkey ---


class Noting:
    """An actor that notes its messages."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self.heard: list[tuple[object, ...]] = []
        dramatiq.actor(actor_name="sync_item", queue_name=LIVE, broker=broker)(self._note)

    def _note(self, *args: object) -> None:
        self.heard.append(args)


def worked(broker: RedisBroker, send: Callable[[], object]) -> list[tuple[object, ...]]:
    """What a real worker's actor hears of what ``send`` sends."""
    noting = Noting(broker)
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=10)
    worker.start()
    try:
        send()
        broker.join(LIVE, timeout=60_000)
        worker.join()
    finally:
        worker.stop()
    return sorted(noting.heard, key=str)


def test_a_real_worker_gets_one_message_per_item(broker: RedisBroker) -> None:
    heard = worked(broker, lambda: BrokerQueue(broker).enqueue(KEYS))
    assert heard == sorted((tuple(map(str, key)) for key in KEYS), key=str)


def test_a_worked_message_is_gone(broker: RedisBroker) -> None:
    worked(broker, lambda: BrokerQueue(broker).enqueue(KEYS))
    assert BrokerQueue(broker).depth() == 0


def test_what_the_queue_forgot_the_sweep_sends_again(broker: RedisBroker, database: Database) -> None:
    world = World(database)
    with database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, "A")], Cause.WEBHOOK, world.clock())
    queue = BrokerQueue(broker)
    world.queue.enqueue = queue.enqueue  # type: ignore[method-assign]
    sweep(world.deps)
    broker.client.flushall()
    world.clock.pass_(REQUEUE_AFTER + 1)
    sweep(world.deps)
    assert fetched(broker, LIVE) == [("sync_item", (SHOP, "product", "A"))]


# --- when the broker is gone ---


@pytest.fixture
def lost() -> BrokerQueue:
    return BrokerQueue(redis_broker(NOWHERE))


def test_enqueuing_without_a_broker_raises_nothing(lost: BrokerQueue) -> None:
    lost.enqueue(KEYS)


def test_enqueuing_at_a_broker_that_hangs_up_is_tried_once() -> None:
    """Whoever wakes has acknowledged a delivery: tries with pauses between them would hold up the next one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        calls = []

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    line, caller = server.accept()
                    line.close()
                    calls.append(caller)

        answering = threading.Thread(target=hang_up)
        answering.start()
        BrokerQueue(redis_broker(f"redis://127.0.0.1:{server.getsockname()[1]}/0")).enqueue(KEYS)
        server.shutdown(socket.SHUT_RDWR)
        answering.join()
    assert len(calls) == 1


def test_enqueuing_a_run_without_a_broker_raises_nothing(lost: BrokerQueue) -> None:
    lost.enqueue_run(7)


def test_a_broker_that_is_gone_has_no_depth(lost: BrokerQueue) -> None:
    assert lost.depth() == -1


def test_sending_again_without_a_broker_says_so(lost: BrokerQueue) -> None:
    with pytest.raises(Unavailable):
        lost.resend("run", BULK, [7])


def test_an_error_does_not_show_the_brokers_password() -> None:
    secret = BrokerQueue(redis_broker("redis://:s3cret@127.0.0.1:1/0"))
    with pytest.raises(Unavailable) as raised:
        secret.resend("run", BULK, [7])
    assert "s3cret" not in str(raised.value)


def test_a_broker_that_refuses_writes_raises_nothing(broker: RedisBroker) -> None:
    broker.client.config_set("maxmemory", "1")
    try:
        BrokerQueue(broker).enqueue(KEYS)
        assert BrokerQueue(broker).depth() == 0
    finally:
        broker.client.config_set("maxmemory", "0")


def test_a_broker_that_comes_back_is_used_again(valkey: str) -> None:
    queue = BrokerQueue(made := redis_broker(valkey))
    queue.enqueue(KEYS[:1])
    with closing(redis.Redis.from_url(valkey)) as admin:
        admin.client_kill_filter(_type="normal", skipme=True)
    queue.enqueue(KEYS[1:2])
    queue.enqueue(KEYS[2:])
    assert queue.depth() >= 2
    made.client.close()


def test_more_items_than_fit_one_round_trip_all_arrive(broker: RedisBroker) -> None:
    wide = MAX_ITEMS * 1100
    BrokerQueue(broker).enqueue([ItemKey(SHOP, Kind.PRODUCT, f"P{n}") for n in range(wide)])
    assert BrokerQueue(broker).depth() == 1100


def test_a_null_queue_is_always_full() -> None:
    assert NullQueue().depth() > QUEUE_FULL
