"""What runs came to, by strategy: how many, how long, how fast, how true; and what fails now."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from app.stores.sql.columns import moment_from
from app.stores.sql.statements import Statement


class RunSums(NamedTuple):
    """Runs of a connection with one strategy and status.

    ``items``, ``failed`` and ``seconds`` are those of finished runs that told how far they came.
    """

    connection: str
    strategy: str
    status: str
    runs: int
    calls: int
    items: int
    failed: int
    seconds: float


class RunCount(NamedTuple):
    """How many runs of a connection have one strategy and status, and how many calls they made."""

    connection: str
    strategy: str
    status: str
    runs: int
    calls: int


class Durations(NamedTuple):
    """How many seconds completed runs took, by nearest rank; ``strategy`` is "" for all together."""

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
    "told": "json_extract(progress, '$.{name}')",
    "kinds": "json_each(r.counts) AS j",
    "share": "json_extract(j.value, '$.agreement')",
}
_ON_POSTGRESQL = {
    "seconds": "CAST(extract(epoch FROM finished_at - started_at) AS double precision)",
    "told": "CAST(CAST(progress AS json) ->> '{name}' AS bigint)",
    "kinds": "json_each(CAST(r.counts AS json)) AS j",
    "share": "CAST(j.value ->> 'agreement' AS double precision)",
}


def _both(sql: str) -> Statement:
    """A statement for either database's way with moments and JSON."""
    return Statement(_spelled(sql, _ON_SQLITE), postgresql=_spelled(sql, _ON_POSTGRESQL))


def _spelled(sql: str, words: dict[str, str]) -> str:
    told = {name: words["told"].format(name=name) for name in ("processed", "failed")}
    return sql.format(**words, **told)


_REAL = "created_at >= :since AND NOT dry"
_RUNS = _both(
    f"""
    SELECT connection, strategy, status, count(*), CAST(coalesce(sum(calls), 0) AS bigint),
           CAST(coalesce(sum(items) FILTER (WHERE told), 0) AS bigint),
           CAST(coalesce(sum(failed) FILTER (WHERE told), 0) AS bigint), coalesce(sum(seconds) FILTER (WHERE told), 0)
    FROM (
        SELECT connection, strategy, status, calls, coalesce({{processed}}, 0) AS items, coalesce({{failed}}, 0) AS failed,
               {{seconds}} AS seconds, progress <> '{{{{}}}}' AND finished_at IS NOT NULL AND started_at IS NOT NULL AS told
        FROM runs WHERE connection = :connection AND {_REAL}
    ) AS told
    GROUP BY connection, strategy, status ORDER BY connection, strategy, status
    """
)
_EVER = Statement(  # answered by an index alone
    """
    SELECT connection, strategy, status, count(*), CAST(coalesce(sum(calls), 0) AS bigint)
    FROM runs WHERE NOT dry GROUP BY connection, strategy, status ORDER BY connection, strategy, status
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
    ) AS found
    WHERE place = 1 ORDER BY connection, kind
    """
)
_LETTERS = Statement(
    """
    SELECT connection, count(*) FROM dead_letters WHERE state = 'dead' AND connection IS NOT NULL GROUP BY connection
    """
)
_FAILED = Statement(
    """
    SELECT connection, category, count(*) FROM failed_items WHERE resolved_at IS NULL
    GROUP BY connection, category ORDER BY connection, category
    """
)


def run_sums(conn: Connection, since: datetime, connection: str) -> list[RunSums]:
    """A connection's runs created since a moment; rehearsals (``dry``) left out."""
    return [RunSums(*row) for row in _RUNS.run(conn, {"since": since, "connection": connection})]


def runs_ever(conn: Connection) -> list[RunCount]:
    """Every run of every connection counted; rehearsals left out."""
    return [RunCount(*row) for row in _EVER.run(conn, {})]


def durations(conn: Connection, since: datetime, connection: str) -> list[Durations]:
    """How long a connection's completed runs took that were created since a moment: all together first, then by
    strategy; empty when there are none."""
    return [Durations(*row) for row in _DURATIONS.run(conn, {"since": since, "connection": connection})]


def agreement(conn: Connection, since: datetime) -> list[Agreement]:
    """The newest agreement of every connection and kind, as far as a run since then found one."""
    rows = _AGREEMENT.run(conn, {"since": since})
    return [Agreement(whose, kind, share, run_id, moment_from(at)) for whose, kind, share, run_id, at in rows]


def dead_letters(conn: Connection) -> dict[str, int]:
    """How many dead letters about items wait for a person, by connection."""
    return {row[0]: row[1] for row in _LETTERS.run(conn, {})}


def failed_items(conn: Connection) -> list[tuple[str, str, int]]:
    """How many items runs could not sync that are not mended yet, by connection and category."""
    return [(connection, category, items) for connection, category, items in _FAILED.run(conn, {})]
