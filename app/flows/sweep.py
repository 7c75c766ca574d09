"""The sweep: whatever is owed and overdue gets a message again, so that losing the queue loses time, never work."""

from __future__ import annotations

from datetime import timedelta

import structlog

from app.domain import WHOLE, Cause, Change, Kind
from app.flows.deps import Deps
from app.stores import owed, runs

REHINT_AFTER = 5.0
"""Seconds after which a message that was sent and not acted upon is taken for lost."""

QUEUE_FULL = 5_000
"""With this many messages waiting none is lost, only late: the sweep adds no more."""

BATCH = 1_000
STORM_PAUSE = timedelta(seconds=60)

log = structlog.get_logger()


def sweep(deps: Deps) -> int:
    """Send messages for overdue items and abandoned runs; returns how many. Any number may sweep at once."""
    calm_storms(deps)
    if deps.queue.depth() > QUEUE_FULL:
        return 0
    with deps.database.begin() as conn:
        keys = owed.overdue(conn, now=deps.now(), rehint_after=REHINT_AFTER, limit=BATCH)
        waiting = runs.overdue(conn, deps.now(), REHINT_AFTER)
    deps.queue.wake(keys)
    for run_id in waiting:
        deps.queue.wake_run(run_id)
    return len(keys) + len(waiting)


def calm_storms(deps: Deps) -> None:
    """Where more items are owed than the budget can fetch one by one, owe one delta pull instead.

    The items wait meanwhile; those the pull has read are settled by it, the rest come due again.
    """
    with deps.database.read() as conn:
        backlog = owed.backlog(conn)
    for connection, kind_name, count, _ in backlog:
        source, kind = deps.sources.get(connection), Kind(kind_name)
        if source is None or count < source.storm_size(kind):
            continue
        now = deps.now()
        with deps.database.begin() as conn:
            if owed.defer(conn, connection, kind, now + STORM_PAUSE) == 0:
                continue
            fresh = owed.remember(conn, connection, [Change(kind, WHOLE)], Cause.STORM, now)
        log.info("storm", connection=connection, kind=kind, owed=count)
        deps.queue.wake(fresh)
