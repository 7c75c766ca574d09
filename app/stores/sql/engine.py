"""Opens the database, SQLite or PostgreSQL, so that a transaction means the same on both; and migrates it."""

from __future__ import annotations

import copy
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from app.errors import DatabaseFault
from app.stores.sql.faults import TransactionUndone, Trouble, fault_of, is_interruption
from app.stores.sql.pooler import Pooler
from app.stores.sql.sessions import Sessions, turn_of
from app.stores.sql.time_limits import TimeLimit
from app.stores.sql.urls import DatabaseUrl, parse

T = TypeVar("T")

_MIGRATIONS = Path(__file__).parents[1] / "migrations"
_MIGRATION_LOCK = 7_215_093_321  # any number of our own: PostgreSQL's advisory locks are named by one
_WRITES = "tallyhook_writes"

MAX_WAL_PAGES = 16_000
"""Pages (of 4 KiB) of SQLite's write-ahead log from which on a commit does the checkpoint itself."""

PATIENCE = 10.0
"""Seconds that a thread waits for a connection when all are in use, and for SQLite's file when it is locked."""

SQLITE_OVERFLOW = 32
"""Connections to SQLite, which cost next to nothing, that may be open beyond those that are kept."""

MAX_TRIES = 6
"""How often ``transact`` tries a transaction that the database undoes in favour of others."""

DATABASE_ERRORS: tuple[type[Exception], ...] = (DatabaseFault, SQLAlchemyError, sqlite3.Error, psycopg.Error)
"""What comes out of a transaction because of the database: its own trouble (``DatabaseFault``), or what it says to a
statement or a value; ``stores.sql.statements`` runs on the driver, past SQLAlchemy's own errors."""


