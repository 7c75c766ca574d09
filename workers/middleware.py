"""What happens around every message: dead letters, warm threads, a watch over lost messages, signs of life."""

from __future__ import annotations

import threading
from typing import Any

import dramatiq
import structlog

from app.errors import DatabaseFault
from app.flows.beat import beat
from app.flows.bury import bury
from app.flows.deps import Deps
from app.flows.sweep import sweep

log = structlog.get_logger()


class DeadLetters(dramatiq.Middleware):
    """A message whose actor raises is dead at once: waiting is done by owed items, not by the broker.

    ``after_nack`` is the only hook that sees every dead message, unknown actors included.
    """

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._errors: dict[str, BaseException] = {}

    def after_process_message(
        self, broker: dramatiq.Broker, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Mark the message as failed, so that the broker takes it out of the queue."""
        if exception is not None:
            self._errors[message.message_id] = exception
            message.fail()

    def after_nack(self, broker: dramatiq.Broker, message: Any) -> None:
        """Write the dead letter; a fault of the database is none: what the message was about is owed, and comes again."""
        error = self._errors.pop(message.message_id, LookupError(f"no actor {message.actor_name!r} here"))
        if isinstance(error, DatabaseFault):
            log.warning("put_off", actor=message.actor_name, args=list(message.args), error=str(error))
            return
        bury(
            self._deps,
            message_id=message.message_id,
            actor=message.actor_name,
            queue=message.queue_name,
            args=message.args,
            error=error,
        )


class WarmThreads(dramatiq.Middleware):
    """Builds each thread's HTTP clients at boot: the first call of a cold thread takes up to a second otherwise."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    def after_worker_thread_boot(self, broker: dramatiq.Broker, thread: Any) -> None:
        """Runs in the new thread."""
        for source in (*self._deps.sources.values(), *self._deps.bulk_sources.values()):
            source.warm()


class Housekeeping(dramatiq.Middleware):
    """A thread per worker process that sweeps, gives signs of life, and makes the broker look for dead workers.

    ``every`` is the seconds between sweeps. Asking Redis for a queue's size keeps this process's heartbeat fresh
    while all its threads are busy, and with the maintenance chance turns recovery from a lottery into seconds.
    """

    def __init__(self, deps: Deps, *, role: str, every: float) -> None:
        self._deps = deps
        self._role = role
        self._every = every
        self._stopped = threading.Event()

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, args=(broker,), name="housekeeping", daemon=True).start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """End it."""
        self._stopped.set()

    def _run(self, broker: dramatiq.Broker) -> None:
        while not self._stopped.wait(self._every):
            try:
                beat(self._deps, self._role)
                sweep(self._deps)
                for queue in broker.get_declared_queues():
                    if hasattr(broker, "do_qsize"):
                        broker.do_qsize(queue)
            except Exception as error:  # the next round tries again; dying silently would be worse
                log.warning("housekeeping_failed", error=f"{type(error).__name__}: {error}")
