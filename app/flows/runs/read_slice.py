"""A leg that compares some older rows again, those of a kind of which full reads show only the newest.

Some edits leave no trace in any time of change: no delta shows them. Each night takes the next slice of what was last
changed in the last two years, so that a month compares all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from msgspec import structs
from sqlalchemy import Connection

from app.domain import BadRecord, Kind, Page, Record, Ref, batches
from app.errors import BadAnswer, Permanent
from app.flows.items.bad_records import log_failures, record_failures
from app.flows.items.bulk_read import BulkResult, reconcile
from app.flows.runs.drift import record_drift, record_left
from app.flows.runs.kind_lock import alone
from app.flows.runs.reasons import background
from app.flows.runs.resumable import forget, reader
from app.flows.runs.retrying import tried
from app.flows.runs.run_state import Course
from app.rules.guard.guard import NOTHING, RUN
from app.rules.runs.slices import REACH, nights, rows_of_slice
from app.rules.runs.strategies import Leg
from app.stores.catalog import bulk
from app.stores.catalog.bulk import Written
from app.stores.runs import failed_items, slices
from app.stores.runs.drift import DRY_RUN, HELD
from app.stores.runs.slices import Older, Slice


class _Part(NamedTuple):
    """What is compared tonight: all last changed from ``since`` to ``upto``, the ``nights`` a whole round takes."""

    since: datetime
    upto: datetime
    nights: int


def read_slice(course: Course, leg: Leg) -> None:
    """Compare the next slice, repair what differs, and say why it did; with ``dry_run`` only say so."""
    part = _part(course, leg)
    if part is None:
        return
    kind, deps, connection = leg.kind, course.deps, course.connection
    look = partial(
        reconcile,
        deps,
        connection,
        kind,
        reader(course, kind, lambda resume: _whole(course, kind, part, resume)),
        checks=NOTHING if course.options.force else RUN,
        began=course.began,
        restart=partial(forget, course),
    )
    if course.options.dry_run:
        absorbed = look(foreseen=course.foreseen())
        record_drift(deps, connection, course.id, absorbed.diff, absorbed.read_at, cause=DRY_RUN)
        if absorbed.doubtful is not None:
            record_drift(deps, connection, course.id, absorbed.doubtful, absorbed.read_at, cause=HELD)
    else:
        known = background(deps, connection, kind)
        told = partial(record_drift, deps, connection, course.id, known=known)
        with alone(deps, course.keeper, connection, kind):
            absorbed = look(
                run_id=course.id, before_write=told, write=partial(bulk.write, on_commit=course.writing(kind))
            )
            record_left(deps, connection, course.id, absorbed)
    course.commit(lambda conn: _finish(course, conn, absorbed, part))
    log_failures(connection, absorbed.failures, course.id)


def _finish(course: Course, conn: Connection, absorbed: BulkResult, part: _Part) -> None:
    deps, connection, kind = course.deps, course.connection, absorbed.diff.kind
    written = absorbed.written if course.options.dry_run else Written()  # it was counted when it was written
    course.count(
        kind,
        created=written.created,
        updated=written.updated,
        unchanged=absorbed.diff.unchanged + len(absorbed.diff.touched),
        failed=len(absorbed.failures),
        compared_again=absorbed.diff.read,
    )
    course.progress.held += absorbed.held_rows
    if absorbed.held is not None:
        course.mark(kind, held=absorbed.held)
    if not course.options.dry_run:
        record_failures(deps, conn, connection, absorbed.failures, course.id)
        failed_items.resolve(conn, connection, kind, absorbed.healed, deps.now())
        slices.put(conn, connection, kind, Slice(part.upto, absorbed.diff.read, part.nights, deps.now()))


# which rows


def _part(course: Course, leg: Leg) -> _Part | None:
    """Where the last slice ended, and from there as many rows as a night is to compare; a resumed run has the end that
    it chose. ``None`` where nothing is that old."""
    began, until = course.run["created_at"], leg.until or course.run["created_at"]
    with course.deps.database.read() as conn:
        last = slices.get(conn, course.connection, leg.kind)
        every = Older(course.connection, leg.kind, began - REACH, until)
        rows = slices.count(conn, every)
        if not rows:
            return None
        goes_on = last is not None and every.since < last.upto < until
        since = last.upto if last is not None and goes_on else every.since
        size = rows_of_slice(rows, _per_call(course, leg.kind), _calls_a_day(course))
        upto = course.checkpoint.upto or slices.end(conn, every._replace(since=since), size)
    course.checkpoint.upto = upto
    return _Part(since, upto, nights(rows, size))


def _calls_a_day(course: Course) -> float | None:
    """What the loosest limit allows, which every call counts against; the others are about lists, which a slice asks for
    seldom."""
    return max((limit.a_day for limit in course.source.budget()), default=None)


def _per_call(course: Course, kind: Kind) -> int:
    return max(1, course.source.batch_size(kind))


# what the source shows


def _whole(course: Course, kind: Kind, part: _Part, resume: str | None) -> Iterator[Page]:
    """The pages of the slice, with the records of what they only name."""
    for page in course.source.window(kind, part.since, part.upto, resume):
        named = [change.external_id for change in page.changes]
        records, failed = [*page.records], [*page.failed]
        for some in batches(named, _per_call(course, kind)):
            more = _fetched(course, [Ref(kind, id) for id in some])
            records += more.records
            failed += more.failed
        yield structs.replace(page, records=records, failed=failed, changes=[], watermark=None, complete=None)


class _Fetched(NamedTuple):
    records: Sequence[Record]
    failed: Sequence[BadRecord]


def _fetched(course: Course, refs: Sequence[Ref]) -> _Fetched:
    """Each by itself where they fail together: one that cannot be fetched harms no other."""
    try:
        answer = tried(course, partial(course.source.fetch, refs))
    except (Permanent, BadAnswer) as error:
        course.judge(refs[0].kind, error, [ref.external_id for ref in refs])
        if len(refs) == 1:
            return _Fetched([], [BadRecord(*refs[0], str(error))])
        alone_ = [_fetched(course, [ref]) for ref in refs]
        return _Fetched([r for one in alone_ for r in one.records], [b for one in alone_ for b in one.failed])
    return _Fetched(answer.records, answer.failed)
