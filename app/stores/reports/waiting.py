"""Counts of what waits for a person, and of processes, for a monitoring system."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from app.stores.sql.statements import Statement


class OpenHolds(NamedTuple):
    """How many batches of a kind wait for a decision."""

    connection: str
    kind: str
    holds: int


class OpenAlerts(NamedTuple):
    """How many alerts are open; ``connection`` is empty for alerts about the whole installation."""

    connection: str
    severity: str
    alerts: int


_HOLDS = Statement(
    "SELECT connection, kind, count(*) FROM holds WHERE state = 'held' GROUP BY connection, kind ORDER BY 1, 2"
)
_ALERTS = Statement(
    """
    SELECT coalesce(connection, ''), severity, count(*) FROM alerts
    WHERE closed_at IS NULL GROUP BY coalesce(connection, ''), severity ORDER BY 1, 2
    """
)
_TRIES = Statement(
    "SELECT connection, sum(attempts) FROM owed_items GROUP BY connection HAVING sum(attempts) > 0 ORDER BY 1"
)
_REPLAYS = Statement("SELECT count(*) FROM replays WHERE status IN ('idle', 'running')")
_PROCESSES = Statement(
    "SELECT role, count(*) FROM beats WHERE seen_at >= :since AND stopped_at IS NULL GROUP BY role ORDER BY 1"
)


def holds(conn: Connection) -> list[OpenHolds]:
    """Held batches that wait for a person."""
    return [OpenHolds(*row) for row in _HOLDS.run(conn, {})]


def alerts(conn: Connection) -> list[OpenAlerts]:
    """Alerts whose trouble is not over."""
    return [OpenAlerts(*row) for row in _ALERTS.run(conn, {})]


def failed_tries(conn: Connection) -> dict[str, int]:
    """How often the items that are owed now have failed, by connection."""
    return {connection: int(tries) for connection, tries in _TRIES.run(conn, {})}


def replays(conn: Connection) -> int:
    """How many replays have not ended."""
    return int(_REPLAYS.run(conn, {})[0][0])


def processes(conn: Connection, since: datetime) -> dict[str, int]:
    """How many processes gave a sign of life since then, by role."""
    return {role: int(number) for role, number in _PROCESSES.run(conn, {"since": since})}
