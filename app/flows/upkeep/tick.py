"""The clock's tick: fires every job that is due, each slot once however many clocks there are.

A connection has one bulk run at a time. While one is active, a due slot is not claimed: the first tick after the run
fires it. If several slots of a job pile up, only the latest fires; missed slots likewise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection

from app.domain import ALL_ITEMS, Cause, Change, ItemKey, Strategy
from app.errors import BadConfiguration
from app.flows.connections.health import paused, readable
from app.flows.deps import Deps
from app.rules.runs.jobs import JOBS, OLDER_NAMES, Job, defaults
from app.rules.runs.schedule import latest_slot
from app.stores import owed
from app.stores.catalog import watermarks
from app.stores.runs import runs, schedules
from app.stores.runs.schedules import Schedule

log = structlog.get_logger()


@dataclass(frozen=True)
class _Due:
    """A job that is due; ``last`` is the slot it fired before, as it was read."""

    connection: str
    job: Job
    slot: datetime
    last: datetime


class _Waits(Exception):
    """The connection has an active run, so the slot must stay due."""


def plan(deps: Deps, *, poll: str, reconcile: str, timezone: str) -> None:
    """Give every connection schedules for the jobs that its source can do; edited schedules stay.

    ``poll`` and ``reconcile`` are the crons of new schedules of the jobs ``poll`` and ``full``.
    """
    with deps.database.begin() as conn:
        for connection, source in deps.sources.items():
            for older, job in OLDER_NAMES.items():
                schedules.rename(conn, connection, older, job)
            for job, cron in defaults(source.kinds, deps.now(), poll=poll, full=reconcile).items():
                schedules.ensure(conn, connection, job, cron, timezone)


def first_load(deps: Deps) -> None:
    """Fill a new installation at once: a full run for a connection of which nothing was ever read, else a pull of each
    kind that was never read."""
    for connection, source in deps.sources.items():
        may_read = readable(deps, connection, source.kinds)
        with deps.database.begin() as conn:
            unread = [kind for kind in source.kinds if watermarks.get(conn, connection, kind) is None]
            run_id = _first_run(conn, connection, deps.now()) if len(unread) == len(source.kinds) else None
            begun = run_id is not None or bool(runs.active(conn, connection))
            changes = [] if begun else [Change(kind, ALL_ITEMS) for kind in unread if kind in may_read]
            fresh = owed.owe(conn, connection, changes, Cause.POLL, deps.now())
        if run_id is not None:
            deps.queue.enqueue_run(run_id)
        deps.queue.enqueue(fresh)


def _first_run(conn: Connection, connection: str, now: datetime) -> int | None:
    """Open a full run, unless the connection has had a run already."""
    if runs.latest(conn, connection, limit=1):
        return None
    return runs.open_run(conn, connection=connection, strategy=Strategy.FULL, cause="first start", slot=None, now=now)


def tick(deps: Deps) -> list[tuple[str, str]]:
    """Fire every schedule whose slot has come since it last fired; returns (connection, job) of those fired.

    Missed slots fire once. The slot is claimed and its work recorded in one commit. A schedule that cannot be parsed
    (somebody edited it) is logged and stops no other. The slots of a paused connection wait until it resumes.
    """
    now, paused_connections = deps.now(), paused(deps)
    with deps.database.read() as conn:
        planned = [row for row in schedules.all_(conn) if _is_on(deps, row)]
        busy = schedules.busy(conn)
    _start_counting(deps, [row for row in planned if row.last_slot is None], now)
    fired = []
    for due in _all_due([row for row in planned if row.connection not in paused_connections], now):
        if due.job.owes:
            done = _owe(deps, due)
        else:
            done = due.connection not in busy and _open_run(deps, due)
        if done:
            fired.append((due.connection, due.job.name))
    return fired


def _is_on(deps: Deps, schedule: Schedule) -> bool:
    return schedule.enabled and schedule.connection in deps.sources and schedule.job in JOBS


def _start_counting(deps: Deps, fresh: Sequence[Schedule], now: datetime) -> None:
    """Count the slots of new schedules from now on: nothing fires for the time before they existed."""
    if fresh:
        with deps.database.begin() as conn:
            for row in fresh:
                schedules.count_from(conn, row.connection, row.job, now)


def _all_due(planned: Sequence[Schedule], now: datetime) -> list[_Due]:
    """What is due, longest wait first: a frequent job cannot keep a nightly one waiting for ever."""
    due_jobs = [due for row in planned if (due := _due(row, now)) is not None]
    order = list(JOBS)
    return sorted(due_jobs, key=lambda due: (due.slot, order.index(due.job.name)))


def _due(row: Schedule, now: datetime) -> _Due | None:
    connection, job, last = row.connection, row.job, row.last_slot
    if last is None:
        return None
    try:
        slot = latest_slot(row.cron, row.timezone, last, now)
    except BadConfiguration as error:
        log.error("schedule_unreadable", connection=connection, job=job, error=str(error))
        return None
    return None if slot is None else _Due(connection, JOBS[job], slot, last)


def _owe(deps: Deps, due: _Due) -> bool:
    """Claim the slot and owe every kind that may be read; ``False`` if another clock was faster."""
    kinds = readable(deps, due.connection, deps.sources[due.connection].kinds)
    with deps.database.begin() as conn:
        if not _claim(conn, due):
            return False
        changes = [Change(kind, ALL_ITEMS) for kind in kinds]
        fresh: list[ItemKey] = owed.owe(conn, due.connection, changes, Cause.POLL, deps.now())
    deps.queue.enqueue(fresh)
    log.info("fired", connection=due.connection, job=due.job.name, slot=due.slot.isoformat())
    return True


def _open_run(deps: Deps, due: _Due) -> bool:
    """Claim the slot and open its run; ``False`` if another clock was faster or the slot must wait."""
    try:
        with deps.database.begin() as conn:
            if not _claim(conn, due):
                return False
            run_id = _opened(conn, due, deps.now())
    except _Waits:
        return False
    if run_id is None:
        log.info("slot_covered", connection=due.connection, job=due.job.name, slot=due.slot.isoformat())
        return False
    deps.queue.enqueue_run(run_id)
    log.info("fired", connection=due.connection, job=due.job.name, slot=due.slot.isoformat(), run=run_id)
    return True


def _claim(conn: Connection, due: _Due) -> bool:
    return schedules.claim_slot(conn, due.connection, due.job.name, due.slot, due.last)


def _opened(conn: Connection, due: _Due, now: datetime) -> int | None:
    """The slot's run; ``None`` if the same strategy has one for this slot already (a deep run stands for a full run)."""
    strategy = due.job.strategy
    run_id = runs.open_run(
        conn,
        connection=due.connection,
        strategy=strategy,
        cause="schedule",
        slot=due.slot,
        now=now,
        options=due.job.options,
    )
    if run_id is None and not schedules.has_run(conn, due.connection, strategy, due.slot):
        raise _Waits
    return run_id
