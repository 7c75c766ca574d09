"""Carries out a bulk run leg by leg: leased, checkpointed with every page, stoppable, and resumed where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import structlog

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
from app.flows.runs.run_state import Blocked, Checkpoint, Course, FailedLeg, Interrupted, Stopped
from app.rules.calls.calling import RUN, calling_for
from app.rules.calls.lanes import Lane, lane
from app.rules.letters.retry import MAX_KILLS
from app.rules.runs.strategies import How, Leg, legs
from app.sources import exchanges
from app.stores.runs import runs
from app.stores.sql.engine import DATABASE_ERRORS

READ: Mapping[How, Callable[[Course, Leg], None]] = {
    How.FULL: read_full,
    How.SLICE: read_slice,
    How.WINDOW: read_pages,
    How.DELTA: read_pages,
    How.ITEMS: read_items,
}

MOST_SILENCES = 10
"""How often a run is given back in one leg because the vendor did not answer, though its account did."""

BY_CLOCK = "schedule"
"""The cause of runs that no person has asked for."""

log = structlog.get_logger()


class NothingReadable(Exception):
    """None of a run's kinds can be read now; a warning per kind was given already, so no letter is."""


class LegsFailed(Permanent):
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
    source = deps.bulk_sources.get(row["connection"])
    if source is None:
        _end_without_source(deps, row, token)
        return
    with keeper.hold_run(run_id, token):
        try:
            course = Course(deps, keeper, source, row, token, patience=patience)
            with lane(Lane.BULK), calling_for(RUN, run_id), exchanges.watched():
                _carry_out(course)
        except (Interrupted, DatabaseFault, Blocked) as reason:
            keeper.release_run(run_id, token)
            log.info("run_given_back", run=run_id, connection=row["connection"], reason=_reason(reason))


def _start(deps: Deps, run_id: int, token: str) -> dict[str, Any] | None:
    with deps.database.read() as conn:
        found = runs.get(conn, run_id)
    if found is None or health.blocked(deps, found["connection"]):
        return None
    return deps.database.transact(lambda conn: runs.start(conn, run_id, token, LEASE, deps.now(), blameless(deps)))


def _end_without_source(deps: Deps, row: dict[str, Any], token: str) -> None:
    """Of a connection that was removed nothing can be read; where it comes back the run can be resumed."""
    told = f"the connection {row['connection']} is not configured any more"
    deps.database.transact(lambda conn: runs.finish(conn, row["id"], token, "failed", told, deps.now()))
    log.warning("run_without_connection", run=row["id"], connection=row["connection"])


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _carry_out(course: Course) -> None:
    """Whatever is no ``Exception`` ends the process: the lease then runs out, and another worker goes on."""
    try:
        if course.run["kills"] >= MAX_KILLS:
            raise KilledWorker(f"this run took its worker down {course.run['kills']} times")
        _read(course)
    except (Interrupted, DatabaseFault, Blocked):
        raise
    except Stopped:
        log.info("run_stopped", run=course.id, connection=course.connection)
    except NothingReadable as refusal:
        if course.run["cause"] == BY_CLOCK:  # nobody waits for it, and the alert about the kind has said so
            _finish(course, "completed", None)
        else:
            _finish(course, "failed", str(refusal))
    except Exception as failure:
        _finish(course, "failed", _told(course, failure))
        raise
    else:
        _finish(course, "completed", None)
        _find_anew(course)


def _told(course: Course, failure: Exception) -> str:
    """What a failed run says: its failure, after those of the kinds that failed before it."""
    if isinstance(failure, LegsFailed):
        return str(failure)
    earlier = [f"{one.kind}: {one.error}" for one in course.checkpoint.failed]
    return "; ".join([*earlier, f"{type(failure).__name__}: {failure}"])


def _find_anew(course: Course) -> None:
    """The slow questions are answered again while it is quiet, so that nobody who asks has to wait for it."""
    if not course.options.dry_run:
        try:
            validate(course.deps, course.connection, anew=True)
            critical.page(course.deps, course.connection, limit=1, anew=True)
        except DATABASE_ERRORS as error:  # the run is done all the same
            log.warning("not_found_anew", connection=course.connection, error=str(error))


