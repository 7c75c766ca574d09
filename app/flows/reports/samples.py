"""The figures of all connections as samples (numbers with a name and labels) for a monitoring system."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.domain import TALLYHOOK, ConnectionState
from app.flows.connections.connections import ConnectionView, list_connections
from app.flows.deps import Deps
from app.flows.reports.metrics import recent_runs
from app.flows.reports.status import ALIVE
from app.flows.runs.true_now import TrueNow, true_now
from app.stores import owed
from app.stores.reports import metrics as figures
from app.stores.reports import settled, waiting
from app.stores.reports.metrics import RunCount
from app.stores.reports.settled import VISIBLE, Settled
from app.stores.runs import budgets, calls
from app.stores.runs.budgets import LimitUse

RECENT = timedelta(days=7)
"""The time that samples named ``recent`` cover."""


class Sample(NamedTuple):
    """One number of a family; ``suffix`` names the part of a histogram."""

    family: str
    labels: Mapping[str, str]
    value: float
    suffix: str = ""


def samples(deps: Deps) -> list[Sample]:
    """Every sample as of now. Counters count from the installation's beginning; dry runs never count."""
    now = deps.now()
    states = list_connections(replace(deps, principal=TALLYHOOK))
    with deps.database.read() as conn:
        ever = figures.runs_ever(conn)
        called = calls.ever(conn)
        recent = {slug: recent_runs(conn, now - RECENT, slug) for slug in deps.sources}
        done = settled.totals(conn, owed.EVER, now)
        backlog = owed.backlog(conn)
        agreed = [row for slug in deps.sources for row in true_now(conn, slug, now)]
        failing = figures.failed_items(conn)
        letters = figures.dead_letters(conn)
        waits = [*_of_people(conn), *_of_processes(conn, now)]
        used = {slug: budgets.usage(conn, slug, one.budget(), now) for slug, one in deps.sources.items()}
    return [
        *_of_states(states),
        *_of_runs(ever),
        *(
            Sample("tallyhook_api_calls_total", {"connection": slug, "purpose": purpose}, number)
            for slug, purpose, number in called
        ),
        *(sample for slug, figures_of in recent.items() for sample in _of_recent(slug, figures_of)),
        *_of_items(done),
        *_of_waiting((slug, kind, items, (now - seen).total_seconds()) for slug, kind, items, seen in backlog),
        *_of_agreement(agreed),
        *(sample for slug, windows in used.items() for sample in _of_budget(slug, windows)),
        *(
            Sample("tallyhook_failed_items", {"connection": slug, "category": category}, items)
            for slug, category, items in failing
        ),
        *(
            Sample("tallyhook_dead_letters", {"connection": slug}, letters.get(slug, 0))
            for slug in sorted({*deps.sources, *letters})
        ),
        *waits,
    ]


ROLES = ("worker", "clock")
"""Roles that have a sample even if no process has them: an alarm needs the 0."""


def _of_people(conn: Connection) -> Iterator[Sample]:
    """What waits for a person."""
    for connection, kind, holds in waiting.holds(conn):
        yield Sample("tallyhook_open_holds", {"connection": connection, "kind": kind}, holds)
    for connection, severity, alerts in waiting.alerts(conn):
        labels = {"connection": connection} if connection else {}
        yield Sample("tallyhook_open_alerts", {**labels, "severity": severity}, alerts)
    for connection, tries in waiting.failed_tries(conn).items():
        yield Sample("tallyhook_failed_tries", {"connection": connection}, tries)
    yield Sample("tallyhook_active_replays", {}, waiting.replays(conn))


def _of_processes(conn: Connection, now: datetime) -> Iterator[Sample]:
    living = waiting.processes(conn, now - ALIVE)
    for role in (*ROLES, *(role for role in living if role not in ROLES)):
        yield Sample("tallyhook_processes", {"role": role}, living.get(role, 0))


