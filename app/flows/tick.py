"""The clock's tick: polls and nightly runs that are due, each slot once however many clocks there are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from app.domain import WHOLE, Cause, Change, ItemKey
from app.errors import BadConfiguration, Refused
from app.flows.deps import Deps
from app.rules.schedule import latest_slot
from app.stores import owed, runs, schedules, watermarks

POLL = "poll"
RECONCILE = "reconcile"

log = structlog.get_logger()


def plan(deps: Deps, *, poll: str, reconcile: str, timezone: str) -> None:
    """Give every connection its default schedules, leaving edited ones alone."""
    with deps.database.begin() as conn:
        for connection in deps.sources:
            schedules.ensure(conn, connection, POLL, poll, timezone)
            schedules.ensure(conn, connection, RECONCILE, reconcile, timezone)


def first_load(deps: Deps) -> None:
    """Owe everything of a connection that was never read, so that a new installation fills at once."""
    for connection, source in deps.sources.items():
        with deps.database.begin() as conn:
            unread = [kind for kind in source.kinds if watermarks.get(conn, connection, kind) is None]
            fresh = owed.remember(conn, connection, [Change(kind, WHOLE) for kind in unread], Cause.POLL, deps.now())
        deps.queue.wake(fresh)


def tick(deps: Deps) -> list[tuple[str, str]]:
    """Fire every schedule whose slot has come since it last fired; returns (connection, job) of those fired.

    Missed slots fire once. The slot is claimed and its work recorded in one commit. A schedule that cannot be read
    (somebody edited it) is logged and stops no other.
    """
    now = deps.now()
    with deps.database.read() as conn:
        planned = schedules.all_(conn)
    fired = []
    for schedule in planned:
        if not schedule["enabled"] or schedule["connection"] not in deps.sources:
            continue
        connection, job, last = schedule["connection"], schedule["job"], schedule["last_slot"]
        slot = _due(schedule, now)
        if slot is not None and _fire(deps, connection, job, slot, last):
            fired.append((connection, job))
    return fired


def _due(schedule: Mapping[str, Any], now: datetime) -> datetime | None:
    last = schedule["last_slot"]
    if last is None:
        return now
    try:
        return latest_slot(schedule["cron"], schedule["timezone"], last, now)
    except BadConfiguration as error:
        log.error("schedule_unreadable", connection=schedule["connection"], job=schedule["job"], error=str(error))
        return None


def _fire(deps: Deps, connection: str, job: str, slot: datetime, last: datetime | None) -> bool:
    """Claim the slot and record its work; a schedule's first slot only says where counting starts."""
    fresh: list[ItemKey] = []
    run_id: int | None = None
    with deps.database.begin() as conn:
        if not schedules.claim_slot(conn, connection, job, slot, last) or last is None:
            return False
        if job == POLL:
            changes = [Change(kind, WHOLE) for kind in deps.sources[connection].kinds]
            fresh = owed.remember(conn, connection, changes, Cause.POLL, deps.now())
        elif job == RECONCILE:
            run_id = runs.open_run(
                conn, connection=connection, strategy="full", cause="schedule", slot=slot, now=deps.now()
            )
    deps.queue.wake(fresh)
    if run_id is not None:
        deps.queue.wake_run(run_id)
    log.info("fired", connection=connection, job=job, slot=slot.isoformat(), run=run_id)
    return True


def request_reconcile(deps: Deps, connection: str) -> int:
    """Open a full run for a person; raises ``Refused`` when one is active or the connection is unknown."""
    if connection not in deps.sources:
        raise Refused(f"no connection {connection!r}; there are {', '.join(sorted(deps.sources)) or 'none'}")
    with deps.database.begin() as conn:
        run_id = runs.open_run(
            conn, connection=connection, strategy="full", cause="person", slot=None, now=deps.now()
        )
    if run_id is None:
        raise Refused(f"a run of {connection!r} is active already")
    deps.queue.wake_run(run_id)
    return run_id