def _finish(course: Course, status: str, error: str | None) -> None:
    with course.deps.database.begin() as conn:
        told = None if error is None else course.deps.redact(error)
        runs.finish(conn, course.id, course.token, status, told, course.deps.now())
    log.info("run_finished", run=course.id, connection=course.connection, status=status, counts=course.counts)


def _read(course: Course) -> None:
    if course.strategy is Strategy.SMART:
        _choose(course)
    began = course.run["created_at"]  # not now: a resumed run has the legs of its beginning
    plan = legs(course.strategy, course.options, course.source.kinds, began)
    course.guesses = guesses(course, plan)
    failure: Exception | None = None
    for leg in plan[course.checkpoint.leg :]:
        if course.left() == 0:
            break
        failure = _leg(course, leg) or failure
        course.leg_done()
    failed = course.checkpoint.failed
    if failed:
        course.checkpoint = course.checkpoint.first_failed()
        course.saved()
        if failure is not None and len(plan) == 1:
            raise failure
        raise LegsFailed("; ".join(f"{one.kind}: {one.error}" for one in failed)) from failure
    _refuse_nothing(course, plan)


def _refuse_nothing(course: Course, plan: Sequence[Leg]) -> None:
    """A run of which nothing may be read has not completed."""
    reasons = {leg.kind: course.counts.get(leg.kind, {}).get("forbidden") for leg in plan}
    if all(reasons.values()):
        course.checkpoint = Checkpoint(chosen=course.checkpoint.chosen)
        course.saved()
        raise NothingReadable("; ".join(f"{kind} was left out: {reason}" for kind, reason in reasons.items()))


def _leg(course: Course, leg: Leg) -> Exception | None:
    """Read a leg; returns what failed it while the next ones can be read all the same."""
    if leg.kind in health.forbidden(course.deps, course.connection):
        reason = health.blocked(course.deps, course.connection, leg.kind)
        _leave_out(course, leg, reason or "it may not be read")
        return None
    course.counts.get(leg.kind, {}).pop("error", None)
    try:
        _judged(course, leg)
    except Blocked as blocked:
        if blocked.fault is health.Fault.CONNECTION:
            raise
        _leave_out(course, leg, str(blocked))
    except (Stopped, DatabaseFault):
        raise
    except RateLimited as error:
        _wait_out(course, error)
        raise
    except (Unavailable, BadAnswer) as error:
        _wait_out(course, error)
        return _fail(course, leg, error)
    except AuthRejected:  # the vendor, not the kind: the next one would fare no better
        raise
    except Exception as error:
        return _fail(course, leg, error)
    return None


def _fail(course: Course, leg: Leg, error: Exception) -> Exception:
    """The leg has failed; the run goes on with the next one."""
    told = course.deps.redact(f"{type(error).__name__}: {error}")
    log.warning("kind_failed", run=course.id, connection=course.connection, kind=leg.kind, error=told)
    course.mark(leg.kind, error=told)
    course.checkpoint.failed = [*course.checkpoint.failed, FailedLeg(course.checkpoint.leg, str(leg.kind), told)]
    return error


def _leave_out(course: Course, leg: Leg, reason: str) -> None:
    """A kind that may not be read is left out at once; one that is not answered only if that stays so."""
    if health.is_silent(course.deps, course.connection, leg.kind):
        _wait_out(course, Unavailable(reason))
    course.mark(leg.kind, forbidden=reason)


def _wait_out(course: Course, error: Unavailable | BadAnswer | RateLimited) -> None:
    """A vendor that limits us, or did not answer the kind (or with a page for people) and then answered the account, may be
    back just now: the run is given back and goes on where it is, some times. Raises ``Blocked``."""
    if course.checkpoint.silences < MOST_SILENCES:
        course.checkpoint.silences += 1
        course.saved()
        raise Blocked(health.Fault.CONNECTION, course.deps.redact(str(error))) from error


def _judged(course: Course, leg: Leg) -> None:
    try:
        READ[leg.how](course, leg)
    except health.JUDGED as error:
        course.judge(leg.kind, error)
        raise


def _choose(course: Course) -> None:
    """What a smart run chose stays its strategy when it is resumed."""
    if course.checkpoint.chosen is None:
        choice = choose_smart(course.deps, course.connection)
        course.checkpoint.chosen = choice.strategy
        with course.turn() as conn:
            runs.give_reason(conn, course.id, choice.reason)
    course.strategy = course.checkpoint.chosen
