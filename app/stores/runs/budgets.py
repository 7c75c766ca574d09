"""Call budgets that all processes of a connection share: exact sliding windows with lanes; every call is counted."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection, delete, select

from app.domain.decoding import decode
from app.rules.calls.calling import current_purpose
from app.rules.calls.lanes import Lane, Limit, ceiling, current_lane, free, most
from app.stores import tables
from app.stores.runs import calls
from app.stores.sql.engine import Database
from app.stores.sql.statements import Statement, json_text

Window: TypeAlias = list[list[float]]
"""The moments (epoch seconds) of the calls in a window, sorted, one list for each lane in the order of ``Lane``."""


_IN_ORDER = "SELECT name, taken FROM budget_use WHERE connection = :connection ORDER BY name"
_READ = Statement(_IN_ORDER)
_LOCK = Statement(f"{_IN_ORDER} FOR UPDATE")  # one order for all: no deadlock
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
        """Take one call from every limit at once, or none: returns 0.0, or the seconds until it could.

        The call is made in this thread's lane (``rules.calls.lanes``), which may have to leave the last calls to others. It
        is counted for this thread's purpose (``rules.calls.calling``), even without any limit.
        """
        lane = current_lane()
        with self._database.begin() as conn:
            taken = self._locked(conn, limits) if limits else {}
            now = self._clock()  # only now: the wait for the lock is over
            inside = {limit.name: _inside(taken[limit.name], limit, now) for limit in limits}
            wait = max((_wait(inside[limit.name], limit, lane, now) for limit in limits), default=0.0)
            if wait == 0.0:
                for name in sorted(inside):
                    inside[name][lane].append(now)
                    self._write(conn, name, inside[name])
                calls.count(conn, self._connection, current_purpose(), datetime.fromtimestamp(now, UTC))
            return wait

    def _locked(self, conn: Connection, limits: Sequence[Limit]) -> dict[str, Window]:
        """The windows of this connection, locked until the end of the transaction."""
        params = {"connection": self._connection}
        rows = dict(_LOCK.run(conn, params))
        missing = sorted({limit.name for limit in limits} - rows.keys())
        if missing:
            for name in missing:
                _OPEN.run(conn, {**params, "name": name})
            rows = dict(_LOCK.run(conn, params))
        return {name: _decoded(rows[name]) for name in {limit.name for limit in limits}}

    def _write(self, conn: Connection, name: str, taken: Window) -> None:
        text = json_text(taken)
        _WRITE.run(conn, {"connection": self._connection, "name": name, "taken": text})


class LimitUse(msgspec.Struct, frozen=True):
    """How much of a limit is used now. ``used`` and ``left`` count calls, ``used_by`` and ``free_for`` count them for
    each lane by its word. ``fresh_in`` is the seconds until the next used call is free again, 0.0 when none is used."""

    name: str
    calls: int
    seconds: float
    used: int
    left: int
    used_by: dict[str, int]
    free_for: dict[str, int]
    fresh_in: float


def usage(conn: Connection, connection: str, limits: Sequence[Limit], now: datetime) -> list[LimitUse]:
    """How much of each limit is used now, by lane, and how many calls each lane may still make."""
    rows = dict(_READ.run(conn, {"connection": connection}))
    at = now.timestamp()
    return [_use(limit, _inside(_decoded(rows.get(limit.name, "[]")), limit, at), at) for limit in limits]


_BUDGETS = tables.core(tables.BudgetUse)


def remove_unused(conn: Connection, before: datetime) -> int:
    """Remove the windows that nobody has used since ``before``; returns how many."""
    removed = 0
    for row in conn.execute(select(_BUDGETS)).all():
        if max(chain.from_iterable(_decoded(row.taken)), default=0.0) < before.timestamp():
            same = (_BUDGETS.c[name] == getattr(row, name) for name in ("connection", "name", "taken"))
            removed += conn.execute(delete(_BUDGETS).where(*same)).rowcount
    return removed


def _use(limit: Limit, inside: Window, now: float) -> LimitUse:
    counts = [len(taken) for taken in inside]
    oldest = min(chain.from_iterable(inside), default=None)
    return LimitUse(
        limit.name,
        limit.calls,
        limit.seconds,
        used=sum(counts),
        left=max(0, limit.calls - sum(counts)),
        used_by={lane.word: counts[lane] for lane in Lane},
        free_for={lane.word: free(lane, counts, limit.calls) for lane in Lane},
        fresh_in=0.0 if oldest is None else round(oldest + limit.seconds - now, 3),
    )


def _decoded(text: str) -> Window:
    """A stored window. Older versions stored moments without lanes, mostly of live work, and had fewer lanes."""
    stored = decode(text, list[list[float] | float])
    window: Window = [each for each in stored if isinstance(each, list)]
    window += [[] for _ in range(len(window), len(Lane))]
    window[Lane.WEBHOOK] += [each for each in stored if isinstance(each, float)]
    return window


def _inside(taken: Window, limit: Limit, now: float) -> Window:
    """The calls still in the window. A call from the future (a clock was set back) counts as made now."""
    first = now - limit.seconds
    return [sorted(min(moment, now) for moment in moments if moment > first) for moments in taken]


def _wait(inside: Window, limit: Limit, lane: Lane, now: float) -> float:
    """Seconds until one more call of the lane fits, if nobody else takes one; 0.0 when it fits now."""
    if free(lane, [len(taken) for taken in inside], limit.calls):
        return 0.0
    everyone = sorted(chain.from_iterable(inside))
    last = max(
        _leaves(everyone, ceiling(lane, limit.calls), limit), _leaves(inside[lane], most(lane, limit.calls), limit)
    )
    return max(last - now, 0.001)


def _leaves(taken: Sequence[float], room: int, limit: Limit) -> float:
    """When (epoch seconds) enough calls will have left the window that fewer than ``room`` are in it."""
    surplus = len(taken) - room
    return 0.0 if surplus < 0 else taken[surplus] + limit.seconds
