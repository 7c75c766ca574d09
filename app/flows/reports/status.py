"""What Tallyhook holds and owes right now, read from the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from app.domain import JsonObject, Kind
from app.flows.catalog import past
from app.flows.catalog.past import PastState
from app.flows.connections.connections import ConnectionView, list_connections
from app.flows.deps import Deps
from app.flows.runs.runs_view import iso
from app.flows.runs.true_now import TrueNow, true_now
from app.stores import catalog, owed
from app.stores.catalog import watermarks
from app.stores.guard import holds
from app.stores.inbox import inbox
from app.stores.letters import dead_letters
from app.stores.runs import calls, runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import DATABASE_ERRORS
from app.stores.upkeep import heartbeats

MAX_SKEW = 2.0
"""Seconds that a host's clock may be off. Tallyhook does not depend on it, but people read that host's logs."""

ALIVE = timedelta(seconds=30)
"""How long after its last sign of life a process counts as alive."""

A_DAY = timedelta(days=1)

Forbidden = TypeVar("Forbidden")
LastRun = TypeVar("LastRun")


class Holdings(msgspec.Struct, Generic[Forbidden, LastRun], frozen=True, kw_only=True):
    """What a connection holds and owes: its live ``rows`` and their ``agreement`` by kind, its calls by purpose, and when
    each kind was last ``pulled``; ``past`` is how far the source's own record was read. ``forbidden`` are the kinds that
    are left out now. Moments are ISO 8601."""

    source: str
    state: str
    reason: str | None
    forbidden: Sequence[Forbidden]
    webhooks: bool
    rows: Mapping[Kind, int]
    owed: int
    agreement: Mapping[str, TrueNow]
    calls_of_24_hours: Mapping[str, int]
    last_event: str | None
    pulled: Mapping[Kind, str | None]
    past: PastState | None
    last_run: LastRun | None


class Overview(msgspec.Struct, frozen=True):
    """Each connection by its slug, with the row of its last run. What waits for a person is set for callers who see all
    connections."""

    connections: Mapping[str, Holdings[str, JsonObject]]
    dead_letters: int | UnsetType = UNSET
    holds: int | UnsetType = UNSET


class Readiness(msgspec.Struct, kw_only=True):
    """Whether an installation can do its work, and the result of each check; ``UNSET`` what could not be checked."""

    ready: bool = False
    queue: bool
    migrations: bool | UnsetType = UNSET
    workers: int | UnsetType = UNSET
    clocks: int | UnsetType = UNSET
    database: bool = False
    oldest_owed_seconds: float | UnsetType | None = UNSET
    clock: bool = False
    clock_ahead_seconds: float = 0.0


def is_a_worker_alive(deps: Deps) -> bool:
    """Whether a worker gave a sign of life within ``ALIVE``."""
    with deps.database.read() as conn:
        return bool(heartbeats.alive(conn, "worker", deps.now() - ALIVE))


def overview(deps: Deps) -> Overview:
    """What every connection that the caller may see holds and owes."""
    views = {view.connection: view for view in list_connections(deps)}
    with deps.database.read() as conn:
        connections = {slug: _with_row(deps, conn, views[slug]) for slug in deps.sources if slug in views}
        if deps.principal.connections is not None:
            return Overview(connections)
        return Overview(connections, dead_letters.count(conn), len(holds.open_(conn)))


def _with_row(deps: Deps, conn: Connection, view: ConnectionView) -> Holdings[str, JsonObject]:
    last_run = next(map(_run_as_json, runs.latest(conn, view.connection, 1)), None)
    return holdings(deps, conn, view, [one.kind for one in view.forbidden], last_run)


def holdings(
    deps: Deps, conn: Connection, view: ConnectionView, forbidden: Sequence[Forbidden], last_run: LastRun | None
) -> Holdings[Forbidden, LastRun]:
    """What a connection holds and owes now, with its forbidden kinds and its last run as they are to be shown."""
    slug, source, now = view.connection, deps.sources[view.connection], deps.now()
    return Holdings(
        source=source.name,
        state=view.state,
        reason=view.reason,
        forbidden=forbidden,
        webhooks=source.receiver is not None,
        rows={kind: live for kind, (live, _) in catalog.counts(conn, slug).items()},
        owed=owed.count(conn, slug),
        agreement=true_now(conn, slug, now),
        calls_of_24_hours=calls.since(conn, slug, now - A_DAY),
        last_event=iso(inbox.last_received(conn, slug)),
        pulled={kind: iso(watermarks.pulled_at(conn, slug, kind)) for kind in source.kinds},
        past=past.describe(conn, slug, source),
        last_run=last_run,
    )


def readiness(deps: Deps) -> Readiness:
    """Whether this installation can do its work; a database that does not answer is a result, and no error."""
    checks = Readiness(queue=deps.queue.depth() >= 0)
    try:
        checks.migrations = deps.database.at_head()
        with deps.database.read() as conn:
            since = deps.now() - ALIVE
            checks.workers = heartbeats.alive(conn, "worker", since)
            checks.clocks = heartbeats.alive(conn, "clock", since)
            oldest = min((seen for *_, seen in owed.backlog(conn)), default=None)
        checks.database = True
        checks.oldest_owed_seconds = None if oldest is None else round((deps.now() - oldest).total_seconds(), 1)
    except DATABASE_ERRORS:
        checks.database = False
    skew = 0.0 if deps.host is None else deps.host.skew()
    checks.clock, checks.clock_ahead_seconds = abs(skew) <= MAX_SKEW, round(skew, 1)
    checks.ready = all(
        (checks.database, checks.queue, checks.migrations, checks.workers, checks.clocks, checks.clock)
    )
    return checks


def _run_as_json(run: Run) -> JsonObject:
    columns = {name: value for name, value in run._asdict().items() if name != "token"}
    return {
        name: iso(value) if isinstance(value, datetime) else msgspec.to_builtins(value)
        for name, value in columns.items()
    }
