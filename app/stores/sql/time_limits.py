"""Limits how long a query may take, and ends it when nobody waits for its answer any more."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from sqlalchemy import Connection

from app.errors import TakesTooLong

STEPS = 100_000
"""SQLite checks the limit once per this many virtual machine instructions, a few milliseconds."""

CANCEL_TIMEOUT = 5.0
"""Seconds that cancelling a statement of PostgreSQL may take; the statement has its deadline anyway."""

_STATEMENT_TIMEOUT = "SELECT set_config('statement_timeout', %s, true)"
"""For this transaction alone: a pooler lends the session to somebody else afterwards."""


class TimeLimit:
    """A limit of seconds from now for one query of any number of statements; ``end`` ends it early. Thread-safe."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._until = monotonic() + seconds
        self._guard = threading.Lock()
        self._ended = False
        self._sessions: set[psycopg.Connection[Any]] = set()

    def left(self) -> float:
        """Seconds left; 0.0 when the limit is reached."""
        return 0.0 if self._ended else max(0.0, self._until - self._monotonic())

    def end(self) -> None:
        """Interrupt the running statement, and let no other begin, because nobody waits for the answer any more."""
        with self._guard:  # a returned session works for somebody else
            self._ended = True
            for session in self._sessions:
                with suppress(psycopg.Error):
                    session.cancel_safe(timeout=CANCEL_TIMEOUT)

    def error(self) -> TakesTooLong:
        """The error for the caller."""
        return TakesTooLong(
            f"this query takes longer than the {self._seconds:g} s that a query may take; narrow it: a shorter time "
            "(such as since:2h), one connection, one kind or one item"
        )

    @contextmanager
    def kept(self, conn: Connection) -> Iterator[None]:
        """End the statements of this transaction with the limit; raises ``TakesTooLong`` if it is reached already."""
        if not self.left():
            raise self.error()
        keep = self._kept_by_sqlite if conn.dialect.name == "sqlite" else self._kept_by_postgresql
        with keep(conn):
            yield

    @contextmanager
    def _kept_by_sqlite(self, conn: Connection) -> Iterator[None]:
        driver: Any = conn.connection.dbapi_connection
        driver.set_progress_handler(lambda: not self.left(), STEPS)
        try:
            yield
        finally:
            with suppress(sqlite3.ProgrammingError):  # it was closed meanwhile
                driver.set_progress_handler(None, 0)

    @contextmanager
    def _kept_by_postgresql(self, conn: Connection) -> Iterator[None]:
        session: Any = conn.connection.dbapi_connection
        conn.exec_driver_sql(_STATEMENT_TIMEOUT, (f"{max(1, round(self.left() * 1000))}ms",))
        with self._guard:
            self._sessions.add(session)
        try:
            if self._ended:  # before the session was registered
                raise self.error()
            yield
        finally:
            with self._guard:
                self._sessions.discard(session)
            if self._ended:  # a late cancellation must not hit somebody else's statement
                conn.invalidate()
        if self._ended:
            raise self.error()
