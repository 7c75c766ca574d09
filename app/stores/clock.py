"""The one clock, the database's: every process measures how far it is from it, so that no host's clock matters.

On PostgreSQL ``now`` is the server's time when it was last measured plus what this host's monotonic clock has counted
since: a host that is off, or whose clock jumps, makes no difference. On SQLite all processes are on one machine, and its
clock is the database's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.errors import DatabaseFault
from app.stores.engine import Database


class _Measured(NamedTuple):
    """What the server's clock said (epoch seconds) when the monotonic clock of this process said ``at``."""

    server: float
    at: float


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
        self._latest = datetime(1970, 1, 1, tzinfo=UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The database's time; before it was measured for the first time this host's.

        Within a process it does not go back, unless a measurement shows that it was ahead by more than a second.
        """
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
        began = self._monotonic()
        try:
            with self._database.read() as conn:
                server = conn.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one()
        except DatabaseFault:
            return
        self._measured = _Measured(float(server), (began + self._monotonic()) / 2)

    def skew(self) -> float:
        """Seconds by which this host's clock is ahead of the database's, negative when it is behind."""
        return self._wall() - self._seconds()

    def _seconds(self) -> float:
        measured = self._measured
        return self._wall() if measured is None else measured.server + self._monotonic() - measured.at
