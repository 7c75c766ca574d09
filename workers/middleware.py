"""Dramatiq middleware: dead letters, warm threads, recovery of lost messages, signs of life."""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import dramatiq
import structlog

from app.errors import DatabaseFault
from app.flows.deps import Deps
from app.flows.items.dead_letter import record_dead_letter
from app.flows.items.sweep import sweep
from app.flows.upkeep.heartbeat import record_heartbeat, record_stop

MAX_PENDING = 1_000
"""Letters that wait in memory for the database. Beyond that the oldest are dropped: their items stay owed and fail again."""

log = structlog.get_logger()


class DeadLetters(dramatiq.Middleware):
    """A message whose actor raises is dead at once: waiting is done by owed items, not by the broker.

    ``after_nack`` is the only hook that sees every dead message, unknown actors included. A message that ended by a
    ``DatabaseFault`` becomes no letter: its item stays owed, and the sweep sends another. A letter that such a fault keeps
    from being written is written later (``write_pending``).
    """

    actor_options = {"throws"}  # noqa: RUF012
    """Errors of an actor that its worker does not log."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._errors: dict[str, BaseException] = {}
        self._pending: deque[Callable[[], None]] = deque(maxlen=MAX_PENDING)

    def after_process_message(
        self, broker: dramatiq.Broker, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Mark the message as failed, so that the broker takes it out of the queue."""
        if exception is not None and not isinstance(exception, DatabaseFault):
            self._errors[message.message_id] = exception
            message.fail()

    def after_nack(self, broker: dramatiq.Broker, message: Any) -> None:
        """Write the dead letter."""
        self._pending.append(
            partial(
                record_dead_letter,
                self._deps,
                message_id=message.message_id,
                actor=message.actor_name,
                queue=message.queue_name,
                args=message.args,
                error=self._errors.pop(message.message_id, LookupError(f"no actor {message.actor_name!r} here")),
            )
        )
        self.write_pending()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Try once more to write the letters that could not be written."""
        self.write_pending()

    def write_pending(self) -> None:
        """Write the letters that could not be written yet, until the database is in trouble again."""
        while self._pending:
            try:
                write = self._pending.popleft()
            except IndexError:  # another thread has taken the last one
                return
            try:
                write()
            except DatabaseFault:
                self._pending.appendleft(write)
                return


class WarmThreads(dramatiq.Middleware):
    """Builds each thread's HTTP clients at boot: the first call of a cold thread takes up to a second otherwise."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    def after_worker_thread_boot(self, broker: dramatiq.Broker, thread: Any) -> None:
        """Open the clients; Dramatiq calls this in the new thread."""
        for source in (*self._deps.sources.values(), *self._deps.bulk_sources.values()):
            source.warm()


class Housekeeping(dramatiq.Middleware):
    """A thread per worker process that sweeps, gives signs of life, and makes the broker look for dead workers.

    ``every`` is the seconds between sweeps. Asking Redis for a queue's size keeps this process's heartbeat fresh while all
    its threads are busy, and with the maintenance chance turns recovery from a lottery into seconds. ``also`` is called in
    every round, too. While the database does not answer, the other steps go on.
    """

    def __init__(self, deps: Deps, *, role: str, every: float, also: Callable[[], object] = bool) -> None:
        self._every = every
        self._steps: list[Callable[[], object]] = [partial(record_heartbeat, deps, role), also, partial(sweep, deps)]
        self._say_stopped = partial(record_stop, deps)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, args=(broker,), name="housekeeping", daemon=True)
        self._thread.start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """End it."""
        self._stopped.set()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Record that this process has ended, after its last sign of life."""
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._say_stopped()

    def _run(self, broker: dramatiq.Broker) -> None:
        steps: list[Callable[[], object]] = [*self._steps, partial(_keep_alive, broker)]
        while not self._stopped.wait(self._every):
            for step in steps:
                try:
                    step()
                except DatabaseFault:  # logged once, by the database
                    continue
                except Exception as error:  # the next round tries again; dying silently would be worse
                    log.warning("housekeeping_failed", error=f"{type(error).__name__}: {error}")


def _keep_alive(broker: dramatiq.Broker) -> None:
    if hasattr(broker, "do_qsize"):
        for queue in broker.get_declared_queues():
            broker.do_qsize(queue)
