"""Carries out a bulk run leg by leg: leased, checkpointed with every page, stoppable, and resumed where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import uuid4

import structlog

from app.domain import Strategy
from app.errors import KilledWorker
from app.flows import critical
from app.flows.choose_smart import choose_smart
from app.flows.course import Course, Stopped
from app.flows.deps import Deps
from app.flows.leases import LEASE, LeaseKeeper
from app.flows.read_full import read_full
from app.flows.read_items import read_items
from app.flows.read_pages import read_pages
from app.flows.validate import validate
from app.rules.lanes import Lane, lane
from app.rules.retry import MAX_KILLS
from app.rules.strategies import How, Leg, legs
from app.sources import exchanges
from app.stores import runs
from app.stores.engine import DATABASE_ERRORS

READ: Mapping[How, Callable[[Course, Leg], None]] = {
    How.FULL: read_full,
    How.WINDOW: read_pages,
    How.DELTA: read_pages,
    How.ITEMS: read_items,
}

log = structlog.get_logger()


def run(deps: Deps, keeper: LeaseKeeper, run_id: int, *, patience: float = 1.0) -> None:
    """Carry out an idle or abandoned run from its checkpoint on; a no-op when somebody else has it.

    A failure is recorded on the run and raised: the message is then dead, and the run can be resumed. ``patience`` is
    the pause in seconds before a batch is tried again.
    """
    token = uuid4().hex
    with deps.database.begin() as conn:
        row = runs.start(conn, run_id, token, LEASE, deps.now())
    if row is None:
        return
    with keeper.hold_run(run_id, token):
        course = Course(deps, keeper, deps.bulk_sources[row["connection"]], row, token, patience=patience)
        with lane(Lane.BULK), exchanges.watched():
            _carry_out(course)


def _carry_out(course: Course) -> None:
    """Whatever is no ``Exception`` ends the process: the lease then runs out, and another worker goes on."""
    try:
        if course.run["kills"] >= MAX_KILLS:
            raise KilledWorker(f"this run took its worker down {course.run['kills']} times")
        _read(course)
    except Stopped:
        log.info("run_stopped", run=course.id, connection=course.connection)
    except Exception as failure:
        _finish(course, "failed", f"{type(failure).__name__}: {failure}")
        raise
    else:
        _finish(course, "completed", None)
        _find_anew(course)


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
    for leg in plan[course.checkpoint.leg :]:
        if course.left() == 0:
            break
        READ[leg.how](course, leg)
        course.leg_done()


def _choose(course: Course) -> None:
    """What a smart run chose stays its strategy when it is resumed."""
    if course.checkpoint.chosen is None:
        choice = choose_smart(course.deps, course.connection)
        course.checkpoint.chosen = choice.strategy
        with course.turn() as conn:
            runs.give_reason(conn, course.id, choice.reason)
    course.strategy = course.checkpoint.chosen
