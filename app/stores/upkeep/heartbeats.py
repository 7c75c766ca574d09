"""The last heartbeat of each process, so that people can see what is running."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from app.rules.drift.drift import Span
from app.stores.sql.columns import some_moment
from app.stores.sql.statements import Statement


class Heartbeat(NamedTuple):
    """When a process started, and when it gave its last sign of life."""

    started_at: datetime
    seen_at: datetime


_RECORD = Statement(
    """
    INSERT INTO beats (process, role, started_at, seen_at) VALUES (:process, :role, :started_at, :now)
    ON CONFLICT (process) DO UPDATE
    SET role = excluded.role, started_at = excluded.started_at, seen_at = excluded.seen_at, stopped_at = NULL
    """
)
_STOP = Statement("UPDATE beats SET seen_at = :now, stopped_at = :now WHERE process = :process")
_ALIVE = Statement("SELECT count(*) FROM beats WHERE role = :role AND seen_at >= :since")
_LIVING = Statement("SELECT process FROM beats WHERE seen_at >= :since AND stopped_at IS NULL ORDER BY process")
_ALL = Statement("SELECT started_at, seen_at FROM beats WHERE role = :role ORDER BY started_at, seen_at")


def record(conn: Connection, process: str, role: str, started_at: datetime, now: datetime) -> None:
    """Record that a process is alive."""
    _RECORD.run(conn, {"process": process, "role": role, "started_at": started_at, "now": now})


def stop(conn: Connection, process: str, now: datetime) -> None:
    """Record that a process ended in order: nobody waits for its next heartbeat, as they do for a killed one's."""
    _STOP.run(conn, {"process": process, "now": now})


def alive(conn: Connection, role: str, since: datetime) -> int:
    """How many processes of a role gave a sign of life since then. Stopped ones count too, because they may be about to
    restart: a deploy of workers must not turn webhooks away."""
    return int(_ALIVE.run(conn, {"role": role, "since": since})[0][0])


def living(conn: Connection, since: datetime) -> list[str]:
    """The processes of any role that gave a sign of life since then and did not stop."""
    return [str(process) for (process,) in _LIVING.run(conn, {"since": since})]


def silences(conn: Connection, role: str, since: datetime, longer_than: timedelta) -> list[Span]:
    """The times that ended after ``since`` and in which no process of a role gave a sign of life: from the last one of any
    earlier process to the start of the next."""
    silences: list[Span] = []
    last: datetime | None = None
    for one in _of_role(conn, role):
        if last is not None and one.started_at >= since and one.started_at - last > longer_than:
            silences.append(Span(last, one.started_at))
        last = one.seen_at if last is None else max(last, one.seen_at)
    return silences


def first_start(conn: Connection, role: str) -> datetime | None:
    """When the first known process of a role started."""
    return next((one.started_at for one in _of_role(conn, role)), None)


def _of_role(conn: Connection, role: str) -> list[Heartbeat]:
    """Oldest start first."""
    return [Heartbeat(*map(some_moment, row)) for row in _ALL.run(conn, {"role": role})]
