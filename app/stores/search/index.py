"""The index: an SQLite file with one row per living listing, and the trigrams of its texts (FTS5).

It belongs to one host, follows the feed of changes, and needs nothing of the shared database: a plain PostgreSQL has no
trigrams, and writes there would pay for every search here. A lost or broken file is made again.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SHAPE = 2
"""Raised when the columns change: a file of another shape is thrown away."""

_SCHEMA = """
CREATE TABLE entries (
    place INTEGER PRIMARY KEY, connection TEXT NOT NULL, external_id TEXT NOT NULL, sku TEXT COLLATE NOCASE,
    barcode TEXT COLLATE NOCASE, supplier_sku TEXT COLLATE NOCASE, name TEXT COLLATE NOCASE,
    UNIQUE (connection, external_id)
);
CREATE INDEX ix_sku ON entries (sku, connection);
CREATE INDEX ix_barcode ON entries (barcode, connection);
CREATE INDEX ix_supplier_sku ON entries (supplier_sku, connection);
CREATE INDEX ix_external_id ON entries (external_id COLLATE NOCASE, connection);
CREATE INDEX ix_name ON entries (name, connection);
CREATE VIRTUAL TABLE grams USING fts5(
    sku, barcode, supplier_sku, name, content='entries', content_rowid='place', tokenize='trigram'
);
CREATE TRIGGER put AFTER INSERT ON entries BEGIN
    INSERT INTO grams (rowid, sku, barcode, supplier_sku, name)
    VALUES (new.place, new.sku, new.barcode, new.supplier_sku, new.name);
END;
CREATE TRIGGER removed AFTER DELETE ON entries BEGIN
    INSERT INTO grams (grams, rowid, sku, barcode, supplier_sku, name)
    VALUES ('delete', old.place, old.sku, old.barcode, old.supplier_sku, old.name);
