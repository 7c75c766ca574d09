"""Who may write when, and with which sessions: a fair turn for SQLite's writers, and a pool that is replaced as a whole."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry


class Sessions:
    """The sessions in a pool, replaced together when those opened until now may be useless.

    SQLAlchemy would make another pool, and forget the sessions that are just being opened in this one.
    """

    def __init__(self, engine: Engine) -> None:
        self._guard = threading.Lock()
        self.generation = 0
        event.listen(engine, "do_connect", self._opens)
        event.listen(engine, "connect", self._opened)
        event.listen(engine, "checkout", self._goes_out)
        event.listen(engine, "checkin", self._came_back)
        event.listen(engine, "handle_error", _leave_the_pool)

    def replace(self, generation: int) -> None:
        """Close every session of this generation or an older one: the idle when somebody would use them, those in use
        when they come back."""
        with self._guard:
            if generation == self.generation:  # nobody else has done it since
                self.generation += 1

    def _opens(self, dialect: Any, record: ConnectionPoolEntry, *_: Any) -> None:
        # Before it connects: what is opened while the others turn out to be useless may have gone the same way.
        record.info["generation"] = self.generation

    def _opened(self, connection: Any, record: ConnectionPoolEntry) -> None:
        record.info.setdefault("generation", self.generation)  # where somebody else connects, it is not told before

    def _goes_out(self, connection: Any, record: ConnectionPoolEntry, fairy: Any) -> None:
        if record.info.get("generation") != self.generation:
            raise DisconnectionError("a session that may be useless")  # the pool opens another in its place

    def _came_back(self, connection: Any, record: ConnectionPoolEntry) -> None:
        if connection is not None and record.info.get("generation") != self.generation:
            record.invalidate()


def _leave_the_pool(context: ExceptionContext) -> None:
    """SQLAlchemy's own way to replace a pool goes by the wall clock, and by every error of every old session."""
    context.invalidate_pool_on_disconnect = False


class Turn:
    """A mutex that is handed over in the order it was asked for.

    SQLite's own waiting is a poll with growing sleeps: a steady writer starves the others for half a second.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queue: deque[threading.Lock] = deque()
        self._owner: int | None = None

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._guard:
            if self._owner == me:
                raise RuntimeError("a write transaction was opened inside another one of the same thread")
            if self._owner is None:
                self._owner = me
                return
            gate = threading.Lock()
            gate.acquire()
            self._queue.append(gate)
        gate.acquire()  # released by whoever hands over; the turn is ours from then on
        self._owner = me

    def waiting(self) -> int:
        """How many threads wait for their turn."""
        return len(self._queue)

    def __exit__(self, *error: object) -> None:
        with self._guard:
            if self._queue:
                self._owner = -1
                self._queue.popleft().release()
            else:
                self._owner = None


_turns: dict[str, Turn] = {}
_turns_guard = threading.Lock()


def turn_of(url: URL) -> Turn:
    """One turn per file, however many ``Database`` objects of this process have it open."""
    file = str(Path(url.database or "").resolve())
    with _turns_guard:
        return _turns.setdefault(file, Turn())
