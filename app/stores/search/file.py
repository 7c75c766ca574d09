"""The file of the index: opened, made again where it is broken, and given up for memory where it cannot be used."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import structlog

from app.errors import Unavailable
from app.stores.search.entries import SHAPE, create

READ_WAIT = 2.0
"""Seconds that a reader, or whoever opens the file, waits for it; writers do not block readers (WAL)."""

IDLE = 16
"""So many connections stay open for later readers."""

LARGEST_LOG = 16_000_000
"""Bytes that the write-ahead log keeps after it was copied into the file."""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_MISTAKES = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE}

log = structlog.get_logger()


class Lost(Exception):
    """The index was thrown away while it was used: fill the new one, and ask again."""


class _Open(NamedTuple):
    conn: sqlite3.Connection
    generation: int


class IndexFile:
    """Connections to the file, one for each thread at a time. Without a ``path``, one in memory for all of them in turn."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._turn = threading.RLock()
        self._memory: sqlite3.Connection | None = None
        self._idle: list[_Open] = []
        self._generation = 0
        self._inode: tuple[int, int] | None = None

    @contextmanager
    def connection(self, wait: float = READ_WAIT) -> Iterator[sqlite3.Connection]:
        """A connection that waits so long for a lock. Raises ``Unavailable`` when that is over, and ``Lost`` if the index
        had to be thrown away."""
        with self._lock:
            taken = self._taken()
        if taken is None:
            with self._turn, self._faults():
                self._memory = self._memory or _prepared(":memory:")
                yield self._memory
            return
        try:
            with self._faults():
                taken.conn.execute(f"PRAGMA busy_timeout = {int(wait * 1000)}")
                yield taken.conn
        finally:
            self._return(taken)

    def close(self) -> None:
        """Close all connections; those in use when they are returned."""
        with self._lock:
            self._drop()

    def _taken(self) -> _Open | None:
        """An idle connection or a new one; ``None`` where the index is in memory."""
        if self._inode is not None and self._path is not None and _inode(self._path) != self._inode:
            self._drop()  # somebody removed the file, or another process made it again
        if self._idle:
            return self._idle.pop()
        for is_last in (False, True):
            if self._path is None:
                return None
            try:
                conn = _opened(self._path)
                self._inode = _inode(self._path)
                return _Open(conn, self._generation)
            except (OSError, sqlite3.DatabaseError) as error:
                if isinstance(error, sqlite3.DatabaseError) and _code(error) in _BUSY:
                    raise _busy() from error
                self._throw_away(error, for_good=is_last or not _is_broken(error))
        return None

    def _return(self, taken: _Open) -> None:
        with self._lock:
            if taken.generation == self._generation and len(self._idle) < IDLE and not taken.conn.in_transaction:
                self._idle.append(taken)
                return
        with suppress(sqlite3.Error):
            taken.conn.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if _code(error) in _BUSY:
                raise _busy() from error
            if _code(error) in _MISTAKES or isinstance(error, sqlite3.ProgrammingError):
                raise
            with self._lock:
                self._throw_away(error, for_good=not _is_broken(error))
            raise Lost(str(error)) from error

    def _throw_away(self, error: Exception, *, for_good: bool) -> None:
        """Remove the file, or leave it ``for_good``: then the index lives in memory until this process ends."""
        self._drop()
        path = self._path
        if path is not None and not for_good:
            try:
                _remove(path)
            except OSError as refusal:
                error, for_good = refusal, True
        if path is not None and for_good:
            self._path = None
            log.warning("search_index_in_memory", path=str(path), error=f"{type(error).__name__}: {error}")

    def _drop(self) -> None:
        self._generation += 1
        self._inode = None
        for idle in self._idle:
            with suppress(sqlite3.Error):
                idle.conn.close()
        self._idle.clear()
        self._memory = None


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):  # a file that is there stays untouched: closing it would end SQLite's locks on it
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    return _prepared(str(path))


def _prepared(name: str) -> sqlite3.Connection:
    """A connection to a file with our tables; raises ``sqlite3.DatabaseError`` for one that is broken or of another
    shape."""
    conn = sqlite3.connect(name, timeout=READ_WAIT, isolation_level=None, check_same_thread=False)
    try:
        conn.execute("PRAGMA synchronous = NORMAL")
        conn.execute(f"PRAGMA journal_size_limit = {LARGEST_LOG}")
        if _shape(conn) == 0:
            conn.execute("PRAGMA journal_mode = WAL").fetchall()
            conn.execute("BEGIN IMMEDIATE")
            if _shape(conn) == 0:  # no other process was faster
                create(conn)
            conn.execute("COMMIT")
        if _shape(conn) != SHAPE:
            raise sqlite3.DatabaseError(f"a search index of shape {_shape(conn)}; {SHAPE} was expected")
    except BaseException:
        conn.close()
        raise
    return conn


def _shape(conn: sqlite3.Connection) -> int:
    return int(conn.execute("PRAGMA user_version").fetchone()[0])


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remove(path: Path) -> None:
    """Remove the file, itself last: another process whose log is taken away must see that its file is gone as well."""
    for suffix in ("-journal", "-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _code(error: sqlite3.DatabaseError) -> int | None:
    """SQLite's own code without its details; ``None`` for an error of Python's or ours."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_broken(error: Exception) -> bool:
    """Whether a new file would help."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _busy() -> Unavailable:
    return Unavailable("another process is filling the search index; try again in a few seconds", retry_after=5)
