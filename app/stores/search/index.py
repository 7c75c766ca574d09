"""The index: an SQLite file with one row per living listing, and the trigrams of its texts (FTS5).

It belongs to one host, follows the feed of changes, and needs nothing of the shared database: a plain PostgreSQL has no
trigrams, and writes there would pay for every search here. A lost or broken file is made again.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from app.stores.search.entries import COLUMNS, SORTS, Entry, Writing
from app.stores.search.file import IndexFile

WAIT = 60.0
"""Seconds that a writer waits for another process that writes to the same file."""

_VISIBLE = "connection IN (SELECT value FROM json_each(:visible))"

_NAMED = f"SELECT {COLUMNS} FROM entries WHERE place IN (" + " UNION ".join(
    f"SELECT * FROM (SELECT place FROM called WHERE sort = {sort} AND text >= :text AND text < :ending AND {_VISIBLE}"
    " ORDER BY text LIMIT :limit)"
    for sort in SORTS
)
_NAMED += ")"

_CONTAINING = (
    f"SELECT {COLUMNS} FROM grams CROSS JOIN entries ON entries.place = grams.rowid"
    f" WHERE grams MATCH :wanted AND {_VISIBLE} LIMIT :limit"
)

_CONNECTIONS = """
WITH RECURSIVE those (one) AS (
    SELECT min(connection) FROM entries
    UNION ALL SELECT (SELECT min(connection) FROM entries WHERE connection > one) FROM those WHERE one IS NOT NULL
) SELECT one FROM those WHERE one IS NOT NULL
"""


class SearchIndex:
    """Thread-safe, and several processes may share a file. Without a ``path``, or where the file cannot be used, it is in
    memory. Everything raises ``Lost`` if the index had to be thrown away, and ``Unavailable`` where another process is in
    the way for too long."""

    def __init__(self, path: Path | None = None) -> None:
        self._file = IndexFile(path)
        self.following = threading.Lock()
        """Held by the thread that follows the feed."""

    def cursor(self) -> str | None:
        """Up to where the feed of changes was followed; ``None`` in an empty index."""
        with self._file.connection() as conn:
            row = conn.execute("SELECT cursor FROM state LIMIT 1").fetchall()
        return str(row[0][0]) if row else None

    @contextmanager
    def writing(self, wait: float = WAIT) -> Iterator[Writing]:
        """A change of the index, as a whole or not at all; one process at a time. Readers see the index before it."""
        with self._file.connection(wait) as conn:
            conn.execute("BEGIN IMMEDIATE")
            try:
                yield Writing(conn)
                conn.commit()
            except BaseException:
                with suppress(sqlite3.Error):
                    conn.rollback()
                raise

    def named(self, text: str, connections: Sequence[str], limit: int) -> list[Entry]:
        """Entries of these connections one of whose numbers (SKU, barcode, supplier SKU, id), or whose name, begins with a
        folded text: ``limit`` for each of them, the equal one among them."""
        values = {"text": text, "ending": text + "\U0010ffff", "visible": _list(connections), "limit": limit}
        return self._read(_NAMED, values)

    def containing(
        self, all_of: Sequence[str], any_of: Sequence[str], connections: Sequence[str], limit: int
    ) -> list[Entry]:
        """Entries of these connections whose folded texts contain all of these parts, and one of the others if there are
        any. Every part has three characters at least. In no order: sorting would read all matches."""
        wanted = " AND ".join(map(_quoted, all_of))
        if any_of:
            either = " OR ".join(map(_quoted, any_of))
            wanted = f"({wanted}) AND ({either})" if wanted else either
        return self._read(_CONTAINING, {"wanted": wanted, "visible": _list(connections), "limit": limit})

    def connections(self) -> list[str]:
        """The connections that have entries."""
        with self._file.connection() as conn:
            return [row[0] for row in conn.execute(_CONNECTIONS)]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, query: str, values: dict[str, object]) -> list[Entry]:
        with self._file.connection() as conn:
            return [Entry(*row) for row in conn.execute(query, values).fetchall()]


def _list(connections: Sequence[str]) -> str:
    return json.dumps(list(connections))


def _quoted(part: str) -> str:
    return '"' + part.replace('"', '""') + '"'
