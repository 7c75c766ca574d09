"""Keeping leases alive: one thread per process renews whatever its workers hold, so slow work is not taken twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from app.flows.deps import utc_now
from app.stores.engine import DATABASE_ERRORS, Database

LEASE = 15.0
"""Seconds a lease lasts without renewal: work of a killed process resumes after at most this long."""

RENEW_EVERY = 4.0

Renew = Callable[[Connection, datetime], object]

log = structlog.get_logger()


class LeaseKeeper:
    """Renews held leases every few seconds until ``stop``. Thread-safe."""

    def __init__(self, database: Database, *, every: float = RENEW_EVERY) -> None:
        self._database = database
        self._every = every
        self._held: dict[int, Renew] = {}
        self._lock = threading.Lock()
        self._suspect = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def hold(self, renew: Renew) -> Iterator[None]:
        """Call ``renew(conn, until)`` every few seconds while the block runs."""
        ticket = id(renew)
        with self._lock:
            self._held[ticket] = renew
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(ticket, None)

    @contextmanager
    def apart(self) -> Iterator[bool]:
        """``True`` while no other suspect is worked on in this process: one of them may be what kills it."""
        free = self._suspect.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._suspect.release()

    def stop(self) -> None:
        """Stop renewing; leases then run out by themselves."""
        self._stopped.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            with self._lock:
                held = list(self._held.values())
            if held:
                self._renew(held)

    def _renew(self, held: list[Renew]) -> None:
        """Each in a transaction of its own: several claims together would lock rows in no order, and deadlock."""
        until = utc_now() + timedelta(seconds=LEASE)
        for renew in held:
            try:
                with self._database.begin() as conn:
                    renew(conn, until)
            except DATABASE_ERRORS as error:  # the next round tries again; a lost lease costs a second fetch, no data
                log.warning("lease_not_renewed", held=len(held), error=str(error))
