"""Runs and differences as filtered pages, newest first."""

from datetime import datetime

from sqlalchemy import Connection, select

from app.stores import tables
from app.stores.runs import drift
from app.stores.runs.drift import Difference, DriftCount
from app.stores.runs.run_row import RUNS, Run, run_of
from app.stores.sql.matching import Wanted, between, page_of

_DRIFT = tables.core(tables.Drift)


class RunsWanted(Wanted, frozen=True, kw_only=True):
    """Which runs; ``since`` (included) to ``until`` (not) is when they were created."""

    status: str | None = None
    strategy: str | None = None
    cause: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    dry: bool | None = None


class DriftWanted(Wanted, frozen=True, kw_only=True):
    """Which differences; ``since`` is when they were found."""

    run_id: int | None = None
    kind: str | None = None
    cause: str | None = None
    change: str | None = None
    since: datetime | None = None


def runs_page(
    conn: Connection,
    connection: str,
    wanted: RunsWanted = RunsWanted(),  # noqa: B008 - a frozen value
) -> list[Run]:
    """A connection's runs, newest first."""
    query = page_of(RUNS, connection, wanted, between(RUNS.c.created_at, wanted.since, wanted.until))
    return [run_of(row) for row in conn.execute(query).mappings()]


def drift_page(
    conn: Connection,
    connection: str,
    wanted: DriftWanted = DriftWanted(),  # noqa: B008 - a frozen value
) -> list[Difference]:
    """A connection's differences, newest first."""
    return drift.read_back(conn, page_of(_DRIFT, connection, wanted, between(_DRIFT.c.found_at, wanted.since)))


def drift_summary(conn: Connection, connection: str, run_id: int) -> list[DriftCount]:
    """A run's differences counted by kind, change and cause; none for a run of another connection."""
    owner = conn.execute(select(RUNS.c.connection).where(RUNS.c.id == run_id)).scalar()
    return drift.summary(conn, run_id) if owner == connection else []
