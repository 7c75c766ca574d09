"""The figures of a connection's last days, all from the database; ``None`` if there is nothing to measure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from app.domain import Kind
from app.errors import InvalidRequest
from app.flows.deps import Deps, source_of
from app.flows.runs.true_now import TrueNow, true_now
from app.stores import owed
from app.stores.owed import Backlog
from app.stores.reports import metrics as figures
from app.stores.reports import settled
from app.stores.reports.metrics import Durations, RunSums
from app.stores.reports.settled import VISIBLE, Settled
from app.stores.runs import agreements, budgets, calls, failed_items
from app.stores.runs.agreements import Day
from app.stores.runs.budgets import LimitUse

MAX_DAYS = 366


def sum_settled(deps: Deps) -> None:
    """Sum the settlements of every slot of ten minutes that is over."""
    settled.sum_slots(deps.database, deps.now())


class RunFigures(msgspec.Struct, frozen=True):
    """Of some runs: the share that completed of those that ended by themselves, their durations, and how fast they were."""

    total: int
    by_status: Mapping[str, int]
    success_rate: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    api_calls: int
    items: int
    items_failed: int
    items_per_second: float | None


class AllRunFigures(RunFigures, frozen=True):
    """Of all runs together, and by strategy."""

    by_strategy: Mapping[str, RunFigures]


class ItemFigures(msgspec.Struct, frozen=True):
    """The settled items; ``dead_letters`` about items wait for a person now."""

    settled: int
    changes: int
    by_outcome: Mapping[str, int]
    succeeded: int
    failed: int
    success_rate: float | None
    dead_letters: int


class CallFigures(msgspec.Struct, frozen=True):
    """Calls to the source: those of the counted runs, and all."""

    runs: int
    total: int
    by_purpose: Mapping[str, int]


class Freshness(msgspec.Struct, frozen=True):
    """The share of a kind's changes whose item was settled within 5 or 60 seconds, with our row as the source has it (dead
    letters count as late), and what is owed now."""

    settled: int
    within_5s: float | None
    within_60s: float | None
    mean_seconds: float | None
    owed: int
    oldest_owed_seconds: float | None


class Metrics(msgspec.Struct, frozen=True):
    """The figures of a connection's last days. Shares are 0 to 1, moments ISO 8601. A run counts by when it was created; dry
    runs do not count. ``failed_items`` are by category."""

    connection: str
    days: int
    since: str
    until: str
    runs: AllRunFigures
    items: ItemFigures
    api_calls: CallFigures
    freshness: Mapping[Kind, Freshness]
    agreement: Mapping[str, TrueNow]
    agreement_days: Sequence[Day]
    failed_items: Mapping[str, int]
    budget: Sequence[LimitUse]


def metrics(deps: Deps, connection: str, days: int = 7) -> Metrics:
    """The figures of the last days (1 to 366). Raises ``NotFound`` for an unknown connection and ``InvalidRequest`` for
    another number of days."""
    source = source_of(deps, connection)
    if not 1 <= days <= MAX_DAYS:
        raise InvalidRequest(f"days must be 1 to {MAX_DAYS}")
    now = deps.now()
    since = now - timedelta(days=days)
    with deps.database.read() as conn:
        runs = recent_runs(conn, since, connection)
        called = calls.since(conn, connection, since)
        done = [row for row in settled.totals(conn, since, now) if row.connection == connection]
        waiting = {row.kind: row for row in owed.backlog(conn, connection)}
        return Metrics(
            connection,
            days,
            since.isoformat(),
            now.isoformat(),
            runs=runs,
            items=_items(done, figures.dead_letters(conn).get(connection, 0)),
            api_calls=CallFigures(runs.api_calls, sum(called.values()), called),
            freshness={
                kind: _freshness([row for row in done if row.kind == kind], waiting.get(kind), now)
                for kind in source.kinds
            },
            agreement=true_now(conn, connection, now),
            agreement_days=agreements.days(conn, connection, since),
            failed_items=failed_items.counts(conn, connection),
            budget=budgets.usage(conn, connection, source.budget(), now),
        )


def share(part: int, whole: int) -> float | None:
    """A part of a whole, 0 to 1, rounded down so that only the whole is 1.0; ``None`` if the whole is 0."""
    return part * 1_000_000 // whole / 1_000_000 if whole else None


def recent_runs(conn: Connection, since: datetime, connection: str) -> AllRunFigures:
    """The figures of runs created since a moment."""
    sums = figures.run_sums(conn, since, connection)
    spans = {row.strategy: row for row in figures.durations(conn, since, connection)}
    by_strategy = {name: [row for row in sums if row.strategy == name] for name in sorted({s.strategy for s in sums})}
    return AllRunFigures(
        **msgspec.structs.asdict(_of_runs(sums, spans.get(""))),
        by_strategy={name: _of_runs(rows, spans.get(name)) for name, rows in by_strategy.items()},
    )


def _of_runs(sums: Sequence[RunSums], took: Durations | None) -> RunFigures:
    by_status = _counted((row.status, row.runs) for row in sums)
    completed, failed = by_status.get("completed", 0), by_status.get("failed", 0)
    items, seconds = sum(row.items for row in sums), sum(row.seconds for row in sums)
    return RunFigures(
        total=sum(by_status.values()),
        by_status=by_status,
        success_rate=share(completed, completed + failed),
        p50_seconds=None if took is None else round(took.p50, 3),
        p95_seconds=None if took is None else round(took.p95, 3),
        api_calls=sum(row.calls for row in sums),
        items=items,
        items_failed=sum(row.failed for row in sums),
        items_per_second=round(items / seconds, 3) if items and seconds > 0 else None,
    )


def _items(done: Sequence[Settled], dead_letters: int) -> ItemFigures:
    by_outcome = _counted((row.outcome, row.items) for row in done if row.items)
    good, dead = sum(by_outcome.get(outcome, 0) for outcome in VISIBLE), by_outcome.get("dead", 0)
    return ItemFigures(
        settled=sum(by_outcome.values()),
        changes=sum(row.changes for row in done),
        by_outcome=by_outcome,
        succeeded=good,
        failed=dead,
        success_rate=share(good, good + dead),
        dead_letters=dead_letters,
    )


def _freshness(done: Sequence[Settled], waiting: Backlog | None, now: datetime) -> Freshness:
    seen = [row for row in done if row.outcome in VISIBLE]
    items = sum(row.items for row in done)
    visible = sum(row.items for row in seen)
    return Freshness(
        settled=items,
        within_5s=share(sum(row.in_five for row in seen), items),
        within_60s=share(sum(row.in_sixty for row in seen), items),
        mean_seconds=round(sum(row.waited_ms for row in seen) / visible / 1000, 3) if visible else None,
        owed=0 if waiting is None else waiting.items,
        oldest_owed_seconds=None if waiting is None else age(waiting.oldest, now),
    )


def _counted(pairs: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for name, number in pairs:
        counted[name] += number
    return dict(sorted(counted.items()))


def age(since: datetime, now: datetime) -> float:
    """Seconds since a moment, 0.0 for one that is still to come."""
    return round(max(0.0, (now - since).total_seconds()), 1)
