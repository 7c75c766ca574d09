"""The least that the item path could be: the same GET, one plain write, and neither queue nor lease nor history."""

import sqlite3
import ssl
import threading
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg

TABLE = (
    "CREATE TABLE IF NOT EXISTS floor_rows (id TEXT PRIMARY KEY, body TEXT NOT NULL, written_at {moment} NOT NULL)"
)
_UPSERT = """
    INSERT INTO floor_rows (id, body, written_at) VALUES ({mark}, {mark}, {mark})
    ON CONFLICT (id) DO UPDATE SET body = excluded.body, written_at = excluded.written_at
"""


class Rows:
    """Plain upserts, each its own commit. A connection per thread; on SQLite one for all, under a lock."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._local = threading.local()
        self._lock = threading.Lock()
        self._file = _sqlite(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else None

    def create(self) -> None:
        """Make the table."""
        if self._file is not None:
            self._file.execute(TABLE.format(moment="TEXT"))
        else:
            self._connection().execute(TABLE.format(moment="timestamptz"))

    def put(self, id_: str, body: str) -> None:
        """Write one row and commit."""
        row = (id_, body, datetime.now(UTC))
        if self._file is None:
            self._connection().execute(_UPSERT.format(mark="%s"), row, prepare=True)
            return
        with self._lock:
            self._file.execute(_UPSERT.format(mark="?"), row)

    def _connection(self) -> psycopg.Connection[Any]:
        if not hasattr(self._local, "connection"):
            self._local.connection = psycopg.connect(self._url, autocommit=True)
        connection: psycopg.Connection[Any] = self._local.connection
        return connection


def _sqlite(file: str) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=10.0)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}").close()
    return connection


class Fetcher:
    """Gets records with one ``httpx.Client`` per thread, on a shared SSL context as ours."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._ssl: ssl.SSLContext = httpx.create_ssl_context()
        self._local = threading.local()

    def get(self, path: str) -> str:
        """The body of a 200."""
        if not hasattr(self._local, "client"):
            self._local.client = httpx.Client(base_url=self._base_url, verify=self._ssl, timeout=60)
        return str(self._local.client.get(path).raise_for_status().text)
