"""The databases of a proof: empty ones that are migrated, and copies, in SQLite files or at a PostgreSQL server."""

import shutil
import tempfile
import uuid
from contextlib import closing
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

from app.stores.sql.engine import open_database

EMPTY = "empty"
"""The name of the database that is migrated and has no rows."""


class Databases(Protocol):
    """Databases by name; only ``EMPTY`` is there at first."""

    def copy(self, name: str, to: str) -> str:
        """Copy a database that nobody has open, and replace one with the new name; returns the copy's URL."""

    def url(self, name: str) -> str:
        """The URL of a database, whether it exists or not."""

    def close(self) -> None:
        """Remove all databases."""


def databases_at(url: str = "") -> Databases:
    """Databases of their own at the PostgreSQL server of ``url``, whose user may create them, or without it SQLite files."""
    databases: Databases = _Server(url) if url else _Folder()
    with closing(open_database(databases.url(EMPTY), pool=1)) as database:
        database.migrate()
        database.checkpoint()
    return databases


class _Folder:
    """SQLite files."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tallyhook-prove-")

    def url(self, name: str) -> str:
        return f"sqlite:///{self._file(name)}"

    def copy(self, name: str, to: str) -> str:
        for old in self._file(to).parent.glob(f"{to}.db*"):
            old.unlink()
        shutil.copy(self._file(name), self._file(to))
        return self.url(to)

    def close(self) -> None:
        self._folder.cleanup()

    def _file(self, name: str) -> Path:
        return Path(self._folder.name) / f"{name}.db"


class _Server:
    """PostgreSQL databases, copied by the server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._prefix = f"tallyhook_prove_{uuid.uuid4().hex[:8]}_"
        self._names = {EMPTY}
        self._do("CREATE DATABASE {}", EMPTY)

    def url(self, name: str) -> str:
        address, mark, options = self._url.partition("?")
        return f"{address.rpartition('/')[0]}/{self._prefix}{name}{mark}{options}"

    def copy(self, name: str, to: str) -> str:
        if to in self._names:
            self._do("DROP DATABASE {} WITH (FORCE)", to)
        self._names.add(to)
        self._do("CREATE DATABASE {} TEMPLATE {}", to, name)
        return self.url(to)

    def close(self) -> None:
        for name in self._names:
            self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _do(self, statement: str, *names: str) -> None:
        composed = sql.SQL(statement).format(*(sql.Identifier(self._prefix + name) for name in names))
        plain = self._url.replace("postgresql+psycopg://", "postgresql://", 1)  # as libpq spells it
        with psycopg.connect(plain, autocommit=True) as conn:
            conn.execute(composed)
