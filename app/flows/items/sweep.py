"""The sweep: every overdue item gets a message again, so that losing the queue loses time, never work."""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.domain import ALL_ITEMS, Cause, Change, ItemKey, Kind
from app.flows.connections import health
from app.flows.deps import Deps
from app.flows.items.leases import blameless
from app.stores import owed, replays
from app.stores.catalog import watermarks
from app.stores.owed import Overdue
from app.stores.runs import runs

REQUEUE_AFTER = 5.0
"""Seconds after which a message that nobody acted on counts as lost."""

QUEUE_FULL = 5_000
"""While this many messages wait, none is lost, only late: the sweep sends no more."""

BATCH = 1_000
STORM_PAUSE = timedelta(seconds=60)

log = structlog.get_logger()


def sweep(deps: Deps) -> int:
    """Send messages for overdue items, abandoned runs and replays; returns how many. Any number may sweep at once."""
    defer_storms(deps)
    resting = _resting(deps)
    waiting_messages = max(0, deps.queue.depth())
    if waiting_messages > QUEUE_FULL:
        return 0
    with deps.database.begin() as conn:
        # One message per due item is enough: a second one costs nearly as much as the work itself.
        missing = owed.due(conn, deps.now(), resting=resting) - waiting_messages
        items = owed.overdue(
            conn,
            now=deps.now(),
            requeue_after=REQUEUE_AFTER,
            limit=max(0, min(BATCH, missing)),
            resting=resting,
            blameless=blameless(deps),
        )
        overdue_runs = runs.overdue(conn, deps.now(), REQUEUE_AFTER)
        overdue_replays = replays.overdue(conn, deps.now(), REQUEUE_AFTER)
    _enqueue(deps, items)
    for run_id in overdue_runs:
        deps.queue.enqueue_run(run_id)
    for replay_id in overdue_replays:
        deps.queue.enqueue_replay(replay_id)
    return len(items) + len(overdue_runs) + len(overdue_replays)


def _enqueue(deps: Deps, items: Sequence[Overdue]) -> None:
    deps.queue.enqueue([item.key for item in items if not item.alone])
    for item in items:
        if item.alone:
            deps.queue.enqueue([item.key])


def _resting(deps: Deps) -> set[tuple[str, Kind]]:
    """The kinds of paused connections, and those that we may not read: their items wait without messages."""
    paused = health.paused(deps)
    resting = {(connection, kind) for connection in paused for kind in Kind}
    return resting | {(name, kind) for name in deps.sources for kind in health.forbidden(deps, name)}


def defer_storms(deps: Deps) -> None:
    """If more items are owed than the budget can fetch one by one, owe one delta pull instead.

    The items wait meanwhile; the pull settles those that it has read, the others come due again. Only items first seen
    after the last pull count: a second pull would not show the others either. If the pull of a kind has failed, its items
    are fetched one by one.
    """
    with deps.database.read() as conn:
        backlog = owed.backlog(conn)
    for connection, kind, items, _ in backlog:
        source = deps.sources.get(connection)
        resting = health.blocked(deps, connection, kind) is not None
        if source is not None and not resting and items >= source.storm_size(kind):
            _defer_storm(deps, connection, kind, source.storm_size(kind))


def _defer_storm(deps: Deps, connection: str, kind: Kind, storm_size: int) -> None:
    now = deps.now()
    with deps.database.begin() as conn:
        looked_at = watermarks.looked_at(conn, connection, kind) or owed.EVER
        count = owed.newer(conn, connection, kind, looked_at)
        if count < storm_size or owed.has_failed(conn, ItemKey(connection, kind, ALL_ITEMS)):
            return
        if owed.defer(conn, connection, kind, now + STORM_PAUSE, due=now, since=looked_at) == 0:
            return
        fresh = owed.owe(conn, connection, [Change(kind, ALL_ITEMS)], Cause.STORM, now)
    log.info("storm", connection=connection, kind=kind, owed=count)
    deps.queue.enqueue(fresh)
