"""Runs and differences as filtered pages, newest first."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from app.stores import tables
from app.stores.runs import drift
from app.stores.runs.drift import Difference, DriftCount
from app.stores.runs.run_row import RUNS, Run, run_of
from app.stores.sql.matching import newest

_DRIFT = tables.core(tables.Drift)


def runs_page(
    conn: Connection,
    connection: str,
    *,
    status: str | None = None,
    strategy: str | None = None,
    cause: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    dry: bool | None = None,
    limit: int = 50,
    before_id: int | None = None,
) -> list[Run]:
    """A connection's runs, newest first; ``since`` (included) to ``until`` (not) is when
    they were created. ``before_id`` continues after the last of the page before."""
    wanted = _equal(select(RUNS), connection=connection, status=status, strategy=strategy, cause=cause, dry=dry)
    if since is not None:
        wanted = wanted.where(RUNS.c.created_at >= since)
    if until is not None:
        wanted = wanted.where(RUNS.c.created_at < until)
    rows = conn.execute(newest(wanted, RUNS.c.id, limit, before_id)).mappings()
    return [run_of(row) for row in rows]


def drift_page(
    conn: Connection,
    connection: str,
    *,
    run_id: int | None = None,
    kind: str | None = None,
    cause: str | None = None,
    change: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
    before_id: int | None = None,
) -> list[Difference]:
    """A connection's differences, newest first; ``since`` is when they were found. ``before_id`` continues after the last
    of the page before."""
    wanted = _equal(select(_DRIFT), connection=connection, run_id=run_id, kind=kind, cause=cause, change=change)
    if since is not None:
        wanted = wanted.where(_DRIFT.c.found_at >= since)
    return drift.read_back(conn, newest(wanted, _DRIFT.c.id, limit, before_id))


def drift_summary(conn: Connection, connection: str, run_id: int) -> list[DriftCount]:
    """A run's differences counted by kind, change and cause; none for a run of another connection."""
    owner = conn.execute(select(RUNS.c.connection).where(RUNS.c.id == run_id)).scalar()
    return drift.summary(conn, run_id) if owner == connection else []


def _equal(query: Select[Any], **values: Any) -> Select[Any]:
    """The rows whose columns have the given values; ``None`` filters nothing."""
    columns = query.selected_columns
    return query.where(*(columns[name] == value for name, value in values.items() if value is not None))
