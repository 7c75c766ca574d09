"""A sign of life of this process, for readiness, for people, and to tell later when nobody was there."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from app.errors import DatabaseFault
from app.flows.connections.identity import learn_accounts
from app.flows.deps import Deps
from app.rules.inbox.silence import DOWN_AFTER
from app.stores.sql.engine import DATABASE_ERRORS
from app.stores.upkeep import heartbeats, marks

AWAIT_EVERY = 0.5
"""Seconds between two looks at a database that does not answer."""

_STARTED = time.monotonic()

log = structlog.get_logger()


def beat(deps: Deps, role: str, started_at: datetime | None = None) -> None:
    """Say that this process is alive (since it was started, or since then), compare its host's clock with the database's,
    and notice a restored backup."""
    if deps.host is not None:
        deps.host.measure()
    with deps.database.begin() as conn:
        heartbeats.beat(conn, deps.worker, role, started_at or _started_at(deps), deps.now())
        mark = marks.rise(conn, deps.witness.last, deps.now())
    before = deps.witness.last
    deps.witness.keep(mark)
    if before is not None and before.lineage != mark.lineage:
        log.warning("database_went_back", since=before.at.isoformat())


def stopped(deps: Deps) -> None:
    """Say that this process ends as it should; where the database is away, its last sign of life has to do."""
    try:
        with deps.database.begin() as conn:
            heartbeats.stop(conn, deps.worker, deps.now())
    except DatabaseFault:  # logged once, by the database
        pass
    except DATABASE_ERRORS as error:  # as of a schema that is not ours: what else is to be stopped must not suffer
        log.warning("not_told_that_it_stopped", error=f"{type(error).__name__}: {error}")


def _started_at(deps: Deps) -> datetime:
    """When this process began, by the database's clock, however wrong the host's was then."""
    return deps.now() - timedelta(seconds=time.monotonic() - _STARTED)


def await_database(deps: Deps, stopping: threading.Event) -> bool:
    """Wait until the database answers and has this program's schema, then measure its clock; ``False`` when the process
    is to stop before."""
    told = False
    while not (_answers(deps) and _has_schema(deps)):
        if _answers(deps) and not told:
            log.warning("waits_for_schema", role=deps.worker)
            told = True
        if stopping.wait(AWAIT_EVERY):
            return False
    if deps.host is not None:
        deps.host.measure()
    return True


def _answers(deps: Deps) -> bool:
    try:
        with deps.database.read() as conn:
            conn.exec_driver_sql("SELECT 1").close()
    except DatabaseFault:
        return False
    return True


def _has_schema(deps: Deps) -> bool:
    try:
        return deps.database.at_head()
    except DatabaseFault:
        return False


class Pulse:
    """Says so every few seconds, on a thread of its own, until ``stop``.

    A process that could not say so for a while, because its host slept or the database was away, was not there: it begins
    anew, under another name, so that the silence is seen."""

    def __init__(self, deps: Deps, role: str, *, every: float = 5.0) -> None:
        self._deps = deps
        self._role = role
        self._every = every
        self._named = deps.worker
        self._started_at: datetime | None = None
        self._last: datetime | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and say so."""
        self._stopped.set()
        self._thread.join(timeout=10)
        stopped(self._deps)

    def once(self) -> None:
        """One sign; raises ``DatabaseFault`` where nobody takes it."""
        now = self._deps.now()
        if self._last is None or now - self._last > DOWN_AFTER:
            self._started_at = _started_at(self._deps) if self._last is None else now
            # A container may come back with its old host name and process number: the name must not hide that it was away.
            self._deps = replace(self._deps, worker=f"{self._named}/{self._started_at:%Y%m%dT%H%M%S.%f}")
        beat(self._deps, self._role, self._started_at)
        self._last = self._deps.now()

    def _run(self) -> None:
        while True:
            try:
                self.once()
                learn_accounts(self._deps)
            except DatabaseFault:  # logged once, by the database; the next one will do
                pass
            except DATABASE_ERRORS as error:
                log.warning("no_beat", error=f"{type(error).__name__}: {error}")
            if self._stopped.wait(self._every):
                return
