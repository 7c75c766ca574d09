"""The database as one simulated process sees it: the real one, with faults, and with other processes between
transactions.

While a transaction is open no other thread runs, so every interleaving is one of whole transactions. Faults come
where they come in life: before a transaction, at its commit, and after a commit whose answer never arrives.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from psycopg import OperationalError
from psycopg.errors import AdminShutdown, DeadlockDetected, ReadOnlySqlTransaction, SerializationFailure
from sqlalchemy import Connection

from app.prove.faults import Dial, Faults
from app.prove.stage import Killed, Process, Stage
from app.prove.standins import MONOTONIC
from app.stores.sql.engine import Database
from app.stores.sql.faults import Trouble, fault_of


def _locked() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


@dataclass
class Weather:
    """The present state of the database, for every process; times are virtual seconds."""

    away_until: float = 0.0
    read_only_until: float = 0.0
    locked_until: float = 0.0


@dataclass
class Doom:
    """The point at which a process will be killed: ``where`` (before, within or after a transaction), ``after`` so
    many of them."""

    where: str
    after: int

    def comes(self, where: str) -> bool:
        """Whether the process has reached the point."""
        if where != self.where:
            return False
        self.after -= 1
        return self.after < 0


class Perishable(Process, Protocol):
    """A process that can be doomed."""

    doom: Doom | None


class SimDatabase(Database):
    """``Database`` for one simulated process."""

    def __init__(self, real: Database, stage: Stage, process: Perishable, faults: Faults, weather: Weather) -> None:
        # Does not call the parent, which would open pools: everything in use is passed on to the real database.
        self.url, self.engine, self.dialect = real.url, real.engine, real.dialect
        self._real = real
        self._stage = stage
        self._process = process
        self._faults = faults
        self._weather = weather
        self._seen = Trouble(lambda: MONOTONIC + stage.now)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction."""
        with self._between_others(self._real.begin, writes=True) as conn:
            yield conn

    @contextmanager
    def once(self) -> Iterator[Connection]:
        """A write transaction of one statement."""
        with self._between_others(self._real.once, writes=True) as conn:
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction for reading."""
        with self._between_others(self._real.read, writes=False) as conn:
            yield conn

    def trouble(self) -> tuple[float, float] | None:
        """Like the real one, but about the simulated trouble."""
        return self._seen.ages()

    def checkpoint(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing: all processes share the pool."""

    @contextmanager
    def _between_others(
        self, opened: Callable[[], AbstractContextManager[Connection]], *, writes: bool
    ) -> Iterator[Connection]:
        task = self._stage.current
        if task.inside:  # a second one inside a first: no chance for others, no faults of its own
            with opened() as conn:
                yield conn
            return
        self._before(writes=writes)
        task.inside += 1
        try:
            with opened() as conn:
                yield conn
                self._at_commit(writes=writes)
                task.committed_at = self._stage.now
        finally:
            task.inside -= 1
        self._seen.ended(writing=writes)
        self._after(writes=writes)

    def _before(self, *, writes: bool) -> None:
        self._perish("before")
        self._stage.pause(self._latency())
        now, weather = self._stage.now, self._weather
        if now < weather.away_until:
            self._stage.pause(0.05)
            raise self._fault(OperationalError("connection refused"), writes=writes)
        if writes and now < weather.locked_until:
            wait = weather.locked_until - now
            self._stage.pause(min(wait, 10.0))
            if wait > 10.0:
                raise self._fault(_locked(), writes=writes)
        if writes and now < weather.read_only_until:
            raise self._fault(ReadOnlySqlTransaction("cannot execute UPDATE"), writes=writes)

    def _at_commit(self, *, writes: bool) -> None:
        if writes:
            self._perish("within")
        for dial, chance, error in _AT_COMMIT:
            if (writes or dial is Dial.DB_ENDED) and self._faults.happens(dial, chance):
                raise self._fault(error(), writes=writes)

    def _after(self, *, writes: bool) -> None:
        if not writes:
            return
        self._perish("after")
        if self._faults.happens(Dial.DB_ANSWER_LOST, 0.02):
            raise self._fault(OperationalError("the connection is lost"), writes=writes)
        self._stage.pause(self._latency())

    def _latency(self) -> float:
        rng = self._stage.rng
        return rng.uniform(0.05, 0.6) if rng.random() < 0.03 else rng.expovariate(400.0)

    def _perish(self, where: str) -> None:
        doom = self._process.doom
        if doom is not None and doom.comes(where):
            self._faults.seen[Dial.KILLED] += 1
            self._process.dead = True
            self._stage.hurry(self._process)
            raise Killed

    def _fault(self, error: Exception, *, writes: bool) -> Exception:
        """The error that the real ``Database`` makes of a driver's error."""
        fault = fault_of(error)
        if fault is None:
            raise RuntimeError(f"not taken for a fault of the database: {error!r}")
        if not fault.undone:
            self._seen.began(fault, writing=writes)
        return fault.error()


_AT_COMMIT: tuple[tuple[Dial, float, Callable[[], Exception]], ...] = (
    (Dial.DB_ENDED, 0.02, lambda: AdminShutdown("terminating connection due to administrator command")),
    (Dial.DB_DEADLOCK, 0.03, lambda: DeadlockDetected("deadlock detected")),
    (Dial.DB_SERIALISATION, 0.03, lambda: SerializationFailure("could not serialize access")),
)
