"""What Tallyhook holds and owes right now, read from the database."""

from datetime import datetime, timedelta
from typing import Any

from msgspec import to_builtins

from app.flows.catalog import past
from app.flows.connections.connections import list_connections
from app.flows.deps import Deps
from app.flows.runs.true_now import as_json, true_now
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
"""Seconds that a host's clock may be off. Nothing of ours depends on it, but people read its logs."""

ALIVE = timedelta(seconds=30)
"""How long after its last sign of life a process counts as alive."""

A_DAY = timedelta(days=1)


def is_a_worker_alive(deps: Deps) -> bool:
    """Whether a worker gave a sign of life within ``ALIVE``."""
    with deps.database.read() as conn:
        return bool(heartbeats.alive(conn, "worker", deps.now() - ALIVE))


def overview(deps: Deps) -> dict[str, Any]:
    """For each connection: state, rows by kind, owed items, agreement, calls by purpose, last event and last run. Callers
    who see all connections also get what waits for a person."""
    states = {view.connection: view for view in list_connections(deps)}
    with deps.database.read() as conn:
        connections = {
            slug: {
                "source": source.name,
                "state": states[slug].state,
                "reason": states[slug].reason,
                "forbidden": [one.kind for one in states[slug].forbidden],
                "webhooks": source.receiver is not None,
                "rows": {kind: live for kind, (live, _) in catalog.counts(conn, slug).items()},
                "owed": owed.count(conn, slug),
                "agreement": as_json(true_now(conn, slug, deps.now())),
                "calls_of_24_hours": calls.since(conn, slug, deps.now() - A_DAY),
                "last_event": _iso(inbox.last_received(conn, slug)),
                "pulled": {kind: _iso(watermarks.pulled_at(conn, slug, kind)) for kind in source.kinds},
                "past": past.describe(conn, slug, source),
                "last_run": next(map(_run_as_json, runs.latest(conn, slug, 1)), None),
            }
            for slug, source in deps.sources.items()
            if deps.principal.can_see(slug)
        }
        if deps.principal.connections is not None:
            return {"connections": connections}
        return {
            "connections": connections,
            "dead_letters": dead_letters.count(conn),
            "holds": len(holds.open_(conn)),
        }


def readiness(deps: Deps) -> dict[str, Any]:
    """Whether this installation can do its work: ``ready``, and the result of each check."""
    checks: dict[str, Any] = {"queue": deps.queue.depth() >= 0}
    try:
        checks["migrations"] = deps.database.at_head()
        with deps.database.read() as conn:
            since = deps.now() - ALIVE
            checks["workers"] = heartbeats.alive(conn, "worker", since)
            checks["clocks"] = heartbeats.alive(conn, "clock", since)
            oldest = min((seen for *_, seen in owed.backlog(conn)), default=None)
        checks["database"] = True
        checks["oldest_owed_seconds"] = None if oldest is None else round((deps.now() - oldest).total_seconds(), 1)
    except DATABASE_ERRORS:
        checks["database"] = False
    skew = 0.0 if deps.host is None else deps.host.skew()
    checks["clock"] = abs(skew) <= MAX_SKEW
    checks["clock_ahead_seconds"] = round(skew, 1)
    needed = ("database", "queue", "migrations", "workers", "clocks", "clock")
    return {"ready": all(checks.get(name) for name in needed), **checks}


def _iso(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()


def _run_as_json(run: Run) -> dict[str, Any]:
    columns = {name: value for name, value in run._asdict().items() if name != "token"}
    return {
        name: _iso(value) if isinstance(value, datetime) else to_builtins(value) for name, value in columns.items()
    }
