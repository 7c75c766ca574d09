"""Counts of runs, calls, processes, and of what waits for a person or fails now, for a monitoring system."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from app.stores.sql.statements import Statement


class Count(NamedTuple):
    """How many of a thing there are; ``labels`` tell which, without empty ones: an alert may be of no connection."""

    name: str
    labels: Mapping[str, str]
    number: int


_COUNTS: Mapping[Sequence[str], tuple[Sequence[str], Statement]] = {
    ("runs_total", "run_api_calls_total"): (
        ("connection", "strategy", "status"),
        Statement(  # answered by an index alone
            "SELECT connection, strategy, status, count(*), coalesce(sum(calls), 0) FROM runs WHERE NOT dry"
            " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ),
    ),
    ("open_holds",): (
        ("connection", "kind"),
        Statement("SELECT connection, kind, count(*) FROM holds WHERE state = 'held' GROUP BY 1, 2 ORDER BY 1, 2"),
    ),
    ("open_alerts",): (
        ("connection", "severity"),
        Statement(
            "SELECT connection, severity, count(*) FROM alerts WHERE closed_at IS NULL"
            " GROUP BY 1, 2 ORDER BY coalesce(connection, ''), 2"
        ),
    ),
    ("failed_items",): (
        ("connection", "category"),
        Statement(
            "SELECT connection, category, count(*) FROM failed_items WHERE resolved_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2"
        ),
    ),
    ("failed_tries",): (
        ("connection",),
        Statement("SELECT connection, sum(attempts) FROM owed_items GROUP BY 1 HAVING sum(attempts) > 0 ORDER BY 1"),
    ),
    ("active_replays",): ((), Statement("SELECT count(*) FROM replays WHERE status IN ('idle', 'running')")),
    ("api_calls_total",): (
        ("connection", "purpose"),
        Statement("SELECT connection, purpose, sum(calls) FROM call_slots GROUP BY 1, 2 ORDER BY 1, 2"),
    ),
}
"""What is counted: the labels of the counts, and the statement that finds them, with the numbers last."""

_PROCESSES = Statement(
    "SELECT role, count(*) FROM beats WHERE seen_at >= :since AND stopped_at IS NULL GROUP BY role ORDER BY 1"
)


def counts(conn: Connection) -> Iterator[Count]:
    """All of them; what is zero is left out, except replays. Dry runs never count."""
    for names, (labels, statement) in _COUNTS.items():
        for row in statement.run(conn, {}):
            named = {label: value for label, value in zip(labels, row, strict=False) if value}
            yield from (
                Count(name, named, int(number)) for name, number in zip(names, row[len(labels) :], strict=True)
            )


def processes(conn: Connection, since: datetime) -> dict[str, int]:
    """How many processes gave a sign of life since then, by role."""
    return {role: int(number) for role, number in _PROCESSES.run(conn, {"since": since})}
