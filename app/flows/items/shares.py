"""Fair shares of a process's threads: a connection whose calls hang must not hold the threads that others need.

A connection may hold three quarters of the threads that the others leave free, and always leaves one for each connection
that holds none. A process has a third more threads than one connection may hold, so that fairness slows nobody. Work that
finds no thread is parked here until work of the same connection ends. Parked work is only a hint: if the process dies,
the sweep sends it again.
"""

import math
import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain import ItemKey

MAX_PARKED = 2_000
"""Items parked per connection; the sweep sends the others again."""


@dataclass
class Shares:
    """Counts the threads that each connection holds: at most ``threads`` (``None``: no limit) of ``connections`` in all.
    Thread-safe."""

    threads: int | None = None
    connections: int = 2
    _held: Counter[str] = field(default_factory=Counter)
    _parked: dict[str, OrderedDict[ItemKey, Sequence[str]]] = field(default_factory=lambda: defaultdict(OrderedDict))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def all_threads(self) -> int:
        """How many threads the process needs, so that one connection can use ``threads`` of them and the others still have
        some."""
        threads = self.threads or 1
        return threads if self.connections < 2 else math.ceil(threads * 4 / 3) + self.connections - 2

    def enter(self, key: ItemKey, also: Sequence[str]) -> bool:
        """Take a thread for an item; ``False`` if its connection has its share already, and the item was parked."""
        with self._lock:
            if self._held[key.connection] < self._share(key.connection):
                self._held[key.connection] += 1
                return True
            parked = self._parked[key.connection]
            if len(parked) < MAX_PARKED:
                parked[key] = also
            return False

    def next(self, connection: str) -> tuple[ItemKey, Sequence[str]] | None:
        """The next parked work of this thread's connection, oldest first; ``None`` frees the thread."""
        with self._lock:
            parked = self._parked[connection]
            if parked and self._held[connection] <= self._share(connection):
                return parked.popitem(last=False)
            self._held[connection] -= 1
            return None

    def leave(self, connection: str) -> tuple[ItemKey, Sequence[str]] | None:
        """Free the thread at once. If it was the connection's last one, returns the oldest parked work: it needs a message,
        whose thread then works on the rest."""
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
