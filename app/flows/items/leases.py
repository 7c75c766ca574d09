"""Keeps leases alive: one thread per process renews what its workers hold, so that nobody else takes slow work.

Work that a process cannot finish, because it must stop or the database was in trouble, is released: a released lease
counts as no crash.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from app.errors import DatabaseFault
from app.flows.deps import Deps, utc_now
from app.flows.items.shares import Shares
from app.stores import owed
from app.stores.owed import NEVER, Claim
from app.stores.runs import runs
from app.stores.sql.engine import DATABASE_ERRORS, Database

LEASE = 15.0
"""Seconds a lease lasts without renewal: work of a killed process resumes after at most this long."""

RENEW_EVERY = 4.0

log = structlog.get_logger()


@dataclass(eq=False)
class _Held:
    """The leases of one piece of work: of items, or of a run (its id and token)."""

    claims: Sequence[Claim] = ()
    run: tuple[int, str] | None = None


@dataclass
class LeaseKeeper:
    """The leases of one process's workers, renewed every few seconds until ``stop``, and each connection's share of its
    threads (``shares``). Thread-safe."""

    database: Database
    now: Callable[[], datetime] = utc_now
    every: float = RENEW_EVERY
    shares: Shares = field(default_factory=Shares)
    _held: list[_Held] = field(default_factory=list)
    _unreleased: list[_Held] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _isolation: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def stopping(self) -> bool:
        """Whether this process must stop: long work then releases its leases and ends."""
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

    def release_claims(self, claims: Sequence[Claim]) -> None:
        """Release leases of items as soon as the database can: they stay due, and no crash counts."""
        self._release(_Held(claims=claims))

    def release_run(self, run_id: int, token: str) -> None:
        """Release a run as soon as the database can: it goes on from its checkpoint, and no crash counts."""
        self._release(_Held(run=(run_id, token)))

    @contextmanager
    def isolated(self) -> Iterator[bool]:
        """``True`` if no other poison candidate is worked on in this process: any of them may be what kills it."""
        free = self._isolation.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._isolation.release()

    def begin_stopping(self) -> None:
        """Tell long work to end; leases are still renewed until ``stop``."""
        self._stopped.set()

    def stop(self) -> None:
        """Stop renewing, and release what is still held: that work has not ended in time."""
        self._stopped.set()
        with self._lock:
            thread, self._thread = self._thread, None
            left, self._held = self._held, []
            left += self._unreleased
            self._unreleased = []
        if thread is not None:
            thread.join(timeout=10)
        for held in left:
            self._try_to_release(held)

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
        """Renew until the keeper stops or nothing is held any more: the next hold starts another thread."""
        while not self._stopped.wait(self.every):
            with self._lock:
                if not self._held and not self._unreleased:
                    self._thread = None
                    return
            self.renew()

    def renew(self) -> None:
        """Renew what is held, and release what could not be released before."""
        with self._lock:
            claims = [claim for held in self._held for claim in held.claims]
            held_runs = [held.run for held in self._held if held.run is not None]
            unreleased, self._unreleased = self._unreleased, []
        until = self.now() + timedelta(seconds=LEASE)
        if claims:
            self._try(lambda conn: owed.extend(conn, claims, until=until))
        for run_id, token in held_runs:
            self._try(lambda conn, run_id=run_id, token=token: runs.heartbeat(conn, run_id, token, until))  # type: ignore[misc]
        for held in unreleased:
            self._release(held)

    def _release(self, held: _Held) -> None:
        if not self._try_to_release(held):
            with self._lock:
                self._unreleased.append(held)
                self._start()

    def _try_to_release(self, held: _Held) -> bool:
        def work(conn: Connection) -> None:
            if held.claims:
                owed.release(conn, held.claims)
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
            log.warning("leases_not_updated", error=f"{type(error).__name__}: {error}")
            return False
        return True


def blameless(deps: Deps) -> datetime:
    """The moment from which on an expired lease counts as no crash: since then the database was away, so that nobody could
    renew leases. ``NEVER`` if it was not away lately."""
    trouble = deps.database.trouble()
    if trouble is None:
        return NEVER
    began, ended = trouble  # seconds ago
    return NEVER if ended > 2 * LEASE else deps.now() - timedelta(seconds=began)
