"""Carries out a bulk run stage by stage: leased, checkpointed with every page, stoppable, and resumed where it stopped."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from uuid import uuid4

import structlog
from msgspec import to_builtins

from app.domain import Strategy
from app.errors import AuthRejected, BadAnswer, DatabaseFault, KilledWorker, Permanent, RateLimited, Unavailable
from app.flows.catalog import critical
from app.flows.catalog.validate import validate
from app.flows.connections import health
from app.flows.deps import Deps
from app.flows.items.leases import LEASE, LeaseKeeper, blameless
from app.flows.runs.choose_smart import choose_smart
from app.flows.runs.expected import guesses
from app.flows.runs.read_full import read_full
from app.flows.runs.read_items import read_items
from app.flows.runs.read_pages import read_pages
from app.flows.runs.read_slice import read_slice
from app.flows.runs.run_state import ActiveRun, Blocked, Interrupted, Stopped
from app.rules.calls.calling import RUN, calling_for
from app.rules.calls.lanes import Lane, lane
from app.rules.letters.retry import MAX_KILLS
from app.rules.runs.checkpoint import Checkpoint, FailedStage, Limited
from app.rules.runs.strategies import ReadMode, Stage, stages
from app.sources import exchanges
from app.stores.runs import runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import DATABASE_ERRORS

READ: Mapping[ReadMode, Callable[[ActiveRun, Stage], None]] = {
    ReadMode.FULL: read_full,
    ReadMode.SLICE: read_slice,
    ReadMode.WINDOW: read_pages,
    ReadMode.DELTA: read_pages,
    ReadMode.ITEMS: read_items,
}

MOST_SILENCES = 10
"""How often a run is given back at one place because the vendor did not answer, though its account did."""

LONGEST_LIMIT = timedelta(hours=6)
"""For how long a run that makes no progress is given back because the vendor, or our own call budget, limits it."""

BY_CLOCK = "schedule"
"""The cause of runs that no person started."""

log = structlog.get_logger()


class NothingReadable(Exception):
    """None of a run's kinds can be read now. Each kind has had its warning already, so the run leaves no dead letter."""


class StagesFailed(Permanent):
    """Some kinds of a run could not be read, while the others were; the message names each with its error."""


def run(deps: Deps, keeper: LeaseKeeper, run_id: int, *, patience: float = 1.0) -> None:
    """Carry out an idle or abandoned run from its checkpoint on; does nothing when another worker has it, or while its
    connection is paused.

    A failure is recorded on the run and raised: the message becomes a dead letter, and the run can be resumed. If the
    database is in trouble, the vendor refuses or does not answer, or this process must stop, the run does not fail: it is
    given back, and continues from its checkpoint when the sweep finds it. ``patience`` is the pause in seconds before the
    second try of a batch.
    """
    token = uuid4().hex
    try:
        row = _start(deps, run_id, token)
    except DatabaseFault as fault:
        log.warning("run_not_started", run=run_id, error=str(fault))
        return
    if row is None:
        return
    source = deps.bulk_sources.get(row.connection)
    if source is None:
        _end_without_source(deps, row, token)
        return
    with keeper.hold_run(run_id, token):
        try:
            active = ActiveRun(deps, keeper, source, row, token, patience=patience)
            with lane(Lane.BULK), calling_for(RUN, run_id), exchanges.watched():
                _carry_out(active)
        except (Interrupted, DatabaseFault, Blocked) as reason:
            keeper.release_run(run_id, token)
            words = str(reason) or type(reason).__name__
            log.info("run_given_back", run=run_id, connection=row.connection, reason=words)


def _start(deps: Deps, run_id: int, token: str) -> Run | None:
    with deps.database.read() as conn:
        row = runs.get(conn, run_id)
    if row is None or health.blocked(deps, row.connection):
        return None
    return deps.database.transact(lambda conn: runs.start(conn, run_id, token, LEASE, deps.now(), blameless(deps)))


def _end_without_source(deps: Deps, row: Run, token: str) -> None:
    """Fail a run whose connection was removed; if the connection comes back, the run can be resumed."""
    error = f"the connection {row.connection} is not configured any more"
    deps.database.transact(lambda conn: runs.finish(conn, row.id, token, "failed", error, deps.now()))
    log.warning("run_without_connection", run=row.id, connection=row.connection)


def _carry_out(run: ActiveRun) -> None:
    """Anything but an ``Exception`` ends the process: its lease runs out, and another worker continues."""
    try:
        if run.row.kills >= MAX_KILLS:
            raise KilledWorker(f"this run took its worker down {run.row.kills} times")
        _read(run)
    except (Interrupted, DatabaseFault, Blocked):
        raise
    except Stopped:
        log.info("run_stopped", run=run.id, connection=run.connection)
    except NothingReadable as refusal:
        if run.row.cause == BY_CLOCK:  # nobody waits for it, and the alert about the kind has said so
            _finish(run, "completed", None)
        else:
            _finish(run, "failed", str(refusal))
    except Exception as failure:
        _finish(run, "failed", _error_text(run, failure))
        raise
    else:
        _finish(run, "completed", None)
        _refresh_reports(run)


def _error_text(run: ActiveRun, failure: Exception) -> str:
    """The failure, after those of the kinds that failed before it."""
    if isinstance(failure, StagesFailed):
        return str(failure)
    earlier = [f"{each.kind}: {each.error}" for each in run.checkpoint.failed]
    return "; ".join([*earlier, f"{type(failure).__name__}: {failure}"])


def _refresh_reports(run: ActiveRun) -> None:
    """Compute the slow reports again while it is quiet, so that nobody who opens one has to wait."""
    if run.options.dry_run:
        return
    try:
        validate(run.deps, run.connection, anew=True)
        critical.page(run.deps, run.connection, limit=1, anew=True)
    except DATABASE_ERRORS as error:  # the run has completed anyway
        log.warning("reports_not_refreshed", connection=run.connection, error=str(error))


