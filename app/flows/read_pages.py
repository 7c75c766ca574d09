"""A leg that reads what changed, in a span of time or since the watermark: each page is applied as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from app.domain import KINDS, Cause, Kind, Listing, Page, Record, Ref, key_of
from app.flows.course import Course, Stopped
from app.flows.pull import owe_news
from app.flows.rehearse import Effects, rehearse
from app.flows.steady import pages
from app.rules.strategies import How, Leg
from app.rules.trouble import category_of
from app.stores import catalog, drift, failed_items, watermarks
from app.stores.catalog import Applied
from app.stores.engine import DATABASE_ERRORS


def read_pages(course: Course, leg: Leg) -> None:
    """Apply every page, checkpoint and all in one commit; the watermark of a delta moves after the last one."""
    watermark = None
    began = course.deps.now()
    for page in pages(course, partial(_open, course, leg), partial(_forget, course)):
        _turn(course, leg, page, began)
        began = course.deps.now()  # the next page is asked for only now
        watermark = page.watermark or watermark
        if course.left() == 0:
            return  # stopped short: nothing is known of the rest
    if leg.how is How.DELTA and watermark is not None and not course.options.dry_run:
        with course.deps.database.begin() as conn:
            watermarks.put(conn, course.connection, leg.kind, watermark, course.deps.now())


def _open(course: Course, leg: Leg, resume: str | None) -> Iterator[Page]:
    if leg.how is How.WINDOW:
        return course.source.window(leg.kind, leg.since, leg.until, resume)
    with course.deps.database.read() as conn:
        since = watermarks.get(conn, course.connection, leg.kind)
    return course.source.delta(leg.kind, since)


def _forget(course: Course) -> None:
    course.checkpoint = course.checkpoint.leg_anew()


def _turn(course: Course, leg: Leg, page: Page, began: datetime) -> None:
    records = [record for record in page.records if not leg.active_only or _is_active(record)][: course.left()]
    course.expect(page.expected)
    course.progress.batch = page.label or f"{leg.kind}s"
    if course.options.dry_run:
        _rehearse(course, leg.kind, records, page, began)
        return
    fresh = owe_news(course.deps, course.connection, leg.kind, page.changes, Cause.RECONCILE)
    try:
        _apply(course, leg.kind, records, page, began, owed_now=len(fresh))
    except Stopped:
        raise
    except Exception:  # one record that cannot be written must not take its page with it
        _one_by_one(course, leg.kind, records, page, began)
    course.deps.queue.wake(fresh)


def _apply(
    course: Course, kind: Kind, records: Sequence[Record], page: Page, began: datetime, *, owed_now: int = 0
) -> None:
    with course.turn() as conn:
        _count(course, kind, _write(course, conn, records, began))
        course.count(kind, processed=len(records) + len(page.changes), owed=owed_now)
        course.checkpoint.resume = page.resume or course.checkpoint.resume


def _write(course: Course, conn: Connection, records: Sequence[Record], began: datetime) -> Applied:
    return catalog.apply(conn, course.connection, records, read_at=began, now=course.deps.now())


def _count(course: Course, kind: Kind, applied: Applied) -> None:
    unchanged = applied.unchanged + applied.touched
    course.count(kind, created=applied.created, updated=applied.updated, unchanged=unchanged)


def _one_by_one(course: Course, kind: Kind, records: Sequence[Record], page: Page, began: datetime) -> None:
    for record in records:
        try:
            _apply(course, kind, [record], Page(), began)
        except Stopped:
            raise
        except Exception as error:
            note_failure(course, Ref(KINDS[type(record)], key_of(record)[0]), error)
    with course.turn():
        course.checkpoint.resume = page.resume or course.checkpoint.resume


def note_failure(course: Course, ref: Ref, error: Exception) -> None:
    """An item failed alone: it is told, and the run goes on."""
    with course.turn() as conn:
        failed_items.record(
            conn,
            course.id,
            course.connection,
            ref,
            category=category_of(error, DATABASE_ERRORS),
            error=error,
            now=course.deps.now(),
            redact=course.deps.redact,
        )
        course.count(ref.kind, processed=1, failed=1)


def _rehearse(course: Course, kind: Kind, records: Sequence[Record], page: Page, began: datetime) -> None:
    applied = Applied()

    def work(conn: Connection) -> Effects:
        nonlocal applied
        applied = _write(course, conn, records, began)
        return Effects(records, set(applied.written))

    rows = rehearse(course.deps, course.connection, work)
    with course.turn() as conn:
        drift.write(conn, course.id, course.connection, rows, now=course.deps.now())
        _count(course, kind, applied)
        course.count(kind, processed=len(records) + len(page.changes), owed=len(page.changes))
        course.checkpoint.resume = page.resume or course.checkpoint.resume


def _is_active(record: Record) -> bool:
    return not record.deleted and (not isinstance(record, Listing) or record.active)
