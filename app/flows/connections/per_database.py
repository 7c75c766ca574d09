"""What this process remembers of a database; one process may use several databases."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from app.stores.sql.engine import Database

T = TypeVar("T")
K = TypeVar("K")


class PerDatabase(Generic[T]):
    """One value for each database, made at its first use and dropped with the database."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: WeakKeyDictionary[Database, T] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, database: Database) -> T:
        """The database's value."""
        with self._lock:
            return self._values.setdefault(database, self._make())


class InProgress(Exception):
    """Another thread is finding it out right now."""


class Shared(Generic[K, T]):
    """Results by key: many threads fail together, so one of them finds out for all."""

    def __init__(self) -> None:
        self.results: dict[K, T] = {}
        self._in_progress: set[K] = set()
        self._lock = threading.Lock()

    def find(self, key: K, is_recent: Callable[[T], bool], find: Callable[[], T]) -> T:
        """The last result if it is recent, else a new one; raises ``InProgress``."""
        with self._lock:
            last = self.results.get(key)
            if last is not None and is_recent(last):
                return last
            if key in self._in_progress:
                raise InProgress
            self._in_progress.add(key)
        try:
            self.results[key] = result = find()
            return result
        finally:
            self._in_progress.discard(key)