def _finish(run: ActiveRun, status: str, error: str | None) -> None:
    redacted = None if error is None else run.deps.redact(error)
    with run.deps.database.begin() as conn:
        runs.finish(conn, run.id, run.token, status, redacted, run.deps.now())
    log.info("run_finished", run=run.id, connection=run.connection, status=status, counts=to_builtins(run.counts))


def _read(run: ActiveRun) -> None:
    if run.strategy is Strategy.SMART:
        _choose(run)
    began = run.row.created_at  # not now: a resumed run has the stages that it began with
    plan = stages(run.strategy, run.options, run.source.kinds, began)
    run.guesses = guesses(run, plan)
    failure: Exception | None = None
    for number in range(run.checkpoint.stage, len(plan)):
        if run.remaining() == 0:
            break
        failure = _read_stage(run, plan[number]) or failure
        if run.checkpoint.stage == number:
            run.finish_stage()
        run.check_stopping()
        run.check_connection()
    if failed := run.checkpoint.failed:
        run.checkpoint = run.checkpoint.first_failed()
        run.save()
        if failure is not None and len(plan) == 1:
            raise failure
        raise StagesFailed("; ".join(f"{each.kind}: {each.error}" for each in failed)) from failure
    _check_not_all_forbidden(run, plan)


def _choose(run: ActiveRun) -> None:
    """Choose the strategy of a smart run; a resumed one keeps its choice."""
    if run.checkpoint.chosen is None:
        choice = choose_smart(run.deps, run.connection)
        run.checkpoint.chosen = choice.strategy
        with run.transaction() as conn:
            runs.give_reason(conn, run.id, choice.reason)
    run.strategy = run.checkpoint.chosen


def _check_not_all_forbidden(run: ActiveRun, plan: Sequence[Stage]) -> None:
    """Raises ``NothingReadable`` if every kind of the plan was left out: such a run has not completed."""
    forbidden = {kind: counts.forbidden for kind, counts in run.counts.items()}
    reasons = {stage.kind: forbidden.get(stage.kind) for stage in plan}
    if all(reasons.values()):
        run.checkpoint = Checkpoint(chosen=run.checkpoint.chosen)
        run.save()
        raise NothingReadable("; ".join(f"{kind} was left out: {reason}" for kind, reason in reasons.items()))


def _read_stage(run: ActiveRun, stage: Stage) -> Exception | None:
    """Read a stage; returns the error that failed it, if the next stages can still be read."""
    if stage.kind in health.forbidden(run.deps, run.connection):
        reason = health.blocked(run.deps, run.connection, stage.kind)
        _leave_out(run, stage, reason or "it may not be read")
        return None
    if stage.kind in run.counts:
        run.counts[stage.kind].error = None
    try:
        _read_by_mode(run, stage)
    except Blocked as blocked:
        if blocked.fault is health.Fault.CONNECTION:
            raise
        _leave_out(run, stage, str(blocked))
    except (Stopped, DatabaseFault, AuthRejected):  # the next kind would fare no better
        raise
    except RateLimited as error:
        _retry_while_limited(run, error)
        raise
    except (Unavailable, BadAnswer) as error:
        _retry_later(run, error)
        return _fail(run, stage, error)
    except Exception as error:
        return _fail(run, stage, error)
    return None


def _read_by_mode(run: ActiveRun, stage: Stage) -> None:
    try:
        READ[stage.mode](run, stage)
    except health.JUDGED as error:
        run.check_fault(stage.kind, error)
        raise


def _fail(run: ActiveRun, stage: Stage, error: Exception) -> Exception:
    """Record that the stage failed; the run continues with the next one."""
    words = run.deps.redact(f"{type(error).__name__}: {error}")
    log.warning("kind_failed", run=run.id, connection=run.connection, kind=stage.kind, error=words)
    run.counts_of(stage.kind).error = words
    run.checkpoint.failed = [*run.checkpoint.failed, FailedStage(run.checkpoint.stage, str(stage.kind), words)]
    return error


def _leave_out(run: ActiveRun, stage: Stage, reason: str) -> None:
    """Leave out a kind that may not be read; one that is not answered only after some retries."""
    if health.is_silent(run.deps, run.connection, stage.kind):
        _retry_later(run, Unavailable(reason))
    run.counts_of(stage.kind).forbidden = reason


def _retry_later(run: ActiveRun, error: Unavailable | BadAnswer) -> None:
    """Raises ``Blocked`` the first ``MOST_SILENCES`` times that no record more is processed, which gives the run back at its
    present place: a vendor that answers its account but not this kind may be back in a moment."""
    if run.progress.processed > run.checkpoint.silent_at:
        run.checkpoint.silences, run.checkpoint.silent_at = 0, run.progress.processed
    if run.checkpoint.silences < MOST_SILENCES:
        run.checkpoint.silences += 1
        run.save()
        raise Blocked(health.Fault.CONNECTION, run.deps.redact(str(error))) from error


def _retry_while_limited(run: ActiveRun, error: RateLimited) -> None:
    """Raises ``Blocked``, which gives the run back at its present place, until it has made no progress for
    ``LONGEST_LIMIT``: a limit says nothing against the run, and windows of an hour are common."""
    now, processed = run.deps.now(), run.progress.processed
    limited = run.checkpoint.limited
    if limited is None or processed > limited.processed:
        limited = Limited(now, processed)
    is_over = now - limited.since >= LONGEST_LIMIT
    run.checkpoint.limited = None if is_over else limited
    run.save()
    if not is_over:
        raise Blocked(health.Fault.CONNECTION, run.deps.redact(str(error))) from error
