"""Receives deliveries: they are written by group commit and acknowledged only after it.

One writer thread takes all deliveries that came during its last commit. It does not wait for more: a lone delivery is
written at once, and a burst shares one commit. Items are enqueued after the acknowledgement.
"""

import asyncio
import threading
from collections import deque
from contextlib import suppress

import structlog

from app.domain import Delivery, ItemKey
from app.errors import DatabaseFault
from app.flows.connections.health import doubt
from app.flows.deps import Deps
from app.flows.inbox.accepting import accept
from app.flows.inbox.refused import RefusedDeliveries
from app.sources.base import PayloadInvalid
from app.stores.inbox.inbox import Arrival as Arrival
from app.stores.sql.engine import DATABASE_ERRORS

MAX_GROUP = 512

MAX_ID_LENGTH = 500

CHECKPOINT_EVERY = 0.25
"""Seconds between two checkpoints of SQLite's write-ahead log."""

_Group = list[tuple[Arrival, asyncio.Future[None]]]
"""Deliveries that are committed together, each with what its sender waits for."""

log = structlog.get_logger()


class Full(Exception):
    """The buffer is full: the database stalls, or cannot keep up. The sender must retry."""


def check_ids(delivery: Delivery) -> None:
    """Raise ``PayloadInvalid`` for an id that an index cannot hold: it would fail the whole batch it is committed with."""
    if len(delivery.event_id) > MAX_ID_LENGTH or any(
        len(change.external_id) > MAX_ID_LENGTH for change in delivery.changes
    ):
        raise PayloadInvalid(f"an id has more than {MAX_ID_LENGTH} characters")


class Intake:
    """Takes verified deliveries on the event loop and commits them on its own thread.

    ``capacity`` bounds the deliveries waiting for a commit. The web process calls ``start`` and ``stop``.
    """

    def __init__(self, deps: Deps, *, capacity: int = 4096) -> None:
        self._deps = deps
        self._capacity = capacity
        self._waiting: deque[tuple[Arrival, asyncio.Future[None]]] = deque()
        self._to_enqueue: deque[ItemKey] = deque()
        self._arrived = threading.Event()
        self._committed = threading.Event()
        self._stopping = False
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self.refused = RefusedDeliveries(deps)

    def start(self) -> None:
        """Start the threads that write, enqueue and checkpoint."""
        for name, work in (
            ("intake", self._write_groups),
            ("enqueuing", self._enqueue_committed),
            ("checkpoints", self._checkpoint),
        ):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Commit the waiting deliveries and end the threads."""
        self._stopping = True
        self._stopped.set()
        self._arrived.set()
        self._committed.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def offer(self, arrival: Arrival) -> asyncio.Future[None]:
        """A future that is done when the delivery is committed, and fails if the commit fails.

        Must be called on the event loop. Raises ``Full``.
        """
        if len(self._waiting) >= self._capacity:
            raise Full
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((arrival, done))
        if not self._arrived.is_set():  # setting takes a lock, and the writer is usually awake
            self._arrived.set()
        return done

    def _write_groups(self) -> None:
        while True:
            self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                self._write([self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_GROUP))])
            if self._stopping and not self._waiting:
                return

    def _write(self, group: _Group) -> None:
        """Commit a group. What is not committed is not acknowledged, and whoever waits for it logs why."""
        errors: dict[int, Exception] = {}
        try:
            accepted, unwritable = accept(self._deps.database, [arrival for arrival, _ in group])
            errors = {id(arrival): error for arrival, error in unwritable}
            self._to_enqueue.extend(accepted.owed)
        except DatabaseFault as fault:
            errors = {id(arrival): fault for arrival, _ in group}
        outcomes = [(done, errors.get(id(arrival))) for arrival, done in group]
        group[0][1].get_loop().call_soon_threadsafe(_answer, outcomes)
        self._committed.set()
        written = [one for one, _ in group if id(one) not in errors]
        self._doubt({one.connection for one in written if one.delivery.alarm and one.delivery.set_aside is None})

    def _doubt(self, connections: set[str]) -> None:
        """Have the connections of alarming deliveries checked; if a crash loses this, the next call shows the same."""
        for connection in connections:
            try:
                doubt(self._deps, connection)
            except Exception as failure:  # the thread must live on
                log.warning("alarm_lost", connection=connection, error=f"{type(failure).__name__}: {failure}")

    def _checkpoint(self) -> None:
        """Checkpoint on a thread of its own: in a commit, deliveries would wait 20 ms for it."""
        while not self._stopped.wait(CHECKPOINT_EVERY):
            try:
                self._deps.database.checkpoint()
                self.refused.write()
            except DATABASE_ERRORS:  # the next checkpoint makes up for it
                continue
            except Exception as error:  # the thread must live on
                log.warning("refusals_not_noted", error=f"{type(error).__name__}: {error}")
        with suppress(Exception):
            self.refused.write(now=True)

    def _enqueue_committed(self) -> None:
        while not self._stopping:
            self._committed.wait()
            self._committed.clear()
            keys = [self._to_enqueue.popleft() for _ in range(len(self._to_enqueue))]
            if keys:
                self._deps.queue.enqueue(keys)


def _answer(waiting: list[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for done, error in waiting:
        if done.done():  # the sender went away meanwhile
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
