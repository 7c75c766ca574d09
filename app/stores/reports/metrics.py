"""Figures of runs by strategy (how many, how long, how fast, how true), and of what fails now."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement


class RunSums(NamedTuple):
    """Runs of a connection with one strategy and status; ``items``, ``failed`` and ``seconds`` are those of finished runs
    with known progress."""

    connection: str
    strategy: str
    status: str
    runs: int
    calls: int
    items: int
    failed: int
    seconds: float


class Durations(NamedTuple):
    """How many seconds completed runs took, by nearest rank; ``strategy`` is empty for all together."""

    strategy: str
    runs: int
    p50: float
    p95: float


class Agreement(NamedTuple):
    """The share (0 to 1) of a kind's rows that a run found right, and when."""

    connection: str
    kind: str
    share: float
    run_id: int
    at: datetime | None


_ON_SQLITE = {
    "seconds": "(julianday(finished_at) - julianday(started_at)) * 86400.0",
    "progress": "json_extract(progress, '$.{name}')",
    "kinds": "json_each(r.counts) AS j",
    "share": "json_extract(j.value, '$.agreement')",
}
_ON_POSTGRESQL = {
    "seconds": "CAST(extract(epoch FROM finished_at - started_at) AS double precision)",
    "progress": "CAST(CAST(progress AS json) ->> '{name}' AS bigint)",
    "kinds": "json_each(CAST(r.counts AS json)) AS j",
    "share": "CAST(j.value ->> 'agreement' AS double precision)",
}


def _both(sql: str) -> Statement:
    """A statement in each database's dialect of times and JSON."""
    return Statement(_spelled(sql, _ON_SQLITE), postgresql=_spelled(sql, _ON_POSTGRESQL))


def _spelled(sql: str, words: dict[str, str]) -> str:
    numbers = {name: words["progress"].format(name=name) for name in ("processed", "failed")}
    return sql.format(**words, **numbers)


_REAL = "created_at >= :since AND NOT dry"
_RUNS = _both(
    f"""
    SELECT connection, strategy, status, count(*), CAST(coalesce(sum(calls), 0) AS bigint),
           CAST(coalesce(sum(items) FILTER (WHERE known), 0) AS bigint),
           CAST(coalesce(sum(failed) FILTER (WHERE known), 0) AS bigint), coalesce(sum(seconds) FILTER (WHERE known), 0)
    FROM (
        SELECT connection, strategy, status, calls, coalesce({{processed}}, 0) AS items, coalesce({{failed}}, 0) AS failed,
               {{seconds}} AS seconds, progress <> '{{{{}}}}' AND finished_at IS NOT NULL AND started_at IS NOT NULL AS known
        FROM runs WHERE connection = :connection AND {_REAL}
    ) AS recent
    GROUP BY connection, strategy, status ORDER BY connection, strategy, status
    """
)
_DURATIONS = _both(
    f"""
    WITH took AS (
        SELECT strategy, {{seconds}} AS seconds FROM runs
        WHERE connection = :connection AND {_REAL} AND status = 'completed' AND started_at IS NOT NULL
    ), ranked AS (
        SELECT strategy, seconds, row_number() OVER (PARTITION BY strategy ORDER BY seconds) AS place,
               count(*) OVER (PARTITION BY strategy) AS runs
        FROM (SELECT strategy, seconds FROM took UNION ALL SELECT '', seconds FROM took) AS both_ways
    )
    SELECT strategy, count(*), min(seconds) FILTER (WHERE place * 100 >= runs * 50),
           min(seconds) FILTER (WHERE place * 100 >= runs * 95)
    FROM ranked GROUP BY strategy ORDER BY strategy
    """
)
_AGREEMENT = _both(
    f"""
    SELECT connection, kind, share, id, at FROM (
        SELECT r.connection, j.key AS kind, {{share}} AS share, r.id, coalesce(r.finished_at, r.started_at) AS at,
               row_number() OVER (PARTITION BY r.connection, j.key ORDER BY r.id DESC) AS place
        FROM runs r, {{kinds}} WHERE {_REAL} AND {{share}} IS NOT NULL
    ) AS ranked
    WHERE place = 1 ORDER BY connection, kind
    """
)
_LETTERS = Statement(
    """
    SELECT connection, count(*) FROM dead_letters WHERE state = 'dead' AND external_id IS NOT NULL GROUP BY connection
    """
)


def run_sums(conn: Connection, since: datetime, connection: str) -> list[RunSums]:
    """A connection's runs created since a moment, without dry runs."""
    return [RunSums(*row) for row in _RUNS.run(conn, {"since": since, "connection": connection})]


def durations(conn: Connection, since: datetime, connection: str) -> list[Durations]:
    """How long a connection's completed runs took that were created since a moment: all together first, then by
    strategy; empty if there are none."""
    return [Durations(*row) for row in _DURATIONS.run(conn, {"since": since, "connection": connection})]


def agreement(conn: Connection, since: datetime) -> list[Agreement]:
    """The newest agreement of every connection and kind that a run since then has measured."""
    rows = _AGREEMENT.run(conn, {"since": since})
    return [Agreement(slug, kind, share, run_id, moment_from(at)) for slug, kind, share, run_id, at in rows]


def dead_letters(conn: Connection) -> dict[str, int]:
    """How many dead letters about items wait for a person, by connection."""
    return {row[0]: row[1] for row in _LETTERS.run(conn, {})}
