"""A process that is killed between any two transactions."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection

from app.stores.sql.engine import Database

T = TypeVar("T")


class Killed(BaseException):
    """What nothing catches."""


class Dying:
    """A database whose user is killed before transaction number ``at``, or right after its commit. Without ``reads`` only
    those that write count."""

    def __init__(self, database: Database, at: int, *, after: bool, reads: bool = True) -> None:
        self._reads = reads
        self._database = database
        self._left = at
        self._after = after

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self._counted(self._database.begin()) as conn:
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        result = self._database.read()
        with self._counted(result) if self._reads else result as conn:
            yield conn

    def transact(self, work: Callable[[Connection], T]) -> T:
        with self.begin() as conn:
            return work(conn)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextmanager
    def _counted(self, transaction: AbstractContextManager[Connection]) -> Iterator[Connection]:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise Killed
        with transaction as conn:
            yield conn
        if self._left < 0:
            raise Killed
