"""The health of one connection: what it holds, owes and does now; and, in words, what is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from app.domain import ConnectionState, Kind, Status
from app.flows.connections.connections import ForbiddenKind, show_connection
from app.flows.connections.states import sentence
from app.flows.deps import Deps
from app.flows.reports.metrics import age
from app.flows.reports.status import ALIVE, Holdings, Readiness, holdings, readiness
from app.flows.runs.runs_view import RunView, run_view
from app.stores import connections, owed
from app.stores.guard import holds
from app.stores.reports import metrics
from app.stores.runs import budgets, failed_items, runs
from app.stores.runs.budgets import LimitUse

LONG_OWED = 300.0
"""Seconds after which an item that is still owed counts as a problem."""

_NEEDED = {
    "queue": "the queue cannot be reached; work is done only by sweeps until it is back",
    "migrations": "the database's schema is not this program's; run `tallyhook migrate`",
    "workers": f"no worker gave a sign of life for {ALIVE.total_seconds():g} s",
    "clocks": f"no clock gave a sign of life for {ALIVE.total_seconds():g} s; nothing starts by itself",
}


class OwedKind(msgspec.Struct, frozen=True):
    """How many items of a kind are owed, and the age of the oldest."""

    items: int
    oldest_seconds: float


class Condition(Holdings[ForbiddenKind, RunView], frozen=True, kw_only=True):
    """What a connection holds and owes, by kind too, with its active run, the use of its budget, and the items that runs
    could not sync by category."""

    since: str | None
    next_probe_at: str | None
    paused_by: str | None
    owed_by_kind: Mapping[Kind, OwedKind]
    active_run: RunView | None
    budget: Sequence[LimitUse]
    failed_items: Mapping[str, int]


class Health(Readiness):
    """The installation's readiness, and what is wrong with one connection, in sentences."""

    healthy: bool
    problems: Sequence[str]


def condition(deps: Deps, connection: str) -> Condition:
    """What a connection holds, owes and does now. Raises ``NotFound`` for an unknown one."""
    now, view = deps.now(), show_connection(deps, connection)
    with deps.database.read() as conn:
        active = runs.active(conn, connection)
        last = next((run_view(run, now) for run in runs.latest(conn, connection, 1)), None)
        return Condition(
            **msgspec.structs.asdict(holdings(deps, conn, view, view.forbidden, last)),
            since=view.since,
            next_probe_at=view.next_probe_at,
            paused_by=view.paused_by,
            owed_by_kind={
                row.kind: OwedKind(row.items, age(row.oldest, now)) for row in owed.backlog(conn, connection)
            },
            active_run=None if active is None else run_view(active, now),
            budget=budgets.usage(conn, connection, deps.sources[connection].budget(), now),
            failed_items=failed_items.counts(conn, connection),
        )


def health(deps: Deps, connection: str) -> Health:
    """The installation's readiness and the connection's problems; it is healthy if there are none."""
    checks = readiness(deps)
    problems = list(_problems(deps, connection, checks))
    return Health(healthy=not problems, problems=problems, **msgspec.structs.asdict(checks))


def _problems(deps: Deps, connection: str, checks: Readiness) -> Iterator[str]:
    if not checks.database:
        yield "the database does not answer"
        return
    yield from (words for name, words in _NEEDED.items() if not getattr(checks, name))
    if not checks.clock:
        yield skewed(checks.clock_ahead_seconds)
    with deps.database.read() as conn:
        mine = (row for row in connections.rows(conn) if row.connection == connection)
        yield from (sentence(row) for row in mine if row.state is not ConnectionState.OK)
        yield from _troubles(conn, connection, deps.now())


def skewed(ahead: float) -> str:
    """A sentence about a host's clock that is off by ``ahead`` seconds."""
    way = "ahead of" if ahead > 0 else "behind"
    return f"this host's clock is {abs(ahead):g} s {way} the database's; nothing here depends on it, but set it right"


def _troubles(conn: Connection, connection: str, now: datetime) -> Iterator[str]:
    for row in owed.backlog(conn, connection):
        if age(row.oldest, now) > LONG_OWED:
            yield f"{row.kind}: the oldest of {row.items} owed items waits for {age(row.oldest, now):.0f} s"
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