class Database:
    """One database and its pool of connections; safe to share between threads.

    Every write happens in ``begin()``, every consistent read in ``read()``. On SQLite, writers of one process
    take turns in the order they came; writers of other processes wait up to 10 s for the file.

    Whatever fails because the database is in trouble raises ``DatabaseFault``. When that leaves the other sessions of
    the pool useless too (a restart, a failover), all of them are replaced: one failure heals the process.
    """

    def __init__(self, url: str, engine: Engine, pooler: Pooler, *, readers: int, patience: float) -> None:
        self.url = url
        self.engine = engine
        self.dialect = engine.dialect.name
        on_sqlite = self.dialect == "sqlite"
        self._writing = engine.execution_options(**{_WRITES: True})
        self._single = self._writing if on_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")
        self._turn = turn_of(engine.url) if on_sqlite else nullcontext()
        self._sessions = Sessions(engine)
        self._readers = threading.BoundedSemaphore(readers)
        self._patience = patience
        self._pooler = pooler
        self._trouble = Trouble()
        self._limit: TimeLimit | None = None

    def limited(self, limit: TimeLimit) -> Database:
        """The same database, pool and all, for one question: whatever it is asked ends with the limit, and then raises
        ``TakesTooLong``. That is no trouble of the database."""
        limited = copy.copy(self)
        limited._limit = limit
        return limited

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction: committed at the end of the block, rolled back when it raises."""
        with self._turn, self._transaction(self._writing, writing=True) as conn:
            yield conn

    @contextmanager
    def once(self) -> Iterator[Connection]:
        """``begin()`` for work that is a single statement on PostgreSQL, which then needs no round trips for the
        transaction around it. Of several statements each would be a transaction there."""
        with self._turn, self._transaction(self._single, writing=True) as conn:
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction for reading only; on SQLite all its reads see the same moment. However many read at once, they
        leave a connection to those who write."""
        if not self._readers.acquire(timeout=self._patience):
            raise DatabaseFault("every database connection of this process that reads may use is in use")
        try:
            with self._transaction(self.engine, writing=False) as conn:  # begun, for raw statements as well
                yield conn
        finally:
            self._readers.release()

    def transact(self, work: Callable[[Connection], T]) -> T:
        """``work`` in a write transaction of its own, again when the database undid it (a deadlock, a serialisation
        failure): so it must be fit to be run twice. Raises what ``begin`` raises."""

        def attempt() -> T:
            with self.begin() as conn:
                return work(conn)

        return Retrying(
            retry=retry_if_exception_type(TransactionUndone),
            stop=stop_after_attempt(MAX_TRIES),
            wait=wait_random_exponential(multiplier=0.01, max=1.0),
            reraise=True,
        )(attempt)

    def trouble(self) -> tuple[float, float] | None:
        """How many seconds ago this process last saw the database get into trouble, and out of it (0.0 if it is in trouble
        now); ``None`` if never.

        Leases that ran out in between, or within their own length after it, say nothing of their holders.
        """
        return self._trouble.ages()

    def clock_stepped(self, seconds: float) -> None:
        """The database's clock jumped ahead by so much: trouble, for leases ran out that could not be renewed."""
        self._trouble.clock_stepped(seconds)

    @contextmanager
    def _transaction(self, engine: Engine, *, writing: bool) -> Iterator[Connection]:
        generation = self._sessions.generation
        try:
            with engine.begin() as conn, nullcontext() if self._limit is None else self._limit.kept(conn):
                yield conn
        except Exception as error:
            if self._limit is not None and is_interruption(error):
                raise self._limit.error() from error
            fault = fault_of(error)
            if fault is None:
                raise
            if fault.stale:
                self._pooler.suspect(error)
                self._sessions.replace(generation)
            if not fault.undone:
                self._trouble.began(fault, writing=writing)
            raise fault.error() from error
        self._trouble.ended(writing=writing)

    def migrate(self, revision: str = "head") -> None:
        """Bring the schema up to a revision, in one transaction; other processes that try it too wait."""
        with self.begin() as conn:
            if self.dialect == "postgresql":
                conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            config = _alembic_config()
            config.attributes["connection"] = conn
            command.upgrade(config, revision)

    def at_head(self) -> bool:
        """Whether the schema is the one this program was written for."""
        with self.read() as conn:
            applied = MigrationContext.configure(conn).get_current_heads()
        return set(applied) == set(ScriptDirectory.from_config(_alembic_config()).get_heads())

    def checkpoint(self) -> None:
        """Bring SQLite's write-ahead log into its file as far as nobody is in the way; on PostgreSQL nothing to do."""
        if self.dialect == "sqlite":
            with _translated(), closing(self.engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").close()

    def close(self) -> None:
        """Close all connections: the idle at once, those in use when they come back."""
        self._sessions.replace(self._sessions.generation)
        self.engine.dispose()


def open_database(url: str, *, durable: bool = False, pool: int = 20, patience: float = PATIENCE) -> Database:
    """A database by its URL, as ``stores.sql.urls.parse`` reads it.

    Connects to nothing yet. ``pool`` is the number of connections it opens at most (SQLite: keeps open); who finds none
    free for ``patience`` seconds, or SQLite's file locked for so long (unless the URL says for how long), gets a
    ``DatabaseFault``. ``durable`` makes SQLite flush every commit to the disk (for the receiver, which acknowledges);
    without it a power cut may take back the last commits, whole and in order. Raises ``BadConfiguration`` for any other
    URL; its message never shows the URL, which may hold a password.
    """
    parsed = parse(url)
    pooler = Pooler(parsed.pooled, parsed.prepare_threshold)
    if parsed.url.get_backend_name() == "sqlite":
        engine, most = _sqlite_engine(parsed, durable=durable, pool=pool, patience=patience), pool + SQLITE_OVERFLOW
    else:
        engine, most = _postgresql_engine(parsed, pooler, pool=pool, patience=patience), pool
    return Database(url, engine, pooler, readers=max(1, most - 1), patience=patience)


def _sqlite_engine(parsed: DatabaseUrl, *, durable: bool, pool: int, patience: float) -> Engine:
    engine = create_engine(
        parsed.url,
        pool_size=pool,
        max_overflow=SQLITE_OVERFLOW,
        pool_timeout=patience,
        pool_use_lifo=True,
        connect_args={"timeout": patience, **parsed.arguments},
    )
    synchronous = "FULL" if durable else "NORMAL"

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            f"wal_autocheckpoint={MAX_WAL_PAGES}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        # IMMEDIATE: a transaction that only later turns into a writer would fail instead of wait for its turn.
        conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get(_WRITES) else "BEGIN")

    return engine


def _postgresql_engine(parsed: DatabaseUrl, pooler: Pooler, *, pool: int, patience: float) -> Engine:
    engine = create_engine(
        parsed.url,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=patience,
        pool_use_lifo=True,
        connect_args=dict(parsed.arguments),
    )

    @event.listens_for(engine, "do_connect")
    def _connect(dialect: Any, record: Any, arguments: Any, parameters: Any) -> Any:
        connection = dialect.connect(*arguments, **parameters)
        try:
            pooler.opened(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        setting = pooler.setting(writing=bool(conn.get_execution_options().get(_WRITES)))
        if setting is not None and not conn.connection.dbapi_connection.autocommit:  # type: ignore[union-attr]
            conn.exec_driver_sql(setting)

    return engine


@contextmanager
def _translated() -> Iterator[None]:
    """Raise ``DatabaseFault`` for the database's trouble outside of a transaction."""
    try:
        yield
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
        raise fault.error() from error


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
