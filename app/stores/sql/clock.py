"""The one clock, the database's: every process measures how far it is from it, so that no host's clock matters.

On PostgreSQL ``now`` is the server's time when it was last measured plus what this host's monotonic clock has counted
since: a host that is off, or whose clock jumps, makes no difference. On SQLite all processes are on one machine, and its
clock is the database's.

A clock that jumps ahead (a machine that slept, a clock that was set) lets every lease run out at once. That is trouble
of the database's, not of those who hold the leases: ``Database.trouble`` tells of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.errors import DatabaseFault
from app.stores.sql.engine import Database

MAX_ANSWER_TIME = 1.0
"""Seconds that a measurement may take: of a slower one it is not known when the server looked at its clock."""

TRIES = 3
"""How often a measurement is made again because it was too slow."""

STEP = 5.0
"""Seconds by which a clock must jump ahead for leases to run out early; a third of what a lease lasts."""


class _Measured(NamedTuple):
    """How far the server's clock (epoch seconds) is ahead of this process's monotonic one, and how many seconds the
    answer took."""

    ahead: float
    took: float


class DatabaseClock:
    """Thread-safe. ``wall`` gives this host's epoch seconds, ``monotonic`` seconds that never jump."""

    def __init__(
        self,
        database: Database,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._wall = wall
        self._monotonic = monotonic
        self._measured: _Measured | None = None
        self._ahead = wall() - monotonic()
        self._latest = datetime(1970, 1, 1, tzinfo=UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The database's time; as long as it could not be measured this host's.

        Within a process it does not go back, unless a measurement shows that it was ahead by more than a second.
        """
        if self._measured is None:  # the database was away when this process began
            self.measure()
        found = datetime.fromtimestamp(self._seconds(), UTC)
        with self._lock:
            if found < self._latest < found + timedelta(seconds=1):
                return self._latest
            self._latest = found
            return found

    def measure(self) -> None:
        """Compare with the server's clock; to be done at start and about every minute, in no transaction. A database
        that does not answer leaves the last measurement in force."""
        if self._database.dialect == "sqlite":
            return
        try:
            found = self._quickest()
        except DatabaseFault:
            return
        before = self._measured
        if before is None or found.took <= MAX_ANSWER_TIME:
            self._measured = found
            if before is not None and before.took <= MAX_ANSWER_TIME:
                self._stepped(found.ahead - before.ahead)

    def _quickest(self) -> _Measured:
        """The first measurement that is exact enough, else the best of a few: this process may be paused in one."""
        found = self._measurement()
        for _ in range(TRIES - 1):
            if found.took > MAX_ANSWER_TIME:
                found = min(found, self._measurement(), key=lambda one: one.took)
        return found

    def _measurement(self) -> _Measured:
        with self._database.read() as conn:
            began = self._monotonic()  # only now: waiting for a connection says nothing of the server's clock
            server = conn.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one()
            took = self._monotonic() - began
        return _Measured(float(server) - began - took / 2, took)

    def skew(self) -> float:
        """Seconds by which this host's clock is ahead of the database's, negative when it is behind."""
        return self._wall() - self._seconds()

    def _seconds(self) -> float:
        measured = self._measured
        if measured is not None:
            return measured.ahead + self._monotonic()
        now = self._wall()
        if self._database.dialect == "sqlite":
            before, self._ahead = self._ahead, now - self._monotonic()
            self._stepped(self._ahead - before)
        return now

    def _stepped(self, seconds: float) -> None:
        if seconds > STEP:
            self._database.clock_stepped(seconds)