def _of_states(states: Iterable[ConnectionView]) -> Iterator[Sample]:
    """One gauge per possible state, 1 for the present one; and one per kind that may not be read now."""
    for view in states:
        for state in (one.value for one in ConnectionState if one is not ConnectionState.FORBIDDEN):
            labels = {"connection": view.connection, "state": state}
            yield Sample("tallyhook_connection_state", labels, float(view.state == state))
        for one in view.forbidden:
            yield Sample("tallyhook_forbidden_kinds", {"connection": view.connection, "kind": one.kind}, 1.0)


def _of_runs(ever: Iterable[RunCount]) -> Iterator[Sample]:
    for row in ever:
        labels = {"connection": row.connection, "strategy": row.strategy, "status": row.status}
        yield from _named(labels, tallyhook_runs_total=row.runs, tallyhook_run_api_calls_total=row.calls)


def _of_recent(connection: str, recent: Mapping[str, Any]) -> Iterator[Sample]:
    for strategy, runs in recent["by_strategy"].items():
        labels = {"connection": connection, "strategy": strategy}
        yield from _named(
            labels,
            tallyhook_recent_run_success_ratio=runs["success_rate"],
            tallyhook_recent_run_items=runs["items"],
            tallyhook_recent_run_items_failed=runs["items_failed"],
            tallyhook_recent_run_items_per_second=runs["items_per_second"],
        )
        for quantile, seconds in (("0.5", runs["p50_seconds"]), ("0.95", runs["p95_seconds"])):
            yield from _named({**labels, "quantile": quantile}, tallyhook_recent_run_seconds=seconds)


def _of_budget(connection: str, windows: Iterable[LimitUse]) -> Iterator[Sample]:
    for window in windows:
        labels = {"connection": connection, "window": window.name}
        yield from _named(labels, tallyhook_budget_calls=window.calls, tallyhook_budget_seconds=window.seconds)
        for lane, used in window.used_by.items():
            yield from _named({**labels, "lane": lane}, tallyhook_budget_used_calls=used)


def _of_agreement(agreed: Iterable[TrueNow]) -> Iterator[Sample]:
    for row in agreed:
        agreement, checks = row.agreement, row.checks
        at = None if agreement is None else agreement.at
        low, high = row.interval or (None, None)
        yield from _named(
            {"connection": row.connection, "kind": row.kind},
            tallyhook_agreement_ratio=None if agreement is None else agreement.share,
            tallyhook_agreement_timestamp_seconds=None if at is None else at.timestamp(),
            tallyhook_agreement_low_ratio=low,
            tallyhook_agreement_high_ratio=high,
            tallyhook_spot_checks=None if checks is None else checks.checked,
        )


def _of_items(done: Iterable[Settled]) -> Iterator[Sample]:
    for (connection, kind), group in groupby(done, key=attrgetter("connection", "kind")):
        rows = list(group)
        labels = {"connection": connection, "kind": kind}
        for row in rows:
            values = {"tallyhook_items_settled_total": row.items, "tallyhook_changes_settled_total": row.changes}
            yield from _named({**labels, "outcome": row.outcome}, **values)
        yield from _visible(labels, [row for row in rows if row.outcome in VISIBLE])


def _visible(labels: Mapping[str, str], rows: list[Settled]) -> Iterator[Sample]:
    items = sum(row.items for row in rows)
    buckets = {"5": sum(row.in_five for row in rows), "60": sum(row.in_sixty for row in rows), "+Inf": items}
    for bound, count in buckets.items():
        yield Sample("tallyhook_visible_seconds", {**labels, "le": bound}, count, "_bucket")
    yield Sample("tallyhook_visible_seconds", labels, sum(row.waited_ms for row in rows) / 1000, "_sum")
    yield Sample("tallyhook_visible_seconds", labels, items, "_count")


def _of_waiting(backlog: Iterable[tuple[str, str, int, float]]) -> Iterator[Sample]:
    for connection, kind, items, age in backlog:
        values = {"tallyhook_owed_items": float(items), "tallyhook_oldest_owed_seconds": max(0.0, age)}
        yield from _named({"connection": connection, "kind": kind}, **values)


def _named(labels: Mapping[str, str], **values: float | None) -> Iterator[Sample]:
    return (Sample(family, labels, value) for family, value in values.items() if value is not None)
