"""Opens and migrates the database, SQLite or PostgreSQL; a transaction means the same on both."""

import copy
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from app.errors import DatabaseFault
from app.stores.sql.faults import TransactionUndone, Trouble, fault_of, is_interruption, refusal_to_migrate
from app.stores.sql.pooler import Pooler
from app.stores.sql.sessions import Sessions, turn_of
from app.stores.sql.time_limits import TimeLimit
from app.stores.sql.urls import DatabaseUrl, parse

T = TypeVar("T")

_MIGRATIONS = Path(__file__).parents[1] / "migrations"
_MIGRATION_LOCK = 7_215_093_321  # any number of our own: PostgreSQL's advisory locks are named by one
_WRITES = "tallyhook_writes"

MAX_WAL_PAGES = 16_000
"""When SQLite's write-ahead log has this many pages (of 4 KiB), a commit checkpoints it."""

PATIENCE = 10.0
"""Seconds that a thread waits for a connection while all are in use, or for SQLite's file while it is locked."""

SQLITE_OVERFLOW = 32
"""Connections to SQLite that may be open beyond the pool; they cost next to nothing."""

MAX_TRIES = 6
"""How often ``transact`` tries a transaction that the database undoes in favour of another."""

DATABASE_ERRORS: tuple[type[Exception], ...] = (DatabaseFault, SQLAlchemyError, sqlite3.Error, psycopg.Error)
"""The errors that a database raises in a transaction: its own trouble (``DatabaseFault``), or its refusal of a statement
or value. The drivers' are among them, because ``stores.sql.statements`` bypasses SQLAlchemy."""


class Database:
    """One database and its pool of connections; safe to share between threads.

    Every write happens in ``begin()``, every consistent read in ``read()``. On SQLite, the writers of one process take
    turns in the order they came; writers of other processes wait up to 10 s for the file.

    Raises ``DatabaseFault`` for every trouble of the database. If the trouble makes the other sessions of the pool useless
    too (a restart, a failover), all of them are replaced: one failure heals the process.
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

    def limited(self, limit: TimeLimit) -> "Database":
        """The same database and pool with a time limit for one question: its statements end with the limit and raise
        ``TakesTooLong``, which does not mean that the database is in trouble."""
        limited = copy.copy(self)
        limited._limit = limit
        return limited

    @property
    def is_limited(self) -> bool:
        """Whether a question with a time limit is being answered."""
        return self._limit is not None

    def unlimited(self) -> "Database":
        """The same database and pool for work that goes on when the question that began it is over."""
        unlimited = copy.copy(self)
        unlimited._limit = None
        return unlimited

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction: committed at the end of the block, rolled back when it raises."""
        with self._turn, self._transaction(self._writing, writing=True) as conn:
            yield conn

    @contextmanager
    def once(self) -> Iterator[Connection]:
        """``begin()`` for a single statement: on PostgreSQL it needs no round trips for a transaction around it. There,
        each of several statements would be a transaction of its own."""
        with self._turn, self._transaction(self._single, writing=True) as conn:
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction for reading only; on SQLite all its reads see the same moment. However many readers there are,
        they leave one connection to writers."""
        if not self._readers.acquire(timeout=self._patience):
            raise DatabaseFault("every database connection of this process that reads may use is in use")
        try:
            with self._transaction(self.engine, writing=False) as conn:  # begun, for raw statements as well
                yield conn
        finally:
            self._readers.release()

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a write transaction, and again if the database undid it (a deadlock, a serialisation failure):
        so ``work`` must be repeatable. Raises what ``begin`` raises."""

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
        """How many seconds ago the database last got into trouble, and out of it (0.0 if it is in trouble now), as this
        process saw it; ``None`` if never.

        Leases that ran out in between, or within their own length after it, are not crashes.
        """
        return self._trouble.ages()

    def clock_stepped(self, seconds: float) -> None:
        """The database's clock jumped ahead: this counts as trouble, because leases ran out too early."""
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
                self._pooler.note_error(error)
                self._sessions.replace(generation)
            if not fault.undone:
                self._trouble.began(fault, writing=writing)
            raise fault.error() from error
        self._trouble.ended(writing=writing)

    def migrate(self, revision: str = "head") -> None:
        """Bring the schema up to a revision, in one transaction; other processes that try it too wait. Raises
        ``BadConfiguration`` where the server does not let our user make tables."""
        from alembic import command  # takes a fifth of a process's start, and most never migrate
        from alembic.config import Config

        with self.begin() as conn:
            if self.dialect == "postgresql":
                conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
            config.attributes["connection"] = conn
            try:
                command.upgrade(config, revision)
            except ProgrammingError as error:
                refusal = refusal_to_migrate(error)
                if refusal is None:
                    raise
                raise refusal from error

    def at_head(self) -> bool:
        """Whether the schema is the one this program was written for."""
        with self.read() as conn:
            if not inspect(conn).has_table("alembic_version"):
                return False
            applied = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        return applied == [newest_revision()]

    def checkpoint(self) -> None:
        """Copy SQLite's write-ahead log into its file, as far as no reader blocks it; does nothing on PostgreSQL."""
        if self.dialect == "sqlite":
            with _translated(), closing(self.engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").close()

    def close(self) -> None:
        """Close idle connections at once, and the others when they are returned."""
        self._sessions.replace(self._sessions.generation)
        self.engine.dispose()


def open_database(url: str, *, durable: bool = False, pool: int = 20, patience: float = PATIENCE) -> Database:
    """A database by its URL, as ``stores.sql.urls.parse`` reads it.

    Does not connect yet. ``pool`` is the maximum of open connections (SQLite: of idle ones). A caller who finds none free
    for ``patience`` seconds, or SQLite's file locked that long (the URL may say otherwise), gets a ``DatabaseFault``.
    ``durable`` makes SQLite flush every commit to the disk (for the receiver, which acknowledges); without it a power cut
    may undo the last commits. Raises ``BadConfiguration`` for any other URL, never showing it: it may hold a password.
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


def newest_revision() -> str:
    """The revision that this program was written for: files of migrations are named by theirs (``v0028_outcomes.py``)."""
    return max(file.name[1:5] for file in (_MIGRATIONS / "versions").glob("v*.py"))
