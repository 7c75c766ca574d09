"""The tables of the index, and how they are changed.

``called`` has every number and name in its folded spelling (``rules.search.fold``), to be looked up by its beginning;
``grams`` has the trigrams of them all, and of the beginnings of words (``rules.search.gram_text``).
"""

import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.rules.search import fold, gram_text

SHAPE = 3_000_000 + int(unicodedata.unidata_version.replace(".", "").ljust(4, "0"))
"""Raised when the tables or their texts change; Unicode's version decides how texts are folded. A file of another shape is
thrown away."""

_SCHEMA = (
    """CREATE TABLE entries (
        place INTEGER PRIMARY KEY, connection TEXT NOT NULL, external_id TEXT NOT NULL, sku TEXT, barcode TEXT,
        supplier_sku TEXT, name TEXT, UNIQUE (connection, external_id)
    )""",
    """CREATE TABLE called (
        sort INTEGER NOT NULL, text TEXT NOT NULL, connection TEXT NOT NULL, place INTEGER NOT NULL,
        PRIMARY KEY (sort, text, connection, place)
    ) WITHOUT ROWID""",
    "CREATE VIRTUAL TABLE grams USING fts5(text, content='', tokenize='trigram case_sensitive 1')",
    "CREATE TABLE state (cursor TEXT NOT NULL)",
)

LONGEST = 200
"""Characters of a name that can be looked up by its beginning."""

CACHE = 32_000
"""KiB that a writer keeps in memory: a fill puts texts in no order."""


class Entry(NamedTuple):
    """What a living listing is called."""

    connection: str
    external_id: str
    sku: str | None
    barcode: str | None
    supplier_sku: str | None
    name: str | None

    def folded(self) -> tuple[str, ...]:
        """SKU, barcode, supplier SKU, id and name in their folded spelling, "" for those that are missing."""
        return tuple(
            fold(one or "") for one in (self.sku, self.barcode, self.supplier_sku, self.external_id, self.name)
        )


SORTS = range(5)
"""The places in ``Entry.folded``."""

COLUMNS = ", ".join(Entry._fields)


def create(conn: sqlite3.Connection) -> None:
    """Make the tables."""
    for statement in _SCHEMA:
        conn.execute(statement)
    conn.execute(f"PRAGMA user_version = {SHAPE}")


class Writing:
    """Puts and removes entries within one transaction."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        conn.execute(f"PRAGMA cache_size = -{CACHE}")
        self._place = int(conn.execute("SELECT coalesce(max(place), 0) FROM entries").fetchone()[0])

    def clear(self) -> None:
        """Remove every entry."""
        self._conn.execute("INSERT INTO grams (grams) VALUES ('delete-all')")
        self._conn.execute("DELETE FROM called")
        self._conn.execute("DELETE FROM entries")
        self._conn.execute("DELETE FROM state")

    def remove(self, connection: str, ids: Iterable[str]) -> None:
        """Remove the entries of these listings."""
        query = f"SELECT place, {COLUMNS} FROM entries WHERE connection = ? AND external_id = ?"
        for id in ids:
            row = self._conn.execute(query, (connection, id)).fetchone()
            if row is not None:
                self._remove(row[0], Entry(*row[1:]))

    def put(self, entries: Iterable[Entry]) -> None:
        """Add entries of listings that have none."""
        placed = list(enumerate(entries, self._place + 1))
        self._place += len(placed)
        marks = ", ".join("?" * (len(Entry._fields) + 1))
        self._conn.executemany(
            f"INSERT INTO entries (place, {COLUMNS}) VALUES ({marks})", ((place, *entry) for place, entry in placed)
        )
        called = (row for place, entry in placed for row in _called(place, entry))
        self._conn.executemany("INSERT INTO called VALUES (?, ?, ?, ?)", called)
        grams = ((place, gram_text(entry.folded()[:3] + entry.folded()[4:])) for place, entry in placed)
        self._conn.executemany("INSERT INTO grams (rowid, text) VALUES (?, ?)", grams)

    def cursor(self) -> str | None:
        """Up to where the feed was followed when this change began."""
        row = self._conn.execute("SELECT cursor FROM state").fetchone()
        return None if row is None else str(row[0])

    def move(self, cursor: str) -> None:
        """The feed was followed up to this cursor."""
        self._conn.execute("DELETE FROM state")
        self._conn.execute("INSERT INTO state VALUES (?)", (cursor,))

    def _remove(self, place: int, entry: Entry) -> None:
        gone = (place, gram_text(entry.folded()[:3] + entry.folded()[4:]))
        self._conn.execute("INSERT INTO grams (grams, rowid, text) VALUES ('delete', ?, ?)", gone)
        keys = "sort = ? AND text = ? AND connection = ? AND place = ?"
        self._conn.executemany(f"DELETE FROM called WHERE {keys}", _called(place, entry))
        self._conn.execute("DELETE FROM entries WHERE place = ?", (place,))


def _called(place: int, entry: Entry) -> Iterator[tuple[int, str, str, int]]:
    for sort, text in enumerate(entry.folded()):
        if text:
            yield sort, text[:LONGEST], entry.connection, place
