"""Notices that a backup was restored while we run: a number that only rises has fallen."""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import msgspec
from sqlalchemy import Connection

from app.domain.decoding import decode
from app.rules.drift.drift import Restore
from app.stores.sql.columns import some_moment
from app.stores.sql.statements import Statement
from app.stores.tables import DATABASE_MARK


class Mark(NamedTuple):
    """A number that only rises; every restored backup begins a new ``lineage``."""

    lineage: str
    number: int
    at: datetime


class Witness:
    """The last mark that a process has seen (with a ``file``: every process of a role on this machine), kept outside the
    database, so that it survives a restore."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.last: Mark | None = self._read()

    def keep(self, mark: Mark) -> None:
        """Keep a mark; to be called when the transaction that raised it is committed. It is not an error if the file cannot
        be written: this process still knows the mark."""
        self.last = mark
        if self._file is not None:
            with suppress(OSError):
                part = self._file.with_suffix(f".{os.getpid()}")
                part.write_bytes(msgspec.json.encode(mark))
                part.replace(self._file)

    def _read(self) -> Mark | None:
        try:
            return None if self._file is None else decode(self._file.read_bytes(), Mark)
        except (OSError, msgspec.DecodeError):
            return None


_GET = Statement("SELECT lineage, number, at FROM marks WHERE name = :name")
_BEGIN = Statement(
    """
    INSERT INTO marks (name, lineage, number, at) VALUES (:name, :lineage, 1, :now)
    ON CONFLICT (name) DO UPDATE SET lineage = excluded.lineage, number = marks.number + 1, at = excluded.at
    """
)
_RISE = Statement("UPDATE marks SET number = number + 1, at = :now WHERE name = :name RETURNING lineage, number")
_RESTORED = Statement("INSERT INTO restores (back_to, lost_at, found_at) VALUES (:back_to, :lost_at, :now)")
_RESTORES = Statement("SELECT back_to, lost_at, found_at FROM restores WHERE found_at >= :since ORDER BY found_at")


def rise(conn: Connection, seen: Mark | None, now: datetime) -> Mark:
    """Raise the number and return the mark; ``seen`` is the last one that this process has seen.

    If the database has a smaller number of the same lineage, a restore is recorded and a new lineage begins.
    """
    rows = _GET.run(conn, {"name": DATABASE_MARK})
    here = Mark(rows[0][0], rows[0][1], some_moment(rows[0][2])) if rows else None
    if seen is not None and here is not None and here.lineage == seen.lineage and here.number < seen.number:
        _RESTORED.run(conn, {"back_to": here.at, "lost_at": seen.at, "now": now})
        here = None
    if here is None:
        _BEGIN.run(conn, {"name": DATABASE_MARK, "lineage": uuid4().hex, "now": now})
        ((lineage, number, _),) = _GET.run(conn, {"name": DATABASE_MARK})
    else:
        ((lineage, number),) = _RISE.run(conn, {"name": DATABASE_MARK, "now": now})
    return Mark(lineage, number, now)


def restores(conn: Connection, since: datetime) -> list[Restore]:
    """Restores that were noticed since a moment, oldest first."""
    rows = _RESTORES.run(conn, {"since": since})
    return [Restore(some_moment(back_to), some_moment(lost), some_moment(found)) for back_to, lost, found in rows]
