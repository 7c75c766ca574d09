"""When each job runs by itself; each slot goes to exactly one clock, however many there are."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from app.domain import Options
from app.stores import tables
from app.stores.runs.run_row import RUNS
from app.stores.sql.statements import Statement, json_text

_SCHEDULES = tables.core(tables.Schedule)


class Schedule(NamedTuple):
    """One row, as ``tables.Schedule`` describes it."""

    connection: str
    job: str
    cron: str
    timezone: str
    enabled: bool
    last_slot: datetime | None
    fired_slot: datetime | None


_INSERT = """
    INSERT INTO schedules (connection, job, cron, timezone, enabled, last_slot)
    VALUES (:connection, :job, :cron, :timezone, :enabled, :since) ON CONFLICT (connection, job)
"""
_ENSURE = Statement(f"{_INSERT} DO NOTHING")
_PUT = Statement(
    f"""
    {_INSERT} DO UPDATE
    SET cron = excluded.cron, timezone = excluded.timezone, enabled = excluded.enabled,
        last_slot = coalesce(excluded.last_slot, schedules.last_slot)
    """
)
_RENAME = Statement(
    """
    UPDATE schedules SET job = :job WHERE connection = :connection AND job = :older
      AND NOT EXISTS (SELECT 1 FROM schedules other WHERE other.connection = :connection AND other.job = :job)
    """
)
_COUNT_FROM = Statement(
    "UPDATE schedules SET last_slot = :since WHERE connection = :connection AND job = :job AND last_slot IS NULL"
)
_CLAIM = """
    UPDATE schedules SET last_slot = :slot, fired_slot = :slot
    WHERE connection = :connection AND job = :job AND last_slot {same} :previous
"""
_CLAIM_SLOT = Statement(_CLAIM.format(same="IS"), postgresql=_CLAIM.format(same="IS NOT DISTINCT FROM"))


def ensure(conn: Connection, connection: str, job: str, cron: str, timezone: str) -> None:
    """Give a job its first schedule; one that exists, perhaps edited by a person, stays as it is."""
    row = {"connection": connection, "job": job, "cron": cron, "timezone": timezone, "enabled": True, "since": None}
    _ENSURE.run(conn, row)


def put(
    conn: Connection,
    connection: str,
    job: str,
    cron: str,
    timezone: str,
    enabled: bool = True,
    since: datetime | None = None,
) -> None:
    """Set a job's schedule. Slots count from ``since`` on, or without it from the slot that ran last."""
    row = {"connection": connection, "job": job, "cron": cron, "timezone": timezone, "enabled": enabled}
    _PUT.run(conn, {**row, "since": since})


def rename(conn: Connection, connection: str, older: str, job: str) -> None:
    """Rename a job's schedule, unless the new name has one; its edits and its last slot stay."""
    _RENAME.run(conn, {"connection": connection, "older": older, "job": job})


def all_(conn: Connection, connection: str | None = None) -> list[Schedule]:
    """Every schedule, of one connection or all, by connection and job."""
    query = select(_SCHEDULES).order_by(_SCHEDULES.c.connection, _SCHEDULES.c.job)
    if connection is not None:
        query = query.where(_SCHEDULES.c.connection == connection)
    return [Schedule(**row) for row in conn.execute(query).mappings()]


def count_from(conn: Connection, connection: str, job: str, since: datetime) -> None:
    """Let the slots of a schedule count from ``since`` on, unless they count already."""
    _COUNT_FROM.run(conn, {"connection": connection, "job": job, "since": since})


def claim_slot(conn: Connection, connection: str, job: str, slot: datetime, previous: datetime | None) -> bool:
    """Take a slot; ``False`` when another clock was faster. ``previous`` is the ``last_slot`` that was read."""
    params = {"connection": connection, "job": job, "slot": slot, "previous": previous}
    return _CLAIM_SLOT.count(conn, params) == 1


def busy(conn: Connection) -> set[str]:
    """The connections with an active run. A slot that needs a run waits for its end, rather than use up run ids."""
    active = select(RUNS.c.connection).where(RUNS.c.status.in_(("idle", "running")))
    return set(conn.execute(active).scalars())


def has_run(conn: Connection, connection: str, strategy: str, slot: datetime) -> bool:
    """Whether a run of this strategy was opened for this slot."""
    same = (RUNS.c.connection == connection, RUNS.c.strategy == strategy, RUNS.c.slot == slot)
    return conn.execute(select(RUNS.c.id).where(*same)).first() is not None


def past_calls(conn: Connection, connection: str, strategy: str, options: Options, newest: int = 10) -> list[int]:
    """The API calls of the newest completed runs of a strategy with these very options."""
    query = (
        select(RUNS.c.calls)
        .where(RUNS.c.connection == connection, RUNS.c.strategy == strategy, RUNS.c.status == "completed")
        .where(RUNS.c.options == json_text(options))
        .order_by(RUNS.c.id.desc())
        .limit(newest)
    )
    return list(conn.execute(query).scalars())
