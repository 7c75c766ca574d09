"""The figures of a connection's last days, all from the database; ``None`` if there is nothing to measure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.errors import InvalidRequest
from app.flows.deps import Deps, source_of
from app.flows.runs.true_now import as_json, true_now
from app.rules.drift.agreement import share_of
from app.stores import owed
from app.stores.reports import metrics as figures
from app.stores.reports import settled
from app.stores.reports.metrics import Durations, RunSums
from app.stores.reports.settled import VISIBLE, Settled
from app.stores.runs import agreements, budgets, calls, failed_items
from app.stores.runs.agreements import Day

MAX_DAYS = 366


def sum_settled(deps: Deps) -> None:
    """Sum the settlements of every slot of ten minutes that is over."""
    settled.sum_slots(deps.database, deps.now())


def metrics(deps: Deps, connection: str, days: int = 7) -> dict[str, Any]:
    """Runs, items, calls, freshness, agreement and failures of the last days (1 to 366); JSON-ready.

    Shares are 0 to 1. A run counts by when it was created; dry runs do not count. Freshness is the share of changes whose
    item was settled within 5 or 60 seconds, with our row as the source has it; dead letters count as late.
    Raises ``NotFound`` for an unknown connection or another number of days.
    """
    source_of(deps, connection)
    if not 1 <= days <= MAX_DAYS:
        raise InvalidRequest(f"days must be 1 to {MAX_DAYS}")
    now = deps.now()
    since = now - timedelta(days=days)
    with deps.database.read() as conn:
        runs = recent_runs(conn, since, connection)
        called = calls.since(conn, connection, since)
        done = [row for row in settled.totals(conn, since, now) if row.connection == connection]
        waiting = {kind: (count, seen) for slug, kind, count, seen in owed.backlog(conn) if slug == connection}
        agreed = true_now(conn, connection, now)
        by_day = agreements.days(conn, connection, since)
        letters = figures.dead_letters(conn).get(connection, 0)
        failing = failed_items.counts(conn, connection)
        budget = budgets.usage(conn, connection, deps.sources[connection].budget(), now)
    return {
        "connection": connection,
        "days": days,
        "since": since.isoformat(),
        "until": now.isoformat(),
        "runs": runs,
        "items": {**_items(done), "dead_letters": letters},
        "api_calls": {"runs": runs["api_calls"], "total": sum(called.values()), "by_purpose": called},
        "freshness": {
            kind: {
                **_freshness([row for row in done if row.kind == kind]),
                "owed": waiting[kind][0] if kind in waiting else 0,
                "oldest_owed_seconds": _age(now - waiting[kind][1]) if kind in waiting else None,
            }
            for kind in deps.sources[connection].kinds
        },
        "agreement": as_json(agreed),
        "agreement_days": [_day(row) for row in by_day],
        "failed_items": dict(failing),
        "budget": [use._asdict() for use in budget],
    }


def _day(row: Day) -> dict[str, Any]:
    """A kind's agreement on a day, of how many rows; or why that is unknown."""
    shares = {"kind": row.kind, "day": row.day, "share": share_of(row.equal, row.rows), "rows": row.rows}
    return {**shares, "differed": row.differed, "run": row.run_id, "at": row.at.isoformat(), "unknown": row.unknown}


def share(part: int, whole: int) -> float | None:
    """A part of a whole, 0 to 1, rounded down so that only the whole is 1.0; ``None`` if the whole is 0."""
    return part * 1_000_000 // whole / 1_000_000 if whole else None


def recent_runs(conn: Connection, since: datetime, connection: str) -> dict[str, Any]:
    """The figures of runs created since a moment, all together and ``by_strategy``."""
    sums = figures.run_sums(conn, since, connection)
    spans = {row.strategy: row for row in figures.durations(conn, since, connection)}
    by_strategy = {name: [row for row in sums if row.strategy == name] for name in sorted({s.strategy for s in sums})}
    return {
        **_of_runs(sums, spans.get("")),
        "by_strategy": {name: _of_runs(rows, spans.get(name)) for name, rows in by_strategy.items()},
    }


def _of_runs(sums: Sequence[RunSums], took: Durations | None) -> dict[str, Any]:
    by_status = _counted((row.status, row.runs) for row in sums)
    completed, failed = by_status.get("completed", 0), by_status.get("failed", 0)
    items, seconds = sum(row.items for row in sums), sum(row.seconds for row in sums)
    return {
        "total": sum(by_status.values()),
        "by_status": by_status,
        "success_rate": share(completed, completed + failed),
        "p50_seconds": None if took is None else round(took.p50, 3),
        "p95_seconds": None if took is None else round(took.p95, 3),
        "api_calls": sum(row.calls for row in sums),
        "items": items,
        "items_failed": sum(row.failed for row in sums),
        "items_per_second": round(items / seconds, 3) if items and seconds > 0 else None,
    }


def _items(done: Sequence[Settled]) -> dict[str, Any]:
    by_outcome = _counted((row.outcome, row.items) for row in done if row.items)
    good, dead = sum(by_outcome.get(outcome, 0) for outcome in VISIBLE), by_outcome.get("dead", 0)
    return {
        "settled": sum(by_outcome.values()),
        "changes": sum(row.changes for row in done),
        "by_outcome": by_outcome,
        "succeeded": good,
        "failed": dead,
        "success_rate": share(good, good + dead),
    }


def _freshness(done: Sequence[Settled]) -> dict[str, Any]:
    seen = [row for row in done if row.outcome in VISIBLE]
    items = sum(row.items for row in done)
    visible = sum(row.items for row in seen)
    return {
        "settled": items,
        "within_5s": share(sum(row.in_five for row in seen), items),
        "within_60s": share(sum(row.in_sixty for row in seen), items),
        "mean_seconds": round(sum(row.waited_ms for row in seen) / visible / 1000, 3) if visible else None,
    }


def _counted(pairs: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for name, number in pairs:
        counted[name] += number
    return dict(sorted(counted.items()))


def _age(since: timedelta) -> float:
    return round(max(0.0, since.total_seconds()), 1)
