"""Calls to the vendors, counted by hour and purpose, and on the run that makes them.

A call is counted before it is sent and in a transaction of its own, so that the calls of a killed process count too.
"""

from datetime import datetime

from sqlalchemy import Connection

from app.rules.calls.calling import Purpose
from app.stores.sql.statements import Statement

_COUNT = Statement(
    """
    INSERT INTO call_slots (slot, connection, purpose, calls) VALUES (:slot, :connection, :purpose, 1)
    ON CONFLICT (slot, connection, purpose) DO UPDATE SET calls = call_slots.calls + 1
    """
)
_COUNT_RUN = Statement("UPDATE runs SET calls = calls + 1 WHERE id = :run_id")
_SINCE = Statement(
    """
    SELECT purpose, CAST(sum(calls) AS bigint) FROM call_slots WHERE connection = :connection AND slot >= :since
    GROUP BY purpose ORDER BY purpose
    """
)


def count(conn: Connection, connection: str, purpose: Purpose, now: datetime) -> None:
    """Count one more call."""
    _COUNT.run(conn, {"slot": hour_of(now), "connection": connection, "purpose": purpose.word})
    if purpose.run_id is not None:
        _COUNT_RUN.run(conn, {"run_id": purpose.run_id})


def since(conn: Connection, connection: str, moment: datetime) -> dict[str, int]:
    """Calls of a connection by purpose since the beginning of a moment's hour."""
    return dict(_SINCE.run(conn, {"connection": connection, "since": hour_of(moment)}))


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour that a moment is in."""
    return moment.replace(minute=0, second=0, microsecond=0)
