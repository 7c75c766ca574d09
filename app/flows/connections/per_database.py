"""What this process remembers of a database; there may be several in one process."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from app.stores.sql.engine import Database

T = TypeVar("T")


class PerDatabase(Generic[T]):
    """One value for each database, made when it is first asked for; it goes with the database."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: WeakKeyDictionary[Database, T] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, database: Database) -> T:
        """The database's value."""
        with self._lock:
            return self._values.setdefault(database, self._make())
