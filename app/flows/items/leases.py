"""Keeping leases alive: one thread per process renews whatever its workers hold, so slow work is not taken twice.

What a process cannot go on with, because it is told to stop or because the database was in trouble, it gives back: a
lease given back is nobody's crash.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from app.errors import DatabaseFault
from app.flows.deps import utc_now
from app.flows.items.shares import Shares
from app.stores import owed
from app.stores.owed import Claim
from app.stores.runs import runs
from app.stores.sql.engine import DATABASE_ERRORS, Database

LEASE = 15.0
"""Seconds a lease lasts without renewal: work of a killed process resumes after at most this long."""

RENEW_EVERY = 4.0

log = structlog.get_logger()


@dataclass(eq=False)
class _Held:
    """Leases that one piece of work holds: those of items, or that of a run (its number and its token)."""

    claims: Sequence[Claim] = ()
    run: tuple[int, str] | None = None


@dataclass
class LeaseKeeper:
    """What the workers of one process hold: leases, which it renews every few seconds until ``stop``, and their
    connections' ``shares`` of its threads. Thread-safe."""

    database: Database
    now: Callable[[], datetime] = utc_now
    every: float = RENEW_EVERY
    shares: Shares = field(default_factory=Shares)
    _held: list[_Held] = field(default_factory=list)
    _dropped: list[_Held] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _suspect: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def stopping(self) -> bool:
        """Whether this process was told to stop: long work gives back what it holds and ends."""
        return self._stopped.is_set()

    @contextmanager
    def hold_claims(self, claims: Sequence[Claim]) -> Iterator[None]:
        """Keep the leases of items while the block runs."""
        with self._hold(_Held(claims=claims)):
            yield

    @contextmanager
    def hold_run(self, run_id: int, token: str) -> Iterator[None]:
        """Keep the lease of a run while the block runs."""
        with self._hold(_Held(run=(run_id, token))):
            yield

    def give_back_claims(self, claims: Sequence[Claim]) -> None:
        """Give leases back as soon as the database takes it, at once if it can: due as before, and no crash."""
        self._give_back(_Held(claims=claims))

    def give_back_run(self, run_id: int, token: str) -> None:
        """Give a run back as soon as the database takes it: it goes on from its checkpoint, and no crash is counted."""
        self._give_back(_Held(run=(run_id, token)))

    @contextmanager
    def apart(self) -> Iterator[bool]:
        """``True`` while no other suspect is worked on in this process: one of them may be what kills it."""
        free = self._suspect.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._suspect.release()

    def begin_stopping(self) -> None:
        """Tell long work to end; leases are still renewed until ``stop``."""
        self._stopped.set()

    def stop(self) -> None:
        """Stop renewing, and give back what is still held: whoever has it has not ended in time."""
        self._stopped.set()
        with self._lock:
            thread, self._thread = self._thread, None
            left, self._held = self._held, []
            left += self._dropped
            self._dropped = []
        if thread is not None:
            thread.join(timeout=10)
        for held in left:
            self._try_to_give_back(held)

    @contextmanager
    def _hold(self, held: _Held) -> Iterator[None]:
        with self._lock:
            self._held.append(held)
            self._start()
        try:
            yield
        finally:
            with self._lock:
                if held in self._held:
                    self._held.remove(held)

    def _start(self) -> None:
        if self._thread is None and not self._stopped.is_set():
            self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Rounds until the keeper is stopped, or until a round finds nothing to do: the next hold starts another thread."""
        while not self._stopped.wait(self.every):
            with self._lock:
                if not self._held and not self._dropped:
                    self._thread = None
                    return
            self.round()

    def round(self) -> None:
        """Renew what is held, and give back what could not be given back before."""
        with self._lock:
            claims = [claim for held in self._held for claim in held.claims]
            held_runs = [held.run for held in self._held if held.run is not None]
            dropped, self._dropped = self._dropped, []
        until = self.now() + timedelta(seconds=LEASE)
        if claims:
            self._try(lambda conn: owed.extend(conn, claims, until=until))
        for run_id, token in held_runs:
            self._try(lambda conn, run_id=run_id, token=token: runs.heartbeat(conn, run_id, token, until))  # type: ignore[misc]
        for held in dropped:
            self._give_back(held)

    def _give_back(self, held: _Held) -> None:
        if not self._try_to_give_back(held):
            with self._lock:
                self._dropped.append(held)
                self._start()

    def _try_to_give_back(self, held: _Held) -> bool:
        def work(conn: Connection) -> None:
            if held.claims:
                owed.release(conn, held.claims, now=self.now())
            if held.run is not None:
                runs.give_back(conn, *held.run)

        return self._try(work)

    def _try(self, work: Callable[[Connection], object]) -> bool:
        try:
            with self.database.begin() as conn:
                work(conn)
        except DatabaseFault:  # logged once, by the database; the next round tries again
            return False
        except DATABASE_ERRORS as error:  # a lost lease costs a second fetch, no data
            log.warning("leases_not_touched", error=f"{type(error).__name__}: {error}")
            return False
        return True
