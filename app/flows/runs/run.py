"""Carries out a bulk run stage by stage: leased, checkpointed with every page, stoppable, and resumed where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import uuid4

import structlog
from msgspec import to_builtins

from app.domain import Strategy
from app.errors import (
    AuthRejected,
    BadAnswer,
    DatabaseFault,
    KilledWorker,
    Permanent,
    RateLimited,
    Unavailable,
)
from app.flows.catalog import critical
from app.flows.catalog.validate import validate
from app.flows.connections import health
from app.flows.deps import Deps
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.items.sync_item import blameless
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
from app.rules.runs.checkpoint import Checkpoint, FailedStage
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
"""How often a run is given back in one stage because the vendor did not answer, though its account did."""

BY_CLOCK = "schedule"
"""The cause of runs that no person has asked for."""

log = structlog.get_logger()


class NothingReadable(Exception):
    """None of a run's kinds can be read now; a warning per kind was given already, so no letter is."""


class StagesFailed(Permanent):
    """Some kinds of a run could not be read, while the others were; the message names each and says why."""


def run(deps: Deps, keeper: LeaseKeeper, run_id: int, *, patience: float = 1.0) -> None:
    """Carry out an idle or abandoned run from its checkpoint on; a no-op when somebody else has it, or while its
    connection is not to be asked.

    A failure is recorded on the run and raised: the message is then dead, and the run can be resumed. What is nobody's
    fault (the database in trouble, a vendor that refuses or does not answer, this process being stopped) gives the run
    back: it goes on from its checkpoint when the sweep finds it. ``patience`` is the pause in seconds before a batch is
    tried again.
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
            keeper.give_back_run(run_id, token)
            log.info("run_given_back", run=run_id, connection=row.connection, reason=_reason(reason))


def _start(deps: Deps, run_id: int, token: str) -> Run | None:
    with deps.database.read() as conn:
        found = runs.get(conn, run_id)
    if found is None or health.blocked(deps, found.connection):
        return None
    return deps.database.transact(lambda conn: runs.start(conn, run_id, token, LEASE, deps.now(), blameless(deps)))


def _end_without_source(deps: Deps, row: Run, token: str) -> None:
    """Of a connection that was removed nothing can be read; where it comes back the run can be resumed."""
    told = f"the connection {row.connection} is not configured any more"
    deps.database.transact(lambda conn: runs.finish(conn, row.id, token, "failed", told, deps.now()))
    log.warning("run_without_connection", run=row.id, connection=row.connection)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _carry_out(run: ActiveRun) -> None:
    """Whatever is no ``Exception`` ends the process: the lease then runs out, and another worker goes on."""
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
        _finish(run, "failed", _told(run, failure))
        raise
    else:
        _finish(run, "completed", None)
        _find_anew(run)


def _told(run: ActiveRun, failure: Exception) -> str:
    """What a failed run says: its failure, after those of the kinds that failed before it."""
    if isinstance(failure, StagesFailed):
        return str(failure)
    earlier = [f"{one.kind}: {one.error}" for one in run.checkpoint.failed]
    return "; ".join([*earlier, f"{type(failure).__name__}: {failure}"])


def _find_anew(run: ActiveRun) -> None:
    """The slow questions are answered again while it is quiet, so that nobody who asks has to wait for it."""
    if not run.options.dry_run:
        try:
            validate(run.deps, run.connection, anew=True)
            critical.page(run.deps, run.connection, limit=1, anew=True)
        except DATABASE_ERRORS as error:  # the run is done all the same
            log.warning("not_found_anew", connection=run.connection, error=str(error))


def _finish(run: ActiveRun, status: str, error: str | None) -> None:
    with run.deps.database.begin() as conn:
        told = None if error is None else run.deps.redact(error)
        runs.finish(conn, run.id, run.token, status, told, run.deps.now())
    log.info("run_finished", run=run.id, connection=run.connection, status=status, counts=to_builtins(run.counts))


def _read(run: ActiveRun) -> None:
    if run.strategy is Strategy.SMART:
        _choose(run)
    began = run.row.created_at  # not now: a resumed run has the stages of its beginning
    plan = stages(run.strategy, run.options, run.source.kinds, began)
    run.guesses = guesses(run, plan)
    failure: Exception | None = None
    for stage in plan[run.checkpoint.stage :]:
        if run.remaining() == 0:
            break
        failure = _leg(run, stage) or failure
        run.finish_stage()
    failed = run.checkpoint.failed
    if failed:
        run.checkpoint = run.checkpoint.first_failed()
        run.save()
        if failure is not None and len(plan) == 1:
            raise failure
        raise StagesFailed("; ".join(f"{one.kind}: {one.error}" for one in failed)) from failure
    _refuse_nothing(run, plan)


def _refuse_nothing(run: ActiveRun, plan: Sequence[Stage]) -> None:
    """A run of which nothing may be read has not completed."""
    forbidden = {kind: counts.forbidden for kind, counts in run.counts.items()}
    reasons = {stage.kind: forbidden.get(stage.kind) for stage in plan}
    if all(reasons.values()):
        run.checkpoint = Checkpoint(chosen=run.checkpoint.chosen)
        run.save()
        raise NothingReadable("; ".join(f"{kind} was left out: {reason}" for kind, reason in reasons.items()))


def _leg(run: ActiveRun, stage: Stage) -> Exception | None:
    """Read a stage; returns what failed it while the next ones can be read all the same."""
    if stage.kind in health.forbidden(run.deps, run.connection):
        reason = health.blocked(run.deps, run.connection, stage.kind)
        _leave_out(run, stage, reason or "it may not be read")
        return None
    if stage.kind in run.counts:
        run.counts[stage.kind].error = None
    try:
        _judged(run, stage)
    except Blocked as blocked:
        if blocked.fault is health.Fault.CONNECTION:
            raise
        _leave_out(run, stage, str(blocked))
    except (Stopped, DatabaseFault):
        raise
    except RateLimited as error:
        _wait_out(run, error)
        raise
    except (Unavailable, BadAnswer) as error:
        _wait_out(run, error)
        return _fail(run, stage, error)
    except AuthRejected:  # the vendor, not the kind: the next one would fare no better
        raise
    except Exception as error:
        return _fail(run, stage, error)
    return None


def _fail(run: ActiveRun, stage: Stage, error: Exception) -> Exception:
    """The stage has failed; the run goes on with the next one."""
    told = run.deps.redact(f"{type(error).__name__}: {error}")
    log.warning("kind_failed", run=run.id, connection=run.connection, kind=stage.kind, error=told)
    run.counts_of(stage.kind).error = told
    run.checkpoint.failed = [*run.checkpoint.failed, FailedStage(run.checkpoint.stage, str(stage.kind), told)]
    return error


def _leave_out(run: ActiveRun, stage: Stage, reason: str) -> None:
    """A kind that may not be read is left out at once; one that is not answered only if that stays so."""
    if health.is_silent(run.deps, run.connection, stage.kind):
        _wait_out(run, Unavailable(reason))
    run.counts_of(stage.kind).forbidden = reason


def _wait_out(run: ActiveRun, error: Unavailable | BadAnswer | RateLimited) -> None:
    """A vendor that limits us, or did not answer the kind (or with a page for people) and then answered the account, may be
    back just now: the run is given back and goes on where it is, some times. Raises ``Blocked``."""
    if run.checkpoint.silences < MOST_SILENCES:
        run.checkpoint.silences += 1
        run.save()
        raise Blocked(health.Fault.CONNECTION, run.deps.redact(str(error))) from error


def _judged(run: ActiveRun, stage: Stage) -> None:
    try:
        READ[stage.mode](run, stage)
    except health.JUDGED as error:
        run.check_fault(stage.kind, error)
        raise


def _choose(run: ActiveRun) -> None:
    """What a smart run chose stays its strategy when it is resumed."""
    if run.checkpoint.chosen is None:
        choice = choose_smart(run.deps, run.connection)
        run.checkpoint.chosen = choice.strategy
        with run.transaction() as conn:
            runs.give_reason(conn, run.id, choice.reason)
    run.strategy = run.checkpoint.chosen
