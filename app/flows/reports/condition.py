"""The health of one connection: what it holds, owes and does now; and, in words, what is wrong."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.domain import ConnectionState, Status
from app.flows.connections.connections import show_connection
from app.flows.connections.states import sentence
from app.flows.deps import Deps
from app.flows.reports.status import ALIVE, overview, readiness
from app.flows.runs.runs_view import run_view
from app.stores import connections, owed
from app.stores.guard import holds
from app.stores.reports import metrics
from app.stores.runs import budgets, failed_items, runs

LONG_OWED = 300.0
"""Seconds after which an item that is still owed counts as a problem."""

_NEEDED = {
    "queue": "the queue cannot be reached; work is done only by sweeps until it is back",
    "migrations": "the database's schema is not this program's; run `tallyhook migrate`",
    "workers": f"no worker gave a sign of life for {ALIVE.total_seconds():g} s",
    "clocks": f"no clock gave a sign of life for {ALIVE.total_seconds():g} s; nothing starts by itself",
}


def condition(deps: Deps, connection: str) -> dict[str, Any]:
    """A connection's overview with its active and its last run, what it owes by kind and its budget's use."""
    now = deps.now()
    summary: dict[str, Any] = overview(deps)["connections"][connection]
    view = show_connection(deps, connection)
    with deps.database.read() as conn:
        active = runs.active(conn, connection)
        last = runs.latest(conn, connection, 1)
        backlog = [(kind, count, seen) for slug, kind, count, seen in owed.backlog(conn) if slug == connection]
        return {
            **summary,
            "since": view.since,
            "next_probe_at": view.next_probe_at,
            "paused_by": view.paused_by,
            "forbidden": [msgspec.to_builtins(forbidden_kind) for forbidden_kind in view.forbidden],
            "owed_by_kind": {
                kind: {"items": count, "oldest_seconds": _age(seen, now)} for kind, count, seen in backlog
            },
            "active_run": None if active is None else msgspec.to_builtins(run_view(active, now)),
            "last_run": msgspec.to_builtins(run_view(last[0], now)) if last else None,
            "budget": [
                use._asdict() for use in budgets.usage(conn, connection, deps.sources[connection].budget(), now)
            ],
            "failed_items": dict(failed_items.counts(conn, connection)),
        }


def health(deps: Deps, connection: str) -> dict[str, Any]:
    """The installation's readiness and the connection's ``problems``; ``healthy`` if there are none."""
    checks = readiness(deps)
    if not checks["database"]:
        return {"healthy": False, "problems": ["the database does not answer"], **checks}
    problems = [words for name, words in _NEEDED.items() if not checks[name]]
    if not checks["clock"]:
        problems.append(skewed(checks["clock_ahead_seconds"]))
    with deps.database.read() as conn:
        mine = (row for row in connections.rows(conn) if row.connection == connection)
        problems += [sentence(row) for row in mine if row.state is not ConnectionState.OK]
        problems += _troubles(conn, connection, deps.now())
    return {"healthy": not problems, "problems": problems, **checks}


def skewed(ahead: float) -> str:
    """A sentence about a host's clock that is off by ``ahead`` seconds."""
    way = "ahead of" if ahead > 0 else "behind"
    return f"this host's clock is {abs(ahead):g} s {way} the database's; nothing here depends on it, but set it right"


def _troubles(conn: Connection, connection: str, now: datetime) -> Iterator[str]:
    for slug, kind, count, seen in owed.backlog(conn):
        if slug == connection and _age(seen, now) > LONG_OWED:
            yield f"{kind}: the oldest of {count} owed items waits for {_age(seen, now):.0f} s"
    for run in runs.latest(conn, connection, 1):
        if run.status is Status.FAILED:
            yield f"the last run ({run.id}, {run.strategy}) failed: {run.error}"
        elif run.lease_until is not None and run.lease_until <= now:
            yield f"run {run.id} ({run.strategy}) no longer has a worker"
    for hold in holds.open_(conn, connection):
        yield f"{hold.kind}: an implausible batch waits for a person (hold {hold.id}: {hold.reason})"
    for category, count in failed_items.counts(conn, connection).items():
        yield f"{count} item(s) could not be synced ({category}); retry-failed reads them again"
    letters = metrics.dead_letters(conn).get(connection, 0)
    if letters:
        yield f"{letters} dead letter(s) wait for a person; see `tallyhook dead list`"


def _age(seen: datetime, now: datetime) -> float:
    return round(max(0.0, (now - seen).total_seconds()), 1)
