"""A leg that reads what changed, in a span of time or since the watermark: each page is applied as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from app.domain import Cause, Kind, Listing, Page, Record
from app.flows.bad_records import Failure, healing, isolated, tell, unread, unstorable
from app.flows.course import Course, Stopped
from app.flows.named import named_news, rehearse_named
from app.flows.pull import owe_news, owe_refused
from app.flows.rehearse import Effects, rehearse
from app.flows.run_items import note_failures
from app.flows.steady import pages
from app.rules.strategies import How, Leg
from app.stores import catalog, drift, failed_items, watermarks
from app.stores.catalog import Applied


def read_pages(course: Course, leg: Leg) -> None:
    """Apply every page, checkpoint and all in one commit; the watermark of a delta moves after the last one."""
    watermark = None
    healer = healing(course.deps, course.connection, leg.kind)
    failures: list[Failure] = []
    began = course.deps.now()
    for page in pages(course, partial(_open, course, leg), partial(_forget, course)):
        healer.see(page.records)
        failures += _turn(course, leg, page, began)
        began = course.deps.now()  # the next page is asked for only now
        watermark = page.watermark or watermark
        if course.left() == 0:
            break  # stopped short: nothing is known of the rest
    else:
        if leg.how is How.DELTA and watermark is not None and not course.options.dry_run:
            with course.deps.database.begin() as conn:
                watermarks.put(conn, course.connection, leg.kind, watermark, course.deps.now())
    tell(course.connection, failures, course.id)
    healed = healer.healed({failure.ref.external_id for failure in failures}, complete=False)
    if healed and not course.options.dry_run:
        with course.deps.database.begin() as conn:
            failed_items.resolve(conn, course.connection, leg.kind, healed, course.deps.now())


def _open(course: Course, leg: Leg, resume: str | None) -> Iterator[Page]:
    if leg.how is How.WINDOW:
        return course.source.window(leg.kind, leg.since, leg.until, resume)
    with course.deps.database.read() as conn:
        since = watermarks.get(conn, course.connection, leg.kind)
    return course.source.delta(leg.kind, since)


def _forget(course: Course, _: Exception) -> None:
    course.checkpoint = course.checkpoint.leg_anew()


def _turn(course: Course, leg: Leg, page: Page, began: datetime) -> list[Failure]:
    """Apply a page; returns what of it could not be read or stored."""
    records = [record for record in page.records if not leg.active_only or _is_active(record)][: course.left()]
    course.expect(page.expected)
    course.progress.batch = page.label or f"{leg.kind}s"
    changes = page.changes[: course.left_after(len(records))]
    if course.options.dry_run:
        news = named_news(course.deps, course.connection, leg.kind, changes)
        rehearse_named(course, leg.kind, news)
    else:
        news = owe_news(course.deps, course.connection, leg.kind, changes, Cause.RECONCILE)
    failures = [unread(bad) for bad in page.failed]
    apply = partial(_rehearse if course.options.dry_run else _apply, course, leg.kind, began=began)
    isolated(records, apply, lambda record, error: failures.append(unstorable(record, error)), (Stopped,))

    def finish(conn: Connection) -> None:
        note_failures(course, conn, failures)
        course.count(leg.kind, processed=len(changes), owed=len(news.fresh))
        course.checkpoint.resume, course.checkpoint.after = page.resume or course.checkpoint.resume, None

    course.commit(finish)
    if not course.options.dry_run:
        course.deps.queue.wake(news.fresh)
    course.go_on()
    course.may_ask()
    return failures


def _apply(course: Course, kind: Kind, records: Sequence[Record], *, began: datetime) -> None:
    def work(conn: Connection) -> None:
        applied = _write(course, conn, records, began)
        owe_refused(course.deps, conn, course.connection, records, applied)
        _count(course, kind, records, applied)

    if records:
        course.commit(work)


def _rehearse(course: Course, kind: Kind, records: Sequence[Record], *, began: datetime) -> None:
    applied = Applied()

    def work(conn: Connection) -> Effects:
        nonlocal applied
        applied = _write(course, conn, records, began)
        return Effects(records, set(applied.written))

    rows = rehearse(course.deps, course.connection, work)

    def save(conn: Connection) -> None:
        drift.write(conn, course.id, course.connection, rows, now=course.deps.now())
        _count(course, kind, records, applied)

    course.commit(save)


def _write(course: Course, conn: Connection, records: Sequence[Record], began: datetime) -> Applied:
    return catalog.apply(conn, course.connection, records, read_at=began, now=course.deps.now(), tell_refused=True)


def _count(course: Course, kind: Kind, records: Sequence[Record], applied: Applied) -> None:
    unchanged = applied.unchanged + applied.touched
    course.count(kind, processed=len(records), created=applied.created, updated=applied.updated, unchanged=unchanged)


def _is_active(record: Record) -> bool:
    return not record.deleted and (not isinstance(record, Listing) or record.active)
