"""Operations that start work: start a run, cancel it, resume it, fetch one item."""

from collections.abc import Callable
from urllib.parse import quote

from app.domain import ALL_ITEMS, Cause, Options, Status, Strategy
from app.errors import Conflict, InvalidRequest
from app.flows.deps import Deps
from app.flows.runs import history
from app.flows.runs.request_run import cancel_run, check_stuck, request_item, request_run, resume_run, stuck_runs
from app.flows.runs.runs_view import RunView
from app.web.api.operation import SYNC, Operations
from app.web.api.params import OneKind, RunId, RunOptions, StartRun, Text
from app.web.api.responses import FailedRuns, Owed, OwedItems, RunLink, StuckRuns, given

_WAITS = "the run waits for a worker, or is running already"

operations = Operations()


@operations.post(SYNC, _WAITS, status=202, errors=(409,))
def start_run(deps: Deps, connection: str, params: StartRun) -> RunLink:
    """Start a run of a strategy; a worker carries it out."""
    return _start(deps, connection, params.strategy, params.options())


_READS = {
    "inventory": (Strategy.INVENTORY, "stock levels"),
    "critical": (Strategy.CRITICAL, "what is out of stock or low"),
    "vendors": (Strategy.VENDORS, "vendors"),
    "retry-failed": (Strategy.RETRY, "only the items that failed"),
}


def starting(strategy: Strategy, read: str) -> Callable[[Deps, str, RunOptions], RunLink]:
    """A function that starts a run of one strategy."""

    def start(deps: Deps, connection: str, params: RunOptions) -> RunLink:
        return _start(deps, connection, strategy, params.options())

    start.__name__ = f"start_{strategy}_run"
    start.__doc__ = f"Start a run that reads {read}."
    return start


for _word, _of in _READS.items():
    operations.post(f"{SYNC}/{_word}", _WAITS, status=202, errors=(409,))(starting(*_of))


@operations.get(SYNC + "/runs/{id}", "the run as it is now")
def show_run(deps: Deps, connection: str, id: RunId) -> RunView:
    """A run: its progress, its counts, and what went wrong."""
    return history.show_run(deps, id, connection)


@operations.post(
    SYNC + "/runs/{id}/cancel", "it is cancelled; its worker stops within a page", status=202, errors=(409, 422)
)
def cancel(deps: Deps, connection: str, id: RunId) -> RunLink:
    """Cancel a run."""
    before = history.show_run(deps, id, connection)
    if not cancel_run(deps, connection, id) and before.status is not Status.CANCELLED:  # that one stays so
        now = history.show_run(deps, id, connection)
        raise Conflict(f"run {id} is {now.status}; only an active run can be cancelled")
    return link(deps, connection, id)


@operations.post(SYNC + "/runs/{id}/resume", "it continues where it stopped", status=202, errors=(409, 422))
def resume(deps: Deps, connection: str, id: RunId) -> RunLink:
    """Resume a failed or cancelled run."""
    history.show_run(deps, id, connection)
    resume_run(deps, connection, id)
    return link(deps, connection, id)


@operations.post(
    SYNC + "/items/{externalId:path}",
    "the item is owed and will be fetched at once",
    status=202,
    errors=(422,),
    in_query=True,
)
def sync_item(deps: Deps, connection: str, external_id: Text, params: OneKind) -> OwedItems:
    """Fetch one item now."""
    if external_id == ALL_ITEMS:
        raise InvalidRequest(f"{ALL_ITEMS!r} is no item's id; a run reads a whole kind")
    keys = request_item(deps, connection, external_id, given(params.kind))
    return OwedItems([Owed(*key) for key in keys])


@operations.get(SYNC + "/check-stuck", "those of this connection")
def show_stuck(deps: Deps, connection: str) -> StuckRuns:
    """Runs whose worker is gone."""
    return StuckRuns([link(deps, connection, run_id) for run_id in stuck_runs(deps, connection)])


@operations.post(SYNC + "/check-stuck", "the runs that were failed just now")
def fail_stuck(deps: Deps, connection: str) -> FailedRuns:
    """Fail runs whose worker is gone."""
    return FailedRuns([link(deps, connection, run_id) for run_id in check_stuck(deps, connection=connection)])


def link(deps: Deps, connection: str, run_id: int) -> RunLink:
    """A run of the connection and its address; raises ``NotFound`` when there is none."""
    run = history.show_run(deps, run_id, connection)
    return RunLink(run, f"/api/sync-{quote(connection)}/runs/{run_id}")


def _start(deps: Deps, connection: str, strategy: Strategy, options: Options) -> RunLink:
    return link(deps, connection, request_run(deps, connection, strategy, options, cause=Cause.PERSON))
