"""Fair shares of a process's threads: a connection whose calls hang must not hold those that others need.

A connection may hold three quarters of the threads that the others leave, and never those that the connections without
one need: there is always a thread for whoever comes next. A process has a third more threads than one connection may
hold, so that being fair slows nobody. What finds no thread is parked here, and taken up by the thread that its own
connection's work frees: nothing waits for the queue to say it again. Parked work is only a hint; if the process dies, the
sweep sends it anew.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain import ItemKey

MAX_PARKED = 2_000
"""Hints that are kept for a connection; what comes beyond that is left to the sweep."""


@dataclass
class Shares:
    """Who holds how many threads. One of ``connections`` may hold ``threads`` at most; ``None`` when nobody has to be fair.
    Thread-safe."""

    threads: int | None = None
    connections: int = 2
    _held: Counter[str] = field(default_factory=Counter)
    _parked: dict[str, OrderedDict[ItemKey, Sequence[str]]] = field(default_factory=lambda: defaultdict(OrderedDict))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def all_threads(self) -> int:
        """How many threads the process needs, so that one connection can hold its ``threads`` beside all the others."""
        threads = self.threads or 1
        return threads if self.connections < 2 else math.ceil(threads * 4 / 3) + self.connections - 2

    def enter(self, key: ItemKey, also: Sequence[str]) -> bool:
        """Take a thread for a connection's item; ``False`` when it has its share already, and the item was parked."""
        with self._lock:
            if self._held[key.connection] < self._share(key.connection):
                self._held[key.connection] += 1
                return True
            parked = self._parked[key.connection]
            if len(parked) < MAX_PARKED:
                parked[key] = also
            return False

    def next(self, connection: str) -> tuple[ItemKey, Sequence[str]] | None:
        """What this thread works on now for the same connection, longest parked first; ``None``: the thread is free."""
        with self._lock:
            parked = self._parked[connection]
            if parked and self._held[connection] <= self._share(connection):
                return parked.popitem(last=False)
            self._held[connection] -= 1
            return None

    def leave(self, connection: str) -> tuple[ItemKey, Sequence[str]] | None:
        """Give the thread back at once. If it was the connection's last one, returns what is parked longest: it needs a
        message, whose thread takes up the rest."""
        with self._lock:
            self._held[connection] -= 1
            parked = self._parked[connection]
            return parked.popitem(last=False) if parked and self._held[connection] <= 0 else None

    def _share(self, connection: str) -> int:
        if self.threads is None:
            return 1_000_000
        if self.connections < 2:
            return self.threads
        others = [held for other, held in self._held.items() if other != connection and held > 0]
        left = self.all_threads - sum(others)
        reserved = self.connections - 1 - len(others)
        return max(1, min(self.threads, math.floor(left * 3 / 4), left - reserved))
