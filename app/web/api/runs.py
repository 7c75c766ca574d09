"""Operations that start work: start a run, cancel it, resume it, fetch one item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from msgspec import to_builtins

from app.domain import WHOLE, Cause, Options, Strategy
from app.errors import Refused
from app.flows.deps import Deps
from app.flows.runs.request_run import cancel_run, check_stuck, request_item, request_run, resume_run, stuck_runs
from app.flows.runs.runs_view import run_view
from app.stores.runs import runs
from app.web.api.answers import FailedRuns, Owed, OwedItems, RunLink, StuckRuns
from app.web.api.asked import Asked, OfItem, OfRun, RunOptions, StartRun, filters
from app.web.api.spelling import camel
from app.web.problems import Problem


def start_run(deps: Deps, connection: str, params: StartRun) -> RunLink:
    """Start a run by its strategy."""
    return _start(deps, connection, params.strategy, params.options())


def starting(strategy: Strategy) -> Callable[[Deps, str, RunOptions], RunLink]:
    """A function that starts a run of one strategy."""

    def start(deps: Deps, connection: str, params: RunOptions) -> RunLink:
        return _start(deps, connection, strategy, params.options())

    start.__name__ = f"start_{strategy}_run"
    return start


def show_run(deps: Deps, connection: str, params: OfRun) -> dict[str, Any]:
    """A run as it is now."""
    return link(deps, connection, params.id).run


def cancel(deps: Deps, connection: str, params: OfRun) -> RunLink:
    """Cancel an active run; a cancelled one stays cancelled."""
    status = link(deps, connection, params.id).run["status"]
    if not cancel_run(deps, connection, params.id) and status != "cancelled":
        now = link(deps, connection, params.id).run["status"]
        raise Refused(f"run {params.id} is {now}; only an active run can be cancelled")
    return link(deps, connection, params.id)


def resume(deps: Deps, connection: str, params: OfRun) -> RunLink:
    """Resume a failed or cancelled run where it stopped."""
    link(deps, connection, params.id)
    resume_run(deps, connection, params.id)
    return link(deps, connection, params.id)


def sync_item(deps: Deps, connection: str, params: OfItem) -> OwedItems:
    """Fetch one item now."""
    if params.external_id == WHOLE:
        raise Refused(f"{WHOLE!r} is no item's id; a run reads a whole kind")
    named = filters(params)
    keys = request_item(deps, connection, named["external_id"], named.get("kind"))
    return OwedItems([Owed(*key) for key in keys])


def show_stuck(deps: Deps, connection: str, params: Asked) -> StuckRuns:
    """The runs whose worker is gone; changes nothing."""
    return StuckRuns([link(deps, connection, run_id) for run_id in stuck_runs(deps, connection)])


def fail_stuck(deps: Deps, connection: str, params: Asked) -> FailedRuns:
    """Fail the runs of this connection whose worker is gone."""
    return FailedRuns([link(deps, connection, run_id) for run_id in check_stuck(deps, connection=connection)])


def link(deps: Deps, connection: str, run_id: int) -> RunLink:
    """A run of the connection and its address; raises a 404 when there is none."""
    with deps.database.read() as conn:
        run = runs.get(conn, run_id)
    if run is None or run.connection != connection:
        raise Problem(404, "unknown_run", f"connection {connection!r} has no run {run_id}")
    return RunLink(camel(to_builtins(run_view(run, deps.now()))), f"/api/sync-{quote(connection)}/runs/{run_id}")


def _start(deps: Deps, connection: str, strategy: Strategy, options: Options) -> RunLink:
    return link(deps, connection, request_run(deps, connection, strategy, options, cause=Cause.PERSON))