END;
CREATE TABLE state (cursor TEXT NOT NULL);
"""

_COLUMNS = "connection, external_id, sku, barcode, supplier_sku, name"
_NAMED = ("sku", "barcode", "supplier_sku", "external_id", "name")
_VISIBLE = "connection IN (SELECT value FROM json_each(:visible))"
_CONNECTIONS = """
WITH RECURSIVE those (one) AS (
    SELECT min(connection) FROM entries
    UNION ALL SELECT (SELECT min(connection) FROM entries WHERE connection > one) FROM those WHERE one IS NOT NULL
) SELECT one FROM those WHERE one IS NOT NULL
"""
WAIT = 60.0
"""Seconds to wait for another process that writes to the same file."""


class Entry(NamedTuple):
    """What a living listing is called."""

    connection: str
    external_id: str
    sku: str | None
    barcode: str | None
    supplier_sku: str | None
    name: str | None


class SearchIndex:
    """Thread-safe, and several processes may share a file. Without a ``path`` it is in memory."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._conn: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self.following = threading.Lock()
        """Held by the thread that follows the feed."""

    def cursor(self) -> str | None:
        """Up to where the feed of changes was followed; ``None`` in an empty index."""
        with self._open() as conn:
            row = conn.execute("SELECT cursor FROM state").fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def writing(self, wait: float = WAIT) -> Iterator["Writing"]:
        """A change of the index, as a whole or not at all; one process at a time."""
        with self._open() as conn:
            conn.execute(f"PRAGMA busy_timeout = {int(wait * 1000)}")
            conn.execute("BEGIN IMMEDIATE")
            try:
                yield Writing(conn)
            except BaseException:
                conn.rollback()
                raise
            conn.commit()

    def named(self, text: str, connections: Sequence[str], limit: int) -> list[Entry]:
        """Entries of these connections one of whose numbers (SKU, barcode, supplier SKU, id), or whose name, begins with a
        text, in any case: ``limit`` for each of them, the equal one among them."""
        ending = text + "\U0010ffff"
        parts = " UNION ".join(
            f"SELECT * FROM (SELECT {_COLUMNS} FROM entries WHERE {column} COLLATE NOCASE >= :text"
            f" AND {column} COLLATE NOCASE < :ending AND {_VISIBLE} ORDER BY {column} COLLATE NOCASE LIMIT :limit)"
            for column in _NAMED
        )
        with self._open() as conn:
            rows = conn.execute(
                parts, {"text": text, "ending": ending, "visible": json.dumps(list(connections)), "limit": limit}
            )
            return [Entry(*row) for row in rows]

    def containing(
        self, all_of: Sequence[str], any_of: Sequence[str], connections: Sequence[str], limit: int
    ) -> list[Entry]:
        """Entries of these connections whose texts contain all of these parts, and one of the others if there are any, in
        any case. Every part has three characters at least. In no order: sorting would read all matches."""
        wanted = " AND ".join(map(_quoted, all_of))
        if any_of:
            either = " OR ".join(map(_quoted, any_of))
            wanted = f"({wanted}) AND ({either})" if wanted else either
        columns = ", ".join(f"entries.{column}" for column in Entry._fields)
        query = (
            f"SELECT {columns} FROM grams CROSS JOIN entries ON entries.place = grams.rowid"
            f" WHERE grams MATCH :wanted AND entries.{_VISIBLE} LIMIT :limit"
        )
        values = {"wanted": wanted, "visible": json.dumps(list(connections)), "limit": limit}
        with self._open() as conn:
            return [Entry(*row) for row in conn.execute(query, values)]

    def connections(self) -> list[str]:
        """The connections that have entries."""
        with self._open() as conn:
            return [row[0] for row in conn.execute(_CONNECTIONS)]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._conn is not None:
                self._conn.close()
                self._conn = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._conn is None:
                self._conn = self._opened()
            try:
                yield self._conn
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self.close()  # the file is broken; the next use makes it again
                _remove(self._path)
                raise

    def _opened(self) -> sqlite3.Connection:
        try:
            return _ready(self._path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            _remove(self._path)
            return _ready(self._path)


class Writing:
    """Puts and removes entries within one transaction."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def clear(self) -> None:
        """Remove every entry."""
        self._conn.execute("DELETE FROM entries")

    def remove(self, connection: str, ids: Iterable[str]) -> None:
        """Remove the entries of these listings."""
        keys = ((connection, id) for id in ids)
        self._conn.executemany("DELETE FROM entries WHERE connection = ? AND external_id = ?", keys)

    def put(self, entries: Iterable[Entry]) -> None:
        """Add entries of listings that have none."""
        self._conn.executemany(f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", entries)

    def cursor(self) -> str | None:
        """Up to where the feed was followed when this change began."""
        row = self._conn.execute("SELECT cursor FROM state").fetchone()
        return None if row is None else str(row[0])

    def move(self, cursor: str) -> None:
        """The feed was followed up to this cursor."""
        self._conn.execute("DELETE FROM state")
        self._conn.execute("INSERT INTO state VALUES (?)", (cursor,))


def _ready(path: Path | None) -> sqlite3.Connection:
    """The open file with its tables; raises ``sqlite3.DatabaseError`` for one that is broken or of another shape."""
    if path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    conn = sqlite3.connect(path or ":memory:", timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        conn.execute("PRAGMA synchronous = OFF")  # what a crash loses is made again
        conn.execute("BEGIN IMMEDIATE")
        _create(conn)
        conn.execute("COMMIT")
    except BaseException:
        conn.close()
        raise
    return conn


def _create(conn: sqlite3.Connection) -> None:
    shape = conn.execute("PRAGMA user_version").fetchone()[0]
    if shape == 0:
        for statement in _statements():
            conn.execute(statement)
        conn.execute(f"PRAGMA user_version = {SHAPE}")
    elif shape != SHAPE:
        raise sqlite3.DatabaseError(f"a search index of shape {shape}; {SHAPE} was expected")


def _statements() -> Iterator[str]:
    """The schema one by one: ``executescript`` would commit in between."""
    text = ""
    for line in _SCHEMA.strip().splitlines():
        text += line + "\n"
        if sqlite3.complete_statement(text):
            yield text
            text = ""


def _remove(path: Path | None) -> None:
    if path is not None:
        for suffix in ("", "-journal", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _quoted(part: str) -> str:
    return '"' + part.replace('"', '""') + '"'
