"""The last sign of life of each process, so that a person can see whether anybody is working."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement

_BEAT = Statement(
    """
    INSERT INTO beats (process, role, started_at, seen_at) VALUES (:process, :role, :started_at, :now)
    ON CONFLICT (process) DO UPDATE
    SET role = excluded.role, started_at = excluded.started_at, seen_at = excluded.seen_at, stopped_at = NULL
    """
)
_STOP = Statement("UPDATE beats SET seen_at = :now, stopped_at = :now WHERE process = :process")
_ALIVE = Statement("SELECT count(*) FROM beats WHERE role = :role AND seen_at >= :since")
_LIVING = Statement("SELECT process FROM beats WHERE seen_at >= :since AND stopped_at IS NULL ORDER BY process")
_ALL = Statement("SELECT process, started_at, seen_at FROM beats WHERE role = :role ORDER BY started_at, seen_at")


def beat(conn: Connection, process: str, role: str, started_at: datetime, now: datetime) -> None:
    """Say that a process lives."""
    _BEAT.run(conn, {"process": process, "role": role, "started_at": started_at, "now": now})


def stop(conn: Connection, process: str, now: datetime) -> None:
    """Say that a process ends as it should: nobody waits for it as for one that was killed."""
    _STOP.run(conn, {"process": process, "now": now})


def alive(conn: Connection, role: str, since: datetime) -> int:
    """How many processes of a role gave a sign since then; one that stopped counts as well, for it may be on its way
    back: a deploy of workers must not turn webhooks away."""
    return int(_ALIVE.run(conn, {"role": role, "since": since})[0][0])


def living(conn: Connection, since: datetime) -> list[str]:
    """The processes, of whatever role, that gave a sign since then, and did not stop."""
    return [str(process) for (process,) in _LIVING.run(conn, {"since": since})]


def silences(conn: Connection, role: str, since: datetime, longer_than: timedelta) -> list[tuple[datetime, datetime]]:
    """Spans that ended after ``since`` in which no process of a role gave a sign: from the last sign of any that was
    there before to the start of the next."""
    found: list[tuple[datetime, datetime]] = []
    last: datetime | None = None
    for _, started_at, seen_at in _ALL.run(conn, {"role": role}):
        began, seen = moment_from(started_at), moment_from(seen_at)
        if began is None or seen is None:
            continue
        if last is not None and began >= since and began - last > longer_than:
            found.append((last, began))
        last = seen if last is None else max(last, seen)
    return found


def first_start(conn: Connection, role: str) -> datetime | None:
    """When the first process of a role began that is known of."""
    rows = _ALL.run(conn, {"role": role})
    return moment_from(rows[0][1]) if rows else None
