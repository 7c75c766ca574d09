"""Runs hand-written SQL on the driver's cursor, for hot paths where SQLAlchemy would cost more than the statement.

Parameters are ``:name`` for both drivers. Rows are plain tuples of the driver's values; ``columns.moment_from`` reads
their times.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec
from sqlalchemy import Connection, Table

from app.domain import ItemKey

_LONGEST_KEY = 500  # characters; PostgreSQL refuses index rows of more than 2,704 bytes
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
_ARRAY = re.compile(r"%\((\w+)\)s(?=::\w+\[\])")  # sent binary: quoting every text of an array took half the time
_NOT_AMONG, _AMONG = re.compile(r"\bNOT AMONG (:\w+)"), re.compile(r"\bAMONG (:\w+)")
_LOCKING = re.compile(r"\bFOR UPDATE( SKIP LOCKED)?")  # SQLite has one writer at a time


class Statement:
    """SQL for both drivers; ``postgresql`` replaces the first text if they must differ.

    ``x AMONG :names`` says that x is in a ``bound_list`` of texts, ``x NOT AMONG :names`` that it is not. On SQLite,
    ``FOR UPDATE`` is left out.

    PostgreSQL keeps the plan of a statement that runs often, so hot SQL must have only one possible plan: look-ups by
    key, no joins. A join planned in a quiet hour took 1.7 s for a batch of 100 in a storm (measured).
    """

    def __init__(self, sqlite: str, *, postgresql: str | None = None) -> None:
        listed = _NOT_AMONG.sub(r"NOT IN (SELECT value FROM json_each(\1))", _LOCKING.sub("", sqlite))
        self._sqlite = _AMONG.sub(r"IN (SELECT value FROM json_each(\1))", listed)
        listed = _NOT_AMONG.sub(r"<> ALL(\1::text[])", postgresql or sqlite)
        named = _PARAMETER.sub(r"%(\1)s", _AMONG.sub(r"= ANY(\1::text[])", listed).replace("%", "%%"))
        self._postgresql = _ARRAY.sub(r"%(\1)b", named)

    def run(self, conn: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Execute once; returns the rows, if the statement returns any."""
        with closing(self._execute(conn, parameters)) as cursor:
            return cursor.fetchall() if cursor.description is not None else []

    def count(self, conn: Connection, parameters: Mapping[str, Any]) -> int:
        """Execute once; returns how many rows it changed."""
        with closing(self._execute(conn, parameters)) as cursor:
            return int(cursor.rowcount)

    def run_many(self, conn: Connection, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Execute once for each mapping."""
        with closing(_driver(conn).cursor()) as cursor:
            cursor.executemany(self._text(conn), parameters)

    def run_each(self, conn: Connection, parameters: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Execute once for each mapping, in order, and return all rows; one round trip on PostgreSQL."""
        if is_sqlite(conn) or len(parameters) == 1:
            return [row for each in parameters for row in self.run(conn, each)]
        with closing(_driver(conn).cursor()) as cursor:
            cursor.executemany(self._postgresql, parameters, returning=True)
            return [row for result in cursor.results() for row in result.fetchall()]

    def _execute(self, conn: Connection, parameters: Mapping[str, Any]) -> Any:
        return _driver(conn).cursor().execute(self._text(conn), parameters)

    def _text(self, conn: Connection) -> str:
        return self._sqlite if is_sqlite(conn) else self._postgresql


def upsert(table: Table) -> Statement:
    """A statement that inserts a row of a table, or overwrites the row with the same primary key; the parameters are named
    as the columns."""
    key, names = table.primary_key.columns.keys(), table.c.keys()
    values = ", ".join(f":{name}" for name in names)
    news = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
    return Statement(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {news}"
    )


def is_sqlite(conn: Connection) -> bool:
    """Whether the database is SQLite, not PostgreSQL."""
    return conn.dialect.name == "sqlite"


def bound_list(conn: Connection, texts: Sequence[str]) -> Any:
    """A list as one parameter: an array on PostgreSQL, JSON for ``json_each`` on SQLite."""
    return json_text(list(texts)) if is_sqlite(conn) else list(texts)


def json_text(value: Any) -> str:
    """A value as compact JSON text, for a column that keeps it so."""
    return msgspec.json.encode(value).decode()


def storable(text: str) -> str:
    """The text in a form that PostgreSQL can hold in a key: without NUL characters, and of limited length.

    One odd delivery must not fail its batch. A text that is too long keeps its beginning, followed by a digest of the
    whole, so that different texts stay different.
    """
    if len(text) > _LONGEST_KEY:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        text = f"{text[:_LONGEST_KEY]}#{digest}"
    return text if "\x00" not in text else text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def key_of(key: ItemKey) -> dict[str, Any]:
    """An item's key as parameters."""
    return {"connection": key.connection, "kind": str(key.kind), "external_id": key.external_id}


def key_arrays(keys: Sequence[ItemKey]) -> dict[str, list[str]]:
    """Items' keys as PostgreSQL's ``unnest`` takes them: one array per column."""
    return {
        "connections": [key.connection for key in keys],
        "kinds": [str(key.kind) for key in keys],
        "ids": [key.external_id for key in keys],
    }


def _driver(conn: Connection) -> Any:
    if not conn.in_transaction():  # SQLAlchemy would not know of the statement, and SQLite commit it by itself
        raise RuntimeError("a statement needs a transaction: Database.begin() or Database.read()")
    return conn.connection.dbapi_connection
