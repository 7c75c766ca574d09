"""A leg that reads a whole kind: finds every difference, says why it was there, and repairs it in small commits.

It is a diff, not a re-download: rows that agree are not written. The kind ends with an agreement, the share of rows
that were already right. Pages that can be resumed after are kept until the kind is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from app.domain import Cause, Kind, Page, Ref, batches
from app.flows.absorb import Absorbed, absorb, judge, look
from app.flows.alone import alone
from app.flows.course import Course
from app.flows.drift import record_drift
from app.flows.pull import owe_news
from app.flows.steady import pages, tried
from app.rules.guard import FIRST_LOAD, RUN
from app.rules.strategies import Leg
from app.stores import bulk, run_pages, watermarks
from app.stores.bulk import Diff, Written
from app.stores.drift import DRY_RUN

NOTHING_JUDGED: frozenset[str] = frozenset()


def read_full(course: Course, leg: Leg) -> None:
    """Bring a whole kind up to date, or with ``dry_run`` only say what that would change."""
    kind = leg.kind
    with course.deps.database.read() as conn:
        first = watermarks.get(conn, course.connection, kind) is None
    deeds = NOTHING_JUDGED if course.options.force else FIRST_LOAD if first else RUN
    if course.options.dry_run:
        _preview(course, kind, deeds, first=first)
        return
    with alone(course.deps, course.keeper, course.connection, kind):
        _repair(course, kind, deeds, first=first)


def _repair(course: Course, kind: Kind, deeds: Collection[str], *, first: bool) -> None:
    deps, connection = course.deps, course.connection
    absorbed = absorb(
        deps,
        connection,
        kind,
        _reader(course, kind, first=first),
        run_id=course.id,
        deeds=deeds,
        before=lambda diff, read_at: _before(course, diff, read_at, first=first),
        began=course.began,
        write=partial(bulk.write, told=course.save),
    )
    fresh = owe_news(deps, connection, kind, absorbed.changes, Cause.RECONCILE)
    with deps.database.begin() as conn:
        if first and (mark := absorbed.mark(course.source.whole_kinds)) is not None:
            watermarks.put(conn, connection, kind, mark, deps.now())
        _finish(conn, course, absorbed, len(fresh))
    deps.queue.wake(fresh)


def _preview(course: Course, kind: Kind, deeds: Collection[str], *, first: bool) -> None:
    """Read and compare as ``_repair`` does, but write only drift rows, each with what it would become."""
    deps, connection = course.deps, course.connection
    absorbed, scope = look(deps, connection, kind, _reader(course, kind, first=first), course.began())
    diff = absorbed.diff
    record_drift(deps, connection, course.id, diff, absorbed.read_at, cause=DRY_RUN)
    would = Written(len(diff.created), len(diff.changed), len(diff.touched), len(diff.vanished))
    told = replace(absorbed, written=would, held=judge(deps, diff, scope, deeds))
    with deps.database.begin() as conn:
        _finish(conn, course, told, len(absorbed.changes))


def _reader(course: Course, kind: Kind, *, first: bool) -> Callable[[], Iterator[Page]]:
    """The first look goes on where the run stopped; a second one, after an implausible first, begins anew.

    What was never read is read from the beginning: a full read may leave out what only grows, old orders.
    """
    looks = iter([False])
    source = course.source

    def pages_from(resume: str | None) -> Iterator[Page]:
        if first and resume is None and kind not in source.whole_kinds:
            return source.delta(kind, None)
        return source.full(kind, resume)

    def read() -> Iterator[Page]:
        if next(looks, True):
            _forget(course)
        if course.checkpoint.resume is None:
            course.progress.processed = course.checkpoint.begun  # nothing of this leg is behind us
        yield from _kept(course, kind)
        keep = True
        for page in pages(course, pages_from, partial(_forget, course)):
            yield page
            keep = keep and page.resume is not None and not page.changes  # a gap could not be filled on resuming
            _turn(course, page, keep=keep)

    return read


def _kept(course: Course, kind: Kind) -> Iterator[Page]:
    with course.deps.database.read() as conn:
        kept = list(run_pages.of(conn, course.id, kind, course.checkpoint.pages))
    for records in kept:
        yield Page(records=records)


def _turn(course: Course, page: Page, *, keep: bool) -> None:
    """A page is behind us; ``keep`` what it showed, so that the read can be resumed after it."""
    course.expect(page.expected)
    course.progress.batch = page.label or course.progress.batch
    course.progress.processed += len(page.records) + len(page.changes)
    with course.turn() as conn:
        if keep:
            run_pages.put(conn, course.id, course.checkpoint.pages, page.records)
            course.checkpoint.pages += 1
            course.checkpoint.resume = page.resume


def _forget(course: Course) -> None:
    with course.turn() as conn:
        run_pages.drop(conn, course.id)
        course.checkpoint = course.checkpoint.leg_anew()
        course.progress.processed = course.checkpoint.begun


def _before(course: Course, diff: Diff, read_at: datetime, *, first: bool) -> None:
    if course.options.deep and diff.kind is not Kind.STOCK:  # stock that vanished is zero, not deleted
        _confirm(course, diff)
    rows = len(diff.created) + len(diff.changed) + len(diff.vanished)
    course.progress.batch = f"writing {rows} of {diff.read} {diff.kind} rows"
    course.saved()
    if not first:
        record_drift(course.deps, course.connection, course.id, diff, read_at)


def _confirm(course: Course, diff: Diff) -> None:
    """Ask for every vanished row by its id, and leave alone what the source still has."""
    size = course.source.batch_size(diff.kind)
    still: set[str] = set()
    for some in batches(sorted({key[0] for key in diff.vanished}), size):
        refs = [Ref(diff.kind, id) for id in some]
        gone = {ref.external_id for ref in tried(course, partial(course.source.fetch, refs)).gone}
        still.update(id for id in some if id not in gone)
        course.progress.batch = f"confirming {len(diff.vanished)} deletions"
        course.saved()
    diff.vanished = [key for key in diff.vanished if key[0] not in still]


def _finish(conn: Connection, course: Course, absorbed: Absorbed, owed_now: int) -> None:
    run_pages.drop(conn, course.id)
    _count(course, absorbed, owed_now)
    course.save(conn)


def _count(course: Course, absorbed: Absorbed, owed_now: int) -> None:
    diff, written = absorbed.diff, absorbed.written
    differing = len(diff.created) + len(diff.changed) + len(diff.vanished)
    rows = diff.total_local + len(diff.created)
    course.count(
        diff.kind,
        created=written.created,
        updated=written.updated,
        unchanged=diff.unchanged + len(diff.touched),
        deleted=written.deleted,
        owed=owed_now,
    )
    course.progress.held += differing if absorbed.held else 0
    course.counts[diff.kind] |= {
        "read": diff.read,
        "held": absorbed.held,
        "agreement": round(1 - differing / rows, 6)
        if diff.total_local
        else None,  # a first load has nothing to agree with
    }
