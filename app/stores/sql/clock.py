"""The only clock, the database's: every process measures its distance from it, so that no host's clock matters.

On PostgreSQL ``now`` is the server's time at the last measurement plus the time since on this host's monotonic clock: a
host whose clock is wrong or jumps makes no difference. On SQLite all processes share one machine, and its clock is used.

When the clock jumps ahead (a machine slept, a clock was set), every lease runs out at once. This counts as trouble of the
database (``Database.trouble``), not as crashes of those who hold the leases.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.errors import DatabaseFault
from app.stores.sql.engine import Database

MAX_ANSWER_TIME = 1.0
"""Seconds that a measurement may take: in a slower one the moment when the server read its clock is too uncertain."""

TRIES = 3
"""How often a measurement is tried because the ones before were too slow."""

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
        """The database's time, or this host's until it has been measured.

        Within a process it never goes back, unless a measurement shows that it was ahead by more than a second.
        """
        if self._measured is None:  # the database was away when this process began
            self.measure()
        now = datetime.fromtimestamp(self._seconds(), UTC)
        with self._lock:
            if now < self._latest < now + timedelta(seconds=1):
                return self._latest
            self._latest = now
            return now

    def measure(self) -> None:
        """Compare with the server's clock; call it at start and about every minute, outside of a transaction. If the
        database does not answer, the last measurement stays in force."""
        if self._database.dialect == "sqlite":
            return
        try:
            measured = self._quickest()
        except DatabaseFault:
            return
        before = self._measured
        if before is None or measured.took <= MAX_ANSWER_TIME:
            self._measured = measured
            if before is not None and before.took <= MAX_ANSWER_TIME:
                self._stepped(measured.ahead - before.ahead)

    def _quickest(self) -> _Measured:
        """The first measurement that is exact enough, else the best of a few: the process may be paused during one."""
        best = self._measurement()
        for _ in range(TRIES - 1):
            if best.took > MAX_ANSWER_TIME:
                best = min(best, self._measurement(), key=lambda one: one.took)
        return best

    def _measurement(self) -> _Measured:
        with self._database.read() as conn:
            began = self._monotonic()  # only now: the wait for a connection does not count
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
