"""Call budgets that every process working for a connection shares, kept as exact sliding windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from app.stores.engine import Database
from app.stores.statements import Statement


class Limit(Protocol):
    """At most ``calls`` in any ``seconds``."""

    @property
    def name(self) -> str:
        """What it is shared by, within a connection."""

    @property
    def calls(self) -> int:
        """How many calls the window holds."""

    @property
    def seconds(self) -> float:
        """How long the window is."""


_IN_ORDER = "SELECT name, taken FROM budget_use WHERE connection = :connection ORDER BY name"
_LOCK = Statement(_IN_ORDER, postgresql=f"{_IN_ORDER} FOR UPDATE")  # one order for all: no deadlock
_OPEN = Statement(
    """
    INSERT INTO budget_use (connection, name, taken) VALUES (:connection, :name, '[]')
    ON CONFLICT (connection, name) DO NOTHING
    """
)
_WRITE = Statement("UPDATE budget_use SET taken = :taken WHERE connection = :connection AND name = :name")


class SharedBudget:
    """A connection's budget in the database. ``clock`` gives epoch seconds."""

    def __init__(self, database: Database, connection: str, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._connection = connection
        self._clock = clock

    def take(self, limits: Sequence[Limit]) -> float:
        """Take one call from every limit at once, or none: returns 0.0, or the seconds until it could."""
        if not limits:
            return 0.0
        with self._database.begin() as conn:
            taken = self._locked(conn, limits)
            now = self._clock()  # only now: the wait for the lock is over
            inside = {limit.name: _inside(taken[limit.name], limit, now) for limit in limits}
            wait = max(_wait(inside[limit.name], limit, now) for limit in limits)
            if wait == 0.0:
                for name in sorted(inside):
                    self._write(conn, name, [*inside[name], now])
            return wait

    def _locked(self, conn: Connection, limits: Sequence[Limit]) -> dict[str, list[float]]:
        """The windows of this connection, locked until the end of the transaction."""
        mine = {"connection": self._connection}
        rows = dict(_LOCK.run(conn, mine))
        missing = sorted({limit.name for limit in limits} - rows.keys())
        if missing:
            for name in missing:
                _OPEN.run(conn, {**mine, "name": name})
            rows = dict(_LOCK.run(conn, mine))
        return {name: msgspec.json.decode(taken, type=list[float]) for name, taken in rows.items()}

    def _write(self, conn: Connection, name: str, taken: list[float]) -> None:
        text = msgspec.json.encode(taken).decode()
        _WRITE.run(conn, {"connection": self._connection, "name": name, "taken": text})


def _inside(taken: list[float], limit: Limit, now: float) -> list[float]:
    """The calls still in the window. A call from the future (a clock was set back) counts as made now."""
    return sorted(min(moment, now) for moment in taken if moment > now - limit.seconds)


def _wait(inside: list[float], limit: Limit, now: float) -> float:
    """Seconds until one more call fits; 0.0 when it fits now."""
    surplus = len(inside) - limit.calls
    return 0.0 if surplus < 0 else max(inside[surplus] + limit.seconds - now, 0.001)
