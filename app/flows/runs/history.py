"""Runs, the items that failed in them and the differences that they found, as people and programs look at them."""

from collections.abc import Mapping

from app.errors import NotFound
from app.flows.deps import Deps, source_of
from app.flows.runs.runs_view import RunView, run_view
from app.stores.runs import budgets, drift, failed_items, history, runs
from app.stores.runs.drift import Difference as Difference
from app.stores.runs.drift import DriftCount as DriftCount
from app.stores.runs.failed_items import FailedItem
from app.stores.runs.failed_items import FailedItemsWanted as FailedItemsWanted
from app.stores.runs.history import DriftWanted as DriftWanted
from app.stores.runs.history import RunsWanted as RunsWanted


def show_run(deps: Deps, run_id: int, connection: str | None = None) -> RunView:
    """A run (of this connection) as ``run_view`` shows it; raises ``NotFound`` when the caller may see no such run."""
    with deps.database.read() as conn:
        run = runs.get(conn, run_id)
    if run is None or not deps.principal.can_see(run.connection) or connection not in (None, run.connection):
        whose = "there is" if connection is None else f"connection {connection!r} has"
        raise NotFound(f"{whose} no run {run_id}", "run")
    return run_view(run, deps.now())


def list_runs(deps: Deps, connection: str, wanted: RunsWanted) -> list[RunView]:
    """A connection's runs as ``run_view`` shows them, newest first. Raises ``NotFound`` for an unknown connection."""
    source_of(deps, connection)
    with deps.database.read() as conn:
        return [run_view(run, deps.now()) for run in history.runs_page(conn, connection, wanted)]


def list_failed_items(deps: Deps, connection: str, wanted: FailedItemsWanted) -> list[FailedItem]:
    """Items that runs could not sync, newest first. Raises ``NotFound`` for an unknown connection."""
    source_of(deps, connection)
    with deps.database.read() as conn:
        return failed_items.page(conn, connection, wanted)


def count_failed_items(deps: Deps, connection: str) -> Mapping[str, int]:
    """The number of items that fail now, by category; raises ``NotFound`` for an unknown connection."""
    source_of(deps, connection)
    with deps.database.read() as conn:
        return failed_items.counts(conn, connection)


def list_differences(
    deps: Deps, connection: str, wanted: DriftWanted
) -> tuple[list[Difference], list[DriftCount] | None]:
    """Differences of a connection, newest first, and for one run also their summary. Raises ``NotFound`` for an unknown
    connection."""
    source_of(deps, connection)
    with deps.database.read() as conn:
        rows = history.drift_page(conn, connection, wanted)
        return rows, None if wanted.run_id is None else history.drift_summary(conn, connection, wanted.run_id)


def differences_of(deps: Deps, run_id: int, limit: int) -> tuple[list[Difference], list[DriftCount]]:
    """The first differences of a run and the summary of all."""
    with deps.database.read() as conn:
        return drift.of_run(conn, run_id, limit), drift.summary(conn, run_id)


def bulk_calls_left(deps: Deps, connection: str) -> int | None:
    """Calls that bulk work may make now; ``None`` without a budget, or when the connection no longer exists."""
    source = deps.bulk_sources.get(connection)
    limits = [] if source is None else source.budget()
    if not limits:
        return None
    with deps.database.read() as conn:
        used = budgets.usage(conn, connection, limits, deps.now())
    return min(limit.free_for["bulk"] for limit in used)
