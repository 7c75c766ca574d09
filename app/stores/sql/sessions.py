"""Replaces the sessions of a pool together, and gives SQLite's writers fair turns."""

import threading
from collections import deque
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry


class Sessions:
    """The sessions in a pool; all that are open are replaced when they may be useless.

    SQLAlchemy's own way, another pool, would miss the sessions that are just being opened in this one.
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
        """Replace the sessions of this and older generations: idle ones at their next use, others when returned."""
        with self._guard:
            if generation == self.generation:  # nobody else has done it since
                self.generation += 1

    def _opens(self, dialect: Any, record: ConnectionPoolEntry, *_: Any) -> None:
        # Set before it connects: a session that is opened while the others fail may be useless too.
        record.info["generation"] = self.generation

    def _opened(self, connection: Any, record: ConnectionPoolEntry) -> None:
        record.info.setdefault("generation", self.generation)  # if somebody else connected it

    def _goes_out(self, connection: Any, record: ConnectionPoolEntry, fairy: Any) -> None:
        if record.info.get("generation") != self.generation:
            raise DisconnectionError("a session that may be useless")  # the pool opens another in its place

    def _came_back(self, connection: Any, record: ConnectionPoolEntry) -> None:
        if connection is not None and record.info.get("generation") != self.generation:
            record.invalidate()


def _leave_the_pool(context: ExceptionContext) -> None:
    """Keep SQLAlchemy from replacing the pool itself: it goes by the wall clock, and would do it for every error of every
    old session."""
    context.invalidate_pool_on_disconnect = False


class Turn:
    """A mutex that threads get in the order in which they asked.

    SQLite itself waits by polling with growing sleeps: a steady writer starves the others for half a second.
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
        gate.acquire()  # released by the thread before us; then the turn is ours
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
