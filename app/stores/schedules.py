"""When each job runs by itself; each slot goes to exactly one of however many clocks there are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from app.stores import tables
from app.stores.statements import Statement

_SCHEDULES = SQLModel.metadata.tables[str(tables.Schedule.__tablename__)]
_INSERT = """
    INSERT INTO schedules (connection, job, cron, timezone, enabled)
    VALUES (:connection, :job, :cron, :timezone, :enabled) ON CONFLICT (connection, job)
"""
_ENSURE = Statement(f"{_INSERT} DO NOTHING")
_PUT = Statement(
    f"""
    {_INSERT} DO UPDATE
    SET cron = excluded.cron, timezone = excluded.timezone, enabled = excluded.enabled
    """
)
_CLAIM = """
    UPDATE schedules SET last_slot = :slot
    WHERE connection = :connection AND job = :job AND last_slot {same} :previous
"""
_CLAIM_SLOT = Statement(_CLAIM.format(same="IS"), postgresql=_CLAIM.format(same="IS NOT DISTINCT FROM"))


def ensure(conn: Connection, connection: str, job: str, cron: str, timezone: str) -> None:
    """Give a job its first schedule; one that exists, perhaps edited by a person, stays as it is."""
    _ENSURE.run(conn, _row(connection, job, cron, timezone, True))


def put(conn: Connection, connection: str, job: str, cron: str, timezone: str, enabled: bool = True) -> None:
    """Set a job's schedule, keeping the slot that ran last."""
    _PUT.run(conn, _row(connection, job, cron, timezone, enabled))


def all_(conn: Connection) -> list[dict[str, Any]]:
    """Every schedule, by connection and job."""
    query = select(_SCHEDULES).order_by(_SCHEDULES.c.connection, _SCHEDULES.c.job)
    return [dict(row) for row in conn.execute(query).mappings()]


def claim_slot(conn: Connection, connection: str, job: str, slot: datetime, previous: datetime | None) -> bool:
    """Take a slot; ``False`` when another clock was faster. ``previous`` is the ``last_slot`` that was read."""
    asked = {"connection": connection, "job": job, "slot": slot, "previous": previous}
    return _CLAIM_SLOT.count(conn, asked) == 1


def _row(connection: str, job: str, cron: str, timezone: str, enabled: bool) -> dict[str, Any]:
    return {"connection": connection, "job": job, "cron": cron, "timezone": timezone, "enabled": enabled}
