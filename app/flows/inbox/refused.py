"""Notes deliveries whose signature was wrong, a few at a time: they explain later which changes were missed."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from app.domain import Ref
from app.flows.deps import Deps
from app.sources.base import LONGEST_ID
from app.stores.inbox import refusals

WRITE_INTERVAL = 30.0
"""Seconds between two writes: a stranger must not make us write for each request."""

MOST_READ = 20
"""Refused deliveries of a connection that are parsed in one write; the others are only counted."""

_MAX_WAITING = 500


class _Refused(NamedTuple):
    connection: str
    headers: dict[str, str]
    body: bytes
    at: datetime
    reason: str


class RefusedDeliveries:
    """Takes refused deliveries on the event loop and writes them on another thread. A crash loses notes, but no work."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._waiting: deque[_Refused] = deque(maxlen=_MAX_WAITING)
        self._due = 0.0

    def add(self, connection: str, headers: dict[str, str], body: bytes, at: datetime, reason: str) -> None:
        """Note a delivery; must be called on the event loop."""
        self._waiting.append(_Refused(connection, headers, body, at, reason))

    def write(self, *, now: bool = False) -> None:
        """Write the waiting notes if ``WRITE_INTERVAL`` is over, or ``now``."""
        if not self._waiting or not (now or time.monotonic() >= self._due):
            return
        self._due = time.monotonic() + WRITE_INTERVAL
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        read: Counter[str] = Counter()
        unread: Counter[str] = Counter()
        with self._deps.database.begin() as conn:
            for delivery in batch:
                if read[delivery.connection] < MOST_READ:
                    read[delivery.connection] += 1
                    refusals.note(conn, delivery.connection, delivery.at, delivery.reason, self._claimed(delivery))
                else:
                    unread[delivery.connection] += 1
            for connection, count in unread.items():
                refusals.note(conn, connection, batch[-1].at, "more of them", count=count)

    def _claimed(self, refused: _Refused) -> Sequence[Ref]:
        """The items that it claims to be about: never fetched, only compared with rows that turn out to be wrong."""
        source = self._deps.sources.get(refused.connection)
        if source is None or source.receiver is None:
            return []
        try:
            changes = source.receiver.parse(refused.headers, refused.body).changes
        except Exception:  # whatever a stranger's body makes of our code: it was refused, and claims nothing
            return []
        named = [Ref(change.kind, change.external_id) for change in changes if len(change.external_id) <= LONGEST_ID]
        return named[:MOST_READ]
