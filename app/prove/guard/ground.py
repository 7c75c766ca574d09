"""The databases of trials: a shop is read into a database once, and each trial gets a copy of both."""

import random
import shutil
import tempfile
import uuid
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Protocol

import psycopg
from psycopg import sql

from app.prove.emptying import plain
from app.prove.guard.shop import ShopSource
from app.prove.guard.trial import Life, Outcome, Trial, opened
from app.stores.sql.engine import open_database


class _Databases(Protocol):
    """Databases by name."""

    def copy(self, name: str, to: str) -> None:
        """Copy a database that nobody has open; a database with the new name is replaced."""

    def url(self, name: str) -> str:
        """The URL of a database, whether it exists or not."""

    def close(self) -> None:
        """Remove all databases."""


class _Opened(NamedTuple):
    """A shop after its first night, and the name of its database."""

    source: ShopSource
    database: str


class Ground:
    """Carries out one trial at a time, in SQLite files in a folder of its own or in databases of its own at the
    PostgreSQL server of ``url``, whose user may create them."""

    def __init__(self, url: str = "") -> None:
        self._databases: _Databases = _Server(url) if url else _Folder()
        self._shops: dict[tuple[int, int], _Opened] = {}
        with closing(open_database(self._databases.url("empty"), pool=1)) as database:
            database.migrate()
            database.checkpoint()

    def attempt(self, trial: Trial) -> Outcome:
        """Carry out one trial."""
        before = self._opened(trial.ground, trial.size)
        rng = random.Random(f"trial {trial.seed}")  # noqa: S311 (a draw that repeats, no secret)
        source = before.source.at(before.source.shop.again(rng))
        self._databases.copy(before.database, "trial")
        with (
            closing(open_database(self._databases.url("trial"))) as database,
            closing(Life(database, source)) as life,
        ):
            return life.tried(trial)

    def close(self) -> None:
        """Remove everything."""
        self._databases.close()

    def _opened(self, seed: int, size: int) -> _Opened:
        if (seed, size) not in self._shops:
            source, name = opened(seed, size), f"shop{len(self._shops)}"
            self._databases.copy("empty", name)
            with closing(open_database(self._databases.url(name))) as database:
                with closing(Life(database, source)) as life:
                    life.read()
                database.checkpoint()
            self._shops[seed, size] = _Opened(source, name)
        return self._shops[seed, size]


class _Folder:
    """SQLite files."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tallyhook-guard-")

    def url(self, name: str) -> str:
        return f"sqlite:///{self._file(name)}"

    def copy(self, name: str, to: str) -> None:
        for old in self._file(to).parent.glob(f"{to}.db*"):
            old.unlink()
        shutil.copy(self._file(name), self._file(to))

    def close(self) -> None:
        self._folder.cleanup()

    def _file(self, name: str) -> Path:
        return Path(self._folder.name) / f"{name}.db"


class _Server:
    """PostgreSQL databases, copied by the server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._prefix = f"tallyhook_guard_{uuid.uuid4().hex[:8]}_"
        self._names = {"empty"}
        self._do("CREATE DATABASE {}", "empty")

    def url(self, name: str) -> str:
        address, mark, options = self._url.partition("?")
        return f"{address.rpartition('/')[0]}/{self._prefix}{name}{mark}{options}"

    def copy(self, name: str, to: str) -> None:
        if to in self._names:
            self._do("DROP DATABASE {} WITH (FORCE)", to)
        self._names.add(to)
        self._do("CREATE DATABASE {} TEMPLATE {}", to, name)

    def close(self) -> None:
        for name in self._names:
            self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _do(self, statement: str, *names: str) -> None:
        composed = sql.SQL(statement).format(*(sql.Identifier(self._prefix + name) for name in names))
        with psycopg.connect(plain(self._url), autocommit=True) as conn:
            conn.execute(composed)
