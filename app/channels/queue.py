"""The queue to the workers: messages that only say "hurry", many of them in one round trip."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from uuid import uuid4

import dramatiq
import redis
import structlog
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.domain import ALL_ITEMS, ItemKey, batches
from app.errors import Unavailable

LIVE = "live"
BULK = "bulk"

HEARTBEAT_TIMEOUT = 15_000
"""Milliseconds of silence after which a worker's messages go back to the queue (Dramatiq's default: 60 s)."""

MAINTENANCE_CHANCE = 200_000
"""How many of a million commands look for silent workers (with the default of 1,000 that may take half an hour)."""

BATCH_SIZE = 1_000
"""Messages per round trip."""

MAX_ITEMS = 16
"""Items in a message: a worker works on them one after the other where the vendor has no batch read."""

SPREAD_OVER = 32
"""Up to this many items each have a message of their own; it is about the number of worker threads."""

log = structlog.get_logger()


def redis_client(url: str) -> redis.Redis:
    """A client that fails fast: redis-py's defaults would block a caller for up to 60 s."""
    return redis.Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=2.0,
        socket_connect_timeout=0.5,
        max_connections=200,
    )


def redis_broker(url: str, middleware: Sequence[dramatiq.Middleware] = ()) -> RedisBroker:
    """Dramatiq's Redis broker, set so that a killed worker's messages return within about 16 s."""
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=redis_client(url),
        middleware=list(middleware),
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        maintenance_chance=MAINTENANCE_CHANCE,
    )


class LocalQueue:
    """Sends messages through a broker inside this process (``dramatiq.brokers.stub``), where no Valkey is available."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self._broker = broker

    def enqueue(self, keys: Sequence[ItemKey]) -> None:
        """Send ``sync_item`` messages for these items: one each, or, if there are many, one for several of a kind."""
        self._send([message(LIVE, "sync_item", args) for args in message_args(keys)])

    def enqueue_run(self, run_id: int) -> None:
        """Send a message for a bulk run."""
        self._send([message(BULK, "run", (run_id,))])

    def enqueue_replay(self, replay_id: int) -> None:
        """Send a message for a replay."""
        self._send([message(LIVE, "replay", (replay_id,))])

    def resend(self, actor: str, queue: str, args: Sequence[object], *, id: str | None = None) -> None:
        """Send one message as given, under its id if it has one."""
        self._send([message(queue, actor, tuple(args), id)])

    def depth(self) -> int:
        """Zero: the messages live in this process; there are few, or the sweep made them."""
        return 0

    def _send(self, messages: Sequence[dramatiq.Message[None]]) -> None:
        for one in messages:
            self._broker.enqueue(one)


class BrokerQueue(LocalQueue):
    """Sends messages through a Redis broker; the sweep sends again what could not be sent."""

    _broker: RedisBroker

    def __init__(self, broker: RedisBroker) -> None:
        super().__init__(broker)

    def resend(self, actor: str, queue: str, args: Sequence[object], *, id: str | None = None) -> None:
        """Send one message as given, under its id if it has one; raises ``Unavailable`` when it could not be sent."""
        try:
            self._broker.enqueue(message(queue, actor, tuple(args), id))
        except (redis.RedisError, dramatiq.errors.BrokerConnectionError) as error:
            raise Unavailable(f"the queue cannot be reached: {error}") from error

    def depth(self) -> int:
        """Live messages that no worker has fetched yet; -1 when Redis does not answer."""
        try:
            return int(self._broker.client.llen(f"{self._broker.namespace}:{LIVE}"))
        except redis.RedisError:
            return -1

    def _send(self, messages: Sequence[dramatiq.Message[None]]) -> None:
        """Does what ``RedisBroker.enqueue`` does (dispatch.lua, "enqueue"), for many messages in one round trip."""
        for batch in batches(messages, BATCH_SIZE):
            pipe = self._broker.client.pipeline(transaction=False)
            for one in batch:
                name = f"{self._broker.namespace}:{one.queue_name}"
                redis_id = one.options["redis_message_id"]
                pipe.hset(f"{name}.msgs", redis_id, one.encode())
                pipe.rpush(name, redis_id)
            try:
                pipe.execute()
            except redis.RedisError as error:
                log.warning("not_enqueued", messages=len(messages), error=str(error))
                return


class NullQueue:
    """The queue of a process that reaches no broker: it leaves everything to the workers' own sweep."""

    def enqueue(self, keys: Sequence[ItemKey]) -> None:
        """Does nothing: the sweep finds the items."""

    def enqueue_run(self, run_id: int) -> None:
        """Does nothing: the sweep finds the run."""

    def enqueue_replay(self, replay_id: int) -> None:
        """Does nothing: the sweep finds the replay."""

    def resend(self, actor: str, queue: str, args: Sequence[object], *, id: str | None = None) -> None:
        """Raises ``Unavailable``: only a broker can send such a message."""
        raise Unavailable("no broker: this message cannot be sent again")

    def depth(self) -> int:
        """Always full, so that a sweep in this process marks no item as sent to the workers."""
        return sys.maxsize


def message_args(keys: Sequence[ItemKey]) -> Iterator[tuple[object, ...]]:
    """The arguments of each ``sync_item`` message for these items: connection, kind, id, and a list of further ids if there
    are any.

    A message costs half as much as the work on an item, so many items share messages. A few items have a message each, and
    so a thread each.
    """
    size = max(1, min(MAX_ITEMS, len(keys) // SPREAD_OVER))
    by_kind: dict[tuple[str, str], list[str]] = defaultdict(list)
    for connection, kind, external_id in keys:
        if external_id == ALL_ITEMS:
            yield (connection, str(kind), external_id)
        else:
            by_kind[connection, str(kind)].append(external_id)
    for (connection, kind_name), ids in by_kind.items():
        for first, *also in batches(ids, size):
            yield (connection, kind_name, first, also) if also else (connection, kind_name, first)


def message(queue: str, actor: str, args: tuple[object, ...], id: str | None = None) -> dramatiq.Message[None]:
    """A Dramatiq message, addressed by actor name so that the sender needs no actor code."""
    return dramatiq.Message(
        queue_name=queue,
        actor_name=actor,
        args=args,
        kwargs={},
        options={"redis_message_id": str(uuid4())},
        message_id=id or str(uuid4()),
    )
