"""Operations that start work: start a run, cancel it, resume it, fetch one item."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from msgspec import to_builtins

from app.domain import ALL_ITEMS, Cause, Options, Strategy
from app.errors import Conflict, InvalidRequest
from app.flows.deps import Deps
from app.flows.runs import history
from app.flows.runs.request_run import cancel_run, check_stuck, request_item, request_run, resume_run, stuck_runs
from app.web.api.operation import SYNC, Operation
from app.web.api.params import OfItem, OfRun, Params, RunOptions, StartRun, filters
from app.web.api.responses import FailedRuns, Owed, OwedItems, RunLink, StuckRuns
from app.web.api.spelling import camel


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
        raise Conflict(f"run {params.id} is {now}; only an active run can be cancelled")
    return link(deps, connection, params.id)


def resume(deps: Deps, connection: str, params: OfRun) -> RunLink:
    """Resume a failed or cancelled run where it stopped."""
    link(deps, connection, params.id)
    resume_run(deps, connection, params.id)
    return link(deps, connection, params.id)


def sync_item(deps: Deps, connection: str, params: OfItem) -> OwedItems:
    """Fetch one item now."""
    if params.external_id == ALL_ITEMS:
        raise InvalidRequest(f"{ALL_ITEMS!r} is no item's id; a run reads a whole kind")
    named = filters(params)
    keys = request_item(deps, connection, named["external_id"], named.get("kind"))
    return OwedItems([Owed(*key) for key in keys])


def show_stuck(deps: Deps, connection: str, params: Params) -> StuckRuns:
    """The runs whose worker is gone; changes nothing."""
    return StuckRuns([link(deps, connection, run_id) for run_id in stuck_runs(deps, connection)])


def fail_stuck(deps: Deps, connection: str, params: Params) -> FailedRuns:
    """Fail the runs of this connection whose worker is gone."""
    return FailedRuns([link(deps, connection, run_id) for run_id in check_stuck(deps, connection=connection)])


def link(deps: Deps, connection: str, run_id: int) -> RunLink:
    """A run of the connection and its address; raises ``NotFound`` when there is none."""
    run = history.show_run(deps, run_id, connection)
    return RunLink(camel(to_builtins(run)), f"/api/sync-{quote(connection)}/runs/{run_id}")


def _start(deps: Deps, connection: str, strategy: Strategy, options: Options) -> RunLink:
    return link(deps, connection, request_run(deps, connection, strategy, options, cause=Cause.PERSON))


_WAITS = "the run waits for a worker, or is running already"


def _starts(path: str, strategy: Strategy, summary: str) -> Operation:
    return Operation("POST", SYNC + path, starting(strategy), summary, _WAITS, status=202, errors=(409,))


OPERATIONS = (
    Operation("POST", SYNC, start_run, "Start a run", _WAITS, status=202, errors=(409,)),
    _starts("/inventory", Strategy.INVENTORY, "Start a run that reads stock levels"),
    _starts("/critical", Strategy.CRITICAL, "Start a run that reads what is out of stock or low"),
    _starts("/vendors", Strategy.VENDORS, "Start a run that reads vendors"),
    _starts("/retry-failed", Strategy.RETRY, "Start a run that reads only the items that failed"),
    Operation("GET", SYNC + "/runs/{id}", show_run, "Show a run", "the run as it is now"),
    Operation(
        "POST",
        SYNC + "/runs/{id}/cancel",
        cancel,
        "Cancel a run",
        "it is cancelled; its worker stops within a page",
        status=202,
        errors=(409, 422),
    ),
    Operation(
        "POST",
        SYNC + "/runs/{id}/resume",
        resume,
        "Resume a failed or cancelled run",
        "it continues where it stopped",
        status=202,
        errors=(409, 422),
    ),
    Operation(
        "POST",
        SYNC + "/items/{externalId:path}",
        sync_item,
        "Fetch one item now",
        "the item is owed and will be fetched at once",
        status=202,
        errors=(422,),
    ),
    Operation("GET", SYNC + "/check-stuck", show_stuck, "Runs whose worker is gone", "those of this connection"),
    Operation(
        "POST",
        SYNC + "/check-stuck",
        fail_stuck,
        "Fail runs whose worker is gone",
        "the runs that were failed just now",
    ),
)
