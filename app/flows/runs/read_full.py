"""A leg that reads a whole kind: finds every difference, says why it was there, and repairs it in small commits.

It is a diff, not a re-download: rows that agree are not written. The kind ends with an agreement, the share of rows
that are equal after the write. Pages that can be resumed after are kept until the kind is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from datetime import datetime
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from app.domain import Cause, Kind, Page, Ref, Strategy, batches
from app.errors import AuthRejected, Permanent
from app.flows.items.bad_records import log_failures, record_failures
from app.flows.items.bulk_read import BulkResult, reconcile
from app.flows.items.pull import owe_unknown
from app.flows.runs import kept_pages
from app.flows.runs.agreed import Agreed, agreed
from app.flows.runs.drift import record_drift, record_left
from app.flows.runs.kind_lock import alone
from app.flows.runs.named_items import named_news, rehearse_named
from app.flows.runs.reasons import Background, background
from app.flows.runs.resumable import forget, reader
from app.flows.runs.retrying import tried
from app.flows.runs.run_state import Course
from app.rules.guard.guard import FIRST_LOAD, NOTHING, RUN
from app.rules.runs.strategies import Leg
from app.sources.fingerprint import mapping_of
from app.stores.catalog import bulk, checksums, full_reads, watermarks
from app.stores.catalog.bulk import Diff, Written
from app.stores.catalog.checksums import Edited
from app.stores.runs import agreements, failed_items
from app.stores.runs.drift import DRY_RUN, HELD

log = structlog.get_logger()


def read_full(course: Course, leg: Leg) -> None:
    """Bring a whole kind up to date, or with ``dry_run`` only say what that would change."""
    kind = leg.kind
    with course.deps.database.read() as conn:
        first = watermarks.get(conn, course.connection, kind) is None
    deeds = NOTHING if course.options.force else FIRST_LOAD if first else RUN
    known = background(course.deps, course.connection, kind)
    checked = _check(course, kind, known)
    if course.options.dry_run:
        _preview(course, kind, deeds, checked.edited, first=first)
        return
    with course.deps.database.begin() as conn:
        checksums.mark_edited(conn, course.connection, kind, checked.edited)
    with alone(course.deps, course.keeper, course.connection, kind):
        _repair(course, kind, deeds, known, checked.began, first=first)


def _repair(
    course: Course,
    kind: Kind,
    deeds: Set[str],
    known: Background,
    checked_at: datetime | None,
    *,
    first: bool,
) -> None:
    deps, connection = course.deps, course.connection
    _forget_overtaken(course, kind)
    absorbed = reconcile(
        deps,
        connection,
        kind,
        _reader(course, kind, first=first),
        run_id=course.id,
        checks=deeds,
        before_write=lambda diff, read_at: _before(course, diff, read_at, known, first=first),
        began=course.began,
        restart=partial(forget, course),
        write=partial(bulk.write, on_commit=course.writing(kind)),
    )
    news = owe_unknown(deps, connection, kind, absorbed.changes, Cause.RECONCILE)
    if not first and absorbed.held is None:
        record_left(deps, connection, course.id, absorbed)

    def finish(conn: Connection) -> None:
        if first and (mark := absorbed.mark(course.source.whole_kinds)) is not None:
            watermarks.put(conn, connection, kind, mark, deps.now())
        record_failures(deps, conn, connection, absorbed.failures, course.id)
        failed_items.resolve(conn, connection, kind, absorbed.healed, deps.now())
        kept_pages.drop(course, conn)
        found = agreed(absorbed, unseen=news.unseen)
        _count(course, absorbed, len(news.fresh), found, Written())
        agreements.put(conn, connection, kind, found, run_id=course.id, now=deps.now())
        if absorbed.complete and absorbed.held is None:
            full_reads.put(
                conn,
                connection,
                kind,
                run_id=course.id,
                began_at=absorbed.read_at,
                mapping=mapping_of(course.source, kind),
                now=deps.now(),
                checked_at=checked_at,
                wrote=absorbed.written.any(),
            )

    course.commit(finish)
    log_failures(connection, absorbed.failures, course.id)
    deps.queue.enqueue(news.fresh)


def _forget_overtaken(course: Course, kind: Kind) -> None:
    """While nobody had this run, the kind may have been read as a whole: what the run had shown before is older, and would
    bring back what is gone since."""
    with course.deps.database.read() as conn:
        whole = watermarks.whole_read_at(conn, course.connection, kind)
    began = course.checkpoint.read_at
    if began is not None and whole is not None and whole > began:
        log.info("read_overtaken", run=course.id, connection=course.connection, kind=kind)
        forget(course)


class _Checked(NamedTuple):
    """What a checksum pass found; ``began`` is ``None`` where there was none."""

    began: datetime | None = None
    edited: Sequence[Edited] = ()


def _check(course: Course, kind: Kind, known: Background) -> _Checked:
    """The checksum pass of the nightly run. Rows that were hashed as other fields are left alone: the first complete read
    after a release that changed the fields hashes them anew."""
    chosen = course.checkpoint.chosen or course.strategy
    if chosen is not Strategy.FULL or known.full is None or known.full.shape != checksums.shape_of(kind):
        return _Checked()
    began = course.deps.now()
    edited = checksums.find_edited(course.deps.database, course.connection, kind)
    if edited:
        log.warning("edited_here", run=course.id, connection=course.connection, kind=kind, rows=len(edited))
    return _Checked(began, edited)


def _preview(course: Course, kind: Kind, deeds: Set[str], edited: Sequence[Edited], *, first: bool) -> None:
    """Read, judge and confirm as ``_repair`` does, but write only drift rows, each with what it would become."""
    deps, connection = course.deps, course.connection
    absorbed = reconcile(
        deps,
        connection,
        kind,
        _reader(course, kind, first=first),
        checks=deeds,
        before_write=lambda diff, _: _confirm_deep(course, diff),
        began=course.began,
        restart=partial(forget, course),
        foreseen=course.foreseen(),
        edited=[row.key for row in edited],
    )
    record_drift(deps, connection, course.id, absorbed.diff, absorbed.read_at, cause=DRY_RUN)
    if absorbed.doubtful is not None:
        record_drift(deps, connection, course.id, absorbed.doubtful, absorbed.read_at, cause=HELD)
    news = named_news(deps, connection, kind, absorbed.changes)
    rehearse_named(course, kind, news)
    found = agreed(absorbed, unseen=news.unseen, written=False)

    def finish(conn: Connection) -> None:
        kept_pages.drop(course, conn)
        _count(course, absorbed, len(news.fresh), found, absorbed.written)

    course.commit(finish)


def _reader(course: Course, kind: Kind, *, first: bool) -> Callable[[], Iterator[Page]]:
    """What was never read is read from the beginning: a full read may leave out what only grows, old orders."""
    source = course.source

    def pages_from(resume: str | None) -> Iterator[Page]:
        if first and resume is None and kind not in source.whole_kinds:
            return source.delta(kind, None)
        return source.full(kind, resume)

    return reader(course, kind, pages_from)


def _before(course: Course, diff: Diff, read_at: datetime, known: Background, *, first: bool) -> None:
    _confirm_deep(course, diff)
    rows = len(diff.created) + len(diff.changed) + len(diff.vanished)
    course.progress.batch = f"writing {rows} of {diff.read} {diff.kind} rows"
    course.saved()
    if not first:
        record_drift(course.deps, course.connection, course.id, diff, read_at, known)


def _confirm_deep(course: Course, diff: Diff) -> None:
    """A deep run asks for every vanished row by its id, and leaves alone what the source still has, or cannot be asked
    for."""
    if not course.options.deep or diff.kind is Kind.STOCK:  # stock that vanished is zero, not deleted
        return
    size = course.source.batch_size(diff.kind)
    still: set[str] = set()
    for some in batches(sorted({key[0] for key in diff.vanished}), size):
        gone = _gone(course, [Ref(diff.kind, id) for id in some])
        still.update(id for id in some if id not in gone)
        course.progress.batch = f"confirming {len(diff.vanished)} deletions"
        course.saved()
    diff.vanished = [key for key in diff.vanished if key[0] not in still]


def _gone(course: Course, refs: Sequence[Ref]) -> set[str]:
    try:
        answer = tried(course, partial(course.source.fetch, refs))
    except AuthRejected:
        raise
    except Permanent as error:
        log.warning("deletions_not_confirmed", run=course.id, items=len(refs), error=str(error))
        return set()
    return {ref.external_id for ref in answer.gone}


def _count(course: Course, absorbed: BulkResult, owed_now: int, found: Agreed, written: Written) -> None:
    """``written`` is what was not counted when it was written."""
    diff = absorbed.diff
    course.count(
        diff.kind,
        created=written.created,
        updated=written.updated,
        unchanged=diff.unchanged + len(diff.touched),
        deleted=written.deleted,
        owed=owed_now,
        failed=len(absorbed.failures),
    )
    course.progress.held += absorbed.held_rows
    course.counts[diff.kind] |= {"read": diff.read, "held": absorbed.held, "agreement": found.share}
    if absorbed.held_rules:
        course.counts[diff.kind] |= {"held_rules": absorbed.held_rules}
    if found.unknown is not None:
        course.counts[diff.kind] |= {"agreement_unknown": found.unknown}
    if absorbed.nameless:
        course.mark(
            diff.kind,
            incomplete=f"{absorbed.nameless} unreadable records without an id: nothing was taken for deleted",
        )
