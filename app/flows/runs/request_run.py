"""Requests for bulk work: start a run, cancel it, resume it, fetch one item now."""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from app.domain import Cause, ConnectionState, ItemKey, Kind, Options, Status, Strategy
from app.errors import Busy, Conflict, NotFound, Refused
from app.flows.access import audit
from app.flows.deps import Deps, source_of
from app.rules.runs.run_options import check_category, check_options
from app.rules.runs.strategies import stages
from app.stores import catalog, connections, owed
from app.stores.runs import runs
from app.stores.runs.run_row import Run

STUCK_AFTER = 120.0
"""Seconds after which a run without a worker fails."""


def request_run(
    deps: Deps,
    connection: str,
    strategy: Strategy,
    options: Options,
    *,
    cause: str,
) -> int:
    """Open a run for a worker to carry out; returns its id. A connection has at most one active run.

    Raises ``Busy`` with the active run, ``NotFound`` for an unknown connection, and ``InvalidRequest`` for an unknown
    category, an option that the strategy would ignore, or a strategy that reads nothing of this source.
    """
    source = source_of(deps, connection)
    check_options(strategy, options)
    if strategy is not Strategy.SMART:
        stages(strategy, options, source.kinds, deps.now())
    if options.category:
        with deps.database.read() as conn:
            known = catalog.category_names(conn, connection)
        check_category(options.category, known)
    with deps.database.begin() as conn:
        run_id = runs.open_run(
            conn, connection=connection, strategy=strategy, cause=cause, slot=None, now=deps.now(), options=options
        )
        if run_id is not None and cause == Cause.PERSON:
            after = {"strategy": str(strategy), "options": msgspec.to_builtins(options)}
            audit.note(deps, conn, "runs.start", f"run {run_id}", connection=connection, after=after)
    if run_id is None:
        raise _busy(deps, connection)
    deps.queue.enqueue_run(run_id)
    return run_id


def cancel_run(deps: Deps, connection: str, run_id: int) -> bool:
    """Cancel a run, which stops after its current page; ``False`` if it was over. Raises ``NotFound`` for an unknown run."""
    _known(deps, connection, run_id)
    with deps.database.begin() as conn:
        cancelled = runs.cancel(conn, run_id, deps.now())
        if cancelled:
            audit.note(deps, conn, "runs.cancel", f"run {run_id}", connection=connection)
        return cancelled


def resume_run(deps: Deps, connection: str, run_id: int) -> None:
    """Let a failed or cancelled run continue where it stopped. Raises ``Busy`` while another run is active, and ``Conflict``
    for a run that neither failed nor was cancelled."""
    run = _known(deps, connection, run_id)
    try:
        with deps.database.begin() as conn:
            resumed = runs.resume(conn, run_id)
            if resumed:
                before = {"status": run.status}
                audit.note(deps, conn, "runs.resume", f"run {run_id}", connection=connection, before=before)
    except runs.CLASHES:  # somebody else's run was opened in this very moment
        resumed = False
    if not resumed:
        if run.status not in (Status.FAILED, Status.CANCELLED):
            raise Conflict(f"run {run_id} is {run.status}; only a failed or cancelled run can be resumed")
        raise _busy(deps, connection)
    deps.queue.enqueue_run(run_id)


def request_item(deps: Deps, connection: str, external_id: str, kind: Kind | None = None) -> list[ItemKey]:
    """Owe an item, so that a worker fetches it now: as a product with its stock, unless a kind is given; returns keys."""
    source = source_of(deps, connection)
    kinds = (
        [kind] if kind is not None else [wanted for wanted in (Kind.PRODUCT, Kind.STOCK) if wanted in source.kinds]
    )
    keys = [ItemKey(connection, wanted, external_id) for wanted in kinds]
    with deps.database.begin() as conn:
        for key in keys:
            owed.revive(conn, key, Cause.PERSON, deps.now())
        named = [str(key.kind) for key in keys]
        audit.note(deps, conn, "items.fetch", external_id, connection=connection, after={"kinds": named})
    deps.queue.enqueue(keys)
    return keys


def stuck_runs(deps: Deps, connection: str) -> list[int]:
    """The runs of a connection that ``check_stuck`` would fail now."""
    with deps.database.read() as conn:
        if _just_back(deps, None):
            return []
        now = deps.now()
        return runs.stuck(conn, now, STUCK_AFTER, resting=_resting(conn, now), connection=connection)


def check_stuck(deps: Deps, *, connection: str | None = None, alive_since: datetime | None = None) -> list[int]:
    """Fail the runs (of a connection) whose worker is gone and that no other worker took over; returns their ids.

    No worker can take over a run while its connection is paused, while the database is away, or while none of our processes
    runs. When such a time ends, workers have ``STUCK_AFTER`` seconds to take runs over, so none is failed before.
    ``alive_since`` is when the calling clock began.
    """
    if _just_back(deps, alive_since):
        return []
    with deps.database.begin() as conn:
        now = deps.now()
        stuck = runs.fail_stuck(conn, now, STUCK_AFTER, resting=_resting(conn, now), connection=connection)
        for run_id in stuck:
            audit.note(deps, conn, "runs.fail_stuck", f"run {run_id}")
        return stuck


def _resting(conn: Connection, now: datetime) -> frozenset[str]:
    """The connections that are paused, or were paused less than ``STUCK_AFTER`` ago."""
    return frozenset(
        row.connection
        for row in connections.rows(conn)
        if row.kind is None
        and (row.state is not ConnectionState.OK or now - row.since < timedelta(seconds=STUCK_AFTER))
    )


def _just_back(deps: Deps, alive_since: datetime | None) -> bool:
    """Whether the database, or the calling clock, has been back for less than ``STUCK_AFTER``."""
    trouble = deps.database.trouble()
    if trouble is not None:
        _, ended = trouble  # seconds ago
        if ended < STUCK_AFTER:
            return True
    return alive_since is not None and (deps.now() - alive_since).total_seconds() < STUCK_AFTER


def _known(deps: Deps, connection: str, run_id: int) -> Run:
    with deps.database.read() as conn:
        run = runs.get(conn, run_id)
    if run is None or run.connection != connection:
        raise NotFound(f"connection {connection!r} has no run {run_id}", "run")
    return run


def _busy(deps: Deps, connection: str) -> Refused:
    with deps.database.read() as conn:
        run = runs.active(conn, connection)
    if run is None:  # it ended meanwhile
        return Conflict(f"a run of {connection!r} was active a moment ago; try again")
    return Busy(f"run {run.id} ({run.strategy}) of {connection!r} is {run.status}", run.id)
