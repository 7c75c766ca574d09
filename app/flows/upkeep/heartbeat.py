"""Sends this process's heartbeats: for readiness, for people, and to know later when no process was running."""

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from app.errors import DatabaseFault
from app.flows.connections.identity import learn_accounts
from app.flows.deps import Deps
from app.rules.inbox.silence import DOWN_AFTER
from app.stores.sql.engine import DATABASE_ERRORS
from app.stores.upkeep import heartbeats, marks

AWAIT_EVERY = 0.5
"""Seconds between two attempts to reach a database that does not answer."""

_STARTED = time.monotonic()

log = structlog.get_logger()


def record_heartbeat(deps: Deps, role: str, started_at: datetime | None = None) -> None:
    """Record that this process is alive (since its start, or since ``started_at``), compare its host's clock with the
    database's, and notice a restored backup."""
    if deps.host is not None:
        deps.host.measure()
    with deps.database.begin() as conn:
        heartbeats.record(conn, deps.worker, role, started_at or _started_at(deps), deps.now())
        mark = marks.rise(conn, deps.witness.last, deps.now())
    before = deps.witness.last
    deps.witness.keep(mark)
    if before is not None and before.lineage != mark.lineage:
        log.warning("database_went_back", since=before.at.isoformat())


def record_stop(deps: Deps) -> None:
    """Record that this process stops in order; if the database is away, its last heartbeat has to do."""
    try:
        with deps.database.begin() as conn:
            heartbeats.stop(conn, deps.worker, deps.now())
    except DatabaseFault:  # logged once, by the database
        pass
    except DATABASE_ERRORS as error:  # such as an unknown schema: the rest of the shutdown must not suffer
        log.warning("stop_not_recorded", error=f"{type(error).__name__}: {error}")


def _started_at(deps: Deps) -> datetime:
    """When this process began, by the database's clock, even if the host's clock was wrong then."""
    return deps.now() - timedelta(seconds=time.monotonic() - _STARTED)


class Stopping(Protocol):
    """Says whether the process must stop, such as a ``threading.Event``."""

    def wait(self, seconds: float, /) -> bool:
        """Wait for the stop at most this many seconds; returns whether the process must stop."""


def await_database(deps: Deps, stopping: Stopping) -> bool:
    """Wait until the database answers and has this program's schema, then measure its clock; ``False`` if the process
    must stop before."""
    is_logged = False
    while not (has_schema := _has_schema(deps)):
        if has_schema is False and not is_logged:
            log.warning("waits_for_schema", role=deps.worker)
            is_logged = True
        if stopping.wait(AWAIT_EVERY):
            return False
    if deps.host is not None:
        deps.host.measure()
    return True


def _has_schema(deps: Deps) -> bool | None:
    """Whether the database has this program's schema; ``None`` if it does not answer."""
    try:
        return deps.database.at_head()
    except DatabaseFault:
        return None


class HeartbeatThread:
    """Sends a heartbeat every few seconds, on a thread of its own, until ``stop``.

    A process that could not send one for a while, because its host slept or the database was away, counts as down: it
    starts again under another name, so that the silence is seen."""

    def __init__(self, deps: Deps, role: str, *, every: float = 5.0) -> None:
        self._deps = deps
        self._role = role
        self._every = every
        self._named = deps.worker
        self._started_at: datetime | None = None
        self._last: datetime | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Record signs of life from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and record the stop."""
        self._stopped.set()
        self._thread.join(timeout=10)
        record_stop(self._deps)

    def send(self) -> None:
        """Send one heartbeat. Raises ``DatabaseFault`` if the database is away."""
        now = self._deps.now()
        if self._last is None or now - self._last > DOWN_AFTER:
            self._started_at = _started_at(self._deps) if self._last is None else now
            # A container may come back with its old host name and process number: a new name shows that it was away.
            self._deps = replace(self._deps, worker=f"{self._named}/{self._started_at:%Y%m%dT%H%M%S.%f}")
        record_heartbeat(self._deps, self._role, self._started_at)
        self._last = self._deps.now()

    def _run(self) -> None:
        while True:
            try:
                self.send()
                learn_accounts(self._deps)
            except DatabaseFault:  # logged once, by the database; the next one will do
                pass
            except DATABASE_ERRORS as error:
                log.warning("heartbeat_failed", error=f"{type(error).__name__}: {error}")
            if self._stopped.wait(self._every):
                return
