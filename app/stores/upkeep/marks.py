"""How far the database has come, and when it was found to have gone back: a backup was restored under us."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import msgspec
from sqlalchemy import Connection

from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement

_NAME = "database"


class Mark(NamedTuple):
    """A number that only rises, in a lineage that begins anew with every restored backup."""

    lineage: str
    number: int
    at: datetime


class Restored(NamedTuple):
    """The state of ``back_to`` came back between ``lost_at`` and ``found_at``."""

    back_to: datetime
    lost_at: datetime
    found_at: datetime


class Witness:
    """What a process, or every process of a role on this machine (with a ``file``), remembers of the mark: outside the
    database, so that it outlives a restored backup."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.last: Mark | None = self._read()

    def keep(self, mark: Mark) -> None:
        """Remember it, to be called when the transaction that raised it is committed. A file that cannot be written is
        a worse memory, no error."""
        self.last = mark
        if self._file is not None:
            with suppress(OSError):
                beside = self._file.with_suffix(f".{os.getpid()}")
                beside.write_bytes(msgspec.json.encode(mark))
                beside.replace(self._file)

    def _read(self) -> Mark | None:
        try:
            return None if self._file is None else msgspec.json.decode(self._file.read_bytes(), type=Mark)
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
    """Raise the number and return the mark; ``seen`` is the last one that this process remembers.

    Where the database has less of the same lineage, or nothing, a restore is noted and a new lineage begins.
    """
    rows = _GET.run(conn, {"name": _NAME})
    here = Mark(rows[0][0], rows[0][1], moment_from(rows[0][2]) or now) if rows else None
    if seen is not None and here is not None and here.lineage == seen.lineage and here.number < seen.number:
        _RESTORED.run(conn, {"back_to": here.at, "lost_at": seen.at, "now": now})
        here = None
    if here is None:
        _BEGIN.run(conn, {"name": _NAME, "lineage": uuid4().hex, "now": now})
        ((lineage, number, _),) = _GET.run(conn, {"name": _NAME})
    else:
        ((lineage, number),) = _RISE.run(conn, {"name": _NAME, "now": now})
    return Mark(lineage, number, now)


def restores(conn: Connection, since: datetime) -> list[Restored]:
    """Restores that were noticed since a moment, oldest first."""
    rows = _RESTORES.run(conn, {"since": since})
    spans = ([moment_from(one) for one in row] for row in rows)
    return [Restored(back, lost, found) for back, lost, found in spans if back and lost and found]
