"""The figures of all connections as samples (numbers with a name and labels) for a monitoring system."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import TALLYHOOK, ConnectionState
from app.flows.connections.connections import ConnectionView, list_connections
from app.flows.deps import Deps
from app.flows.reports.metrics import AllRunFigures, recent_runs
from app.flows.reports.status import ALIVE
from app.flows.runs.true_now import TrueNow, true_now
from app.stores import owed
from app.stores.owed import Backlog
from app.stores.reports import counts, settled
from app.stores.reports import metrics as figures
from app.stores.reports.settled import VISIBLE, Settled
from app.stores.runs import budgets
from app.stores.runs.budgets import LimitUse

RECENT = timedelta(days=7)
"""The time that samples named ``recent`` cover."""


class Sample(NamedTuple):
    """One number of a family; ``suffix`` names the part of a histogram."""

    family: str
    labels: Mapping[str, str]
    value: float
    suffix: str = ""


ROLES = ("worker", "clock")
"""Roles that have a sample even if no process has them: an alarm needs the 0."""


def samples(deps: Deps) -> list[Sample]:
    """Every sample as of now. Counters count from the installation's beginning; dry runs never count."""
    states = list_connections(replace(deps, principal=TALLYHOOK))
    with deps.database.read() as conn:
        return [*_of_states(states), *_of_installation(deps, conn, deps.now())]


def _of_installation(deps: Deps, conn: Connection, now: datetime) -> Iterator[Sample]:
    yield from _of_items(settled.totals(conn, owed.EVER, now))
    yield from _of_backlog(owed.backlog(conn), now)
    yield from (Sample(f"tallyhook_{one.name}", one.labels, one.number) for one in counts.counts(conn))
    letters = figures.dead_letters(conn)
    for slug in sorted({*deps.sources, *letters}):
        yield Sample("tallyhook_dead_letters", {"connection": slug}, letters.get(slug, 0))
    living = counts.processes(conn, now - ALIVE)
    for role in dict.fromkeys((*ROLES, *living)):
        yield Sample("tallyhook_processes", {"role": role}, living.get(role, 0))
    for slug, source in deps.sources.items():
        yield from _of_recent(slug, recent_runs(conn, now - RECENT, slug))
        yield from _of_agreement(slug, true_now(conn, slug, now))
        yield from _of_budget(slug, budgets.usage(conn, slug, source.budget(), now))


def _of_states(states: Iterable[ConnectionView]) -> Iterator[Sample]:
    """One gauge per possible state, 1 for the present one; and one per kind that may not be read now."""
    for view in states:
        for state in (one.value for one in ConnectionState if one is not ConnectionState.FORBIDDEN):
            labels = {"connection": view.connection, "state": state}
            yield Sample("tallyhook_connection_state", labels, float(view.state == state))
        for one in view.forbidden:
            yield Sample("tallyhook_forbidden_kinds", {"connection": view.connection, "kind": one.kind}, 1.0)


def _of_recent(connection: str, recent: AllRunFigures) -> Iterator[Sample]:
    for strategy, runs in recent.by_strategy.items():
        labels = {"connection": connection, "strategy": strategy}
        yield from _named(
            labels,
            tallyhook_recent_run_success_ratio=runs.success_rate,
            tallyhook_recent_run_items=runs.items,
            tallyhook_recent_run_items_failed=runs.items_failed,
            tallyhook_recent_run_items_per_second=runs.items_per_second,
        )
        for quantile, seconds in (("0.5", runs.p50_seconds), ("0.95", runs.p95_seconds)):
            yield from _named({**labels, "quantile": quantile}, tallyhook_recent_run_seconds=seconds)


def _of_budget(connection: str, windows: Iterable[LimitUse]) -> Iterator[Sample]:
    for window in windows:
        labels = {"connection": connection, "window": window.name}
        yield from _named(labels, tallyhook_budget_calls=window.calls, tallyhook_budget_seconds=window.seconds)
        for lane, used in window.used_by.items():
            yield from _named({**labels, "lane": lane}, tallyhook_budget_used_calls=used)


def _of_agreement(connection: str, by_kind: Mapping[str, TrueNow]) -> Iterator[Sample]:
    for kind, now in by_kind.items():
        yield from _named(
            {"connection": connection, "kind": kind},
            tallyhook_agreement_ratio=now.share,
            tallyhook_agreement_timestamp_seconds=None
            if now.at is None
            else datetime.fromisoformat(now.at).timestamp(),
            tallyhook_agreement_low_ratio=now.low,
            tallyhook_agreement_high_ratio=now.high,
            tallyhook_spot_checks=None if now.since is None else now.checked,
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


def _of_backlog(backlog: Iterable[Backlog], now: datetime) -> Iterator[Sample]:
    for row in backlog:
        age = max(0.0, (now - row.oldest).total_seconds())
        labels = {"connection": row.connection, "kind": str(row.kind)}
        yield from _named(labels, tallyhook_owed_items=float(row.items), tallyhook_oldest_owed_seconds=age)


def _named(labels: Mapping[str, str], **values: float | None) -> Iterator[Sample]:
    return (Sample(family, labels, value) for family, value in values.items() if value is not None)
