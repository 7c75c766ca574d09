"""A leg that reads what changed, in a span of time or since the watermark: its pages are judged together, then applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import Cause, Kind, Listing, Page, Record, batches, key_of
from app.flows.holds.doubted import doubted, judged
from app.flows.items.bad_records import (
    Failure,
    Healing,
    healing,
    isolated,
    log_failures,
    split_storable,
    unread,
    unstorable,
)
from app.flows.items.pull import BATCH_SIZE, changes_by_mention, owe_refused, owe_unknown
from app.flows.runs import kept_pages
from app.flows.runs.dry_run import Effects, rehearse
from app.flows.runs.named_items import named_news, rehearse_named
from app.flows.runs.retrying import pages
from app.flows.runs.run_items import note_failures
from app.flows.runs.run_state import Course, Stopped
from app.rules.guard.guard import FIRST_LOAD, NOTHING, POLL
from app.rules.runs.strategies import How, Leg
from app.stores import catalog
from app.stores.catalog import Applied, watermarks
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch
from app.stores.runs import drift, failed_items


@dataclass
class _Found:
    """What was read: the records, of which ``kept`` were read before the run was resumed."""

    records: Spool
    healer: Healing
    kept: int = 0
    failures: list[Failure] = field(default_factory=list)
    watermark: str | None = None
    is_whole: bool = True

    def see(self, page: Page) -> None:
        """One more page."""
        for record in page.records:
            self.records.add("", record, 0)
        self.healer.note(page.records)
        self.watermark = page.watermark or self.watermark

    def fail(self, record: Record, error: Exception) -> None:
        """A record that cannot be written."""
        self.failures.append(unstorable(record, error))


class _Outcome(NamedTuple):
    """How many rows are held, why and by which rules; what a dry run counts of the others. Counted with the end of the leg:
    a run that goes on judges its pages once more."""

    held: int = 0
    reason: str | None = None
    rules: Sequence[str] = ()
    counts: Mapping[str, int] = {}


def read_pages(course: Course, leg: Leg) -> None:
    """Read every page, owe what they hint at, and apply what is believed of them; the watermark of a delta moves after
    that. A dry run says what would be applied."""
    course.began()
    found = _read(course, leg)
    outcome = (_rehearse if course.options.dry_run else _apply)(course, leg.kind, found)
    log_failures(course.connection, found.failures, course.id)
    healed = found.healer.healed({failure.ref.external_id for failure in found.failures}, complete=False)

    def finish(conn: Connection) -> None:
        kept_pages.drop(course, conn)
        course.count(leg.kind, **outcome.counts)
        if outcome.reason is not None:
            course.held(leg.kind, outcome.held, outcome.reason, outcome.rules)
        if course.options.dry_run:
            return
        failed_items.resolve(conn, course.connection, leg.kind, healed, course.deps.now())
        if leg.how is How.DELTA and found.is_whole and found.watermark is not None:
            watermarks.put(conn, course.connection, leg.kind, found.watermark, course.deps.now())

    course.commit(finish)


# reading


def _read(course: Course, leg: Leg) -> _Found:
    found = _behind(course, leg.kind)
    keep = True
    for page in pages(course, partial(_open, course, leg), lambda error: _forget(course, found)):
        keep = _turn(course, leg, page, found, keep=keep)
        if course.left() == 0:
            found.is_whole = False  # stopped short: nothing is known of the rest
            break
    return found


def _behind(course: Course, kind: Kind) -> _Found:
    """The pages that are behind a resumed run."""
    found = _Found(Spool(kind), healing(course.deps, course.connection, kind))
    behind = kept_pages.kept(course, kind)
    if len(behind) < course.checkpoint.pages or course.checkpoint.resume is None:
        _forget(course, found)
        return found
    for page in behind:
        found.see(page)
    found.kept = len(found.records)
    return found


def _open(course: Course, leg: Leg, resume: str | None) -> Iterator[Page]:
    if leg.how is How.WINDOW:
        return course.source.window(leg.kind, leg.since, leg.until, resume)
    with course.deps.database.read() as conn:
        since = watermarks.get(conn, course.connection, leg.kind)
    return course.source.delta(leg.kind, since)


def _forget(course: Course, found: _Found) -> None:
    """The read begins anew: nothing of it was applied yet."""
    kind = found.records.kind
    found.records, found.kept, found.watermark = Spool(kind), 0, None
    with course.turn() as conn:
        kept_pages.drop(course, conn)
        course.began()
        course.count(kind, processed=course.checkpoint.begun - course.progress.processed)


def _turn(course: Course, leg: Leg, page: Page, found: _Found, *, keep: bool) -> bool:
    """A page is behind us; returns whether the read can be resumed after it."""
    chosen = [record for record in page.records if not leg.active_only or _is_active(record)][: course.left()]
    good, bad = split_storable(chosen)
    course.expect(page.expected)
    course.progress.batch = page.label or f"{leg.kind}s"
    named = [*page.changes, *changes_by_mention(course.deps, course.connection, page)]
    changes = named[: course.left_after(len(good))]
    if course.options.dry_run:
        news = named_news(course.deps, course.connection, leg.kind, changes)
        rehearse_named(course, leg.kind, news)
    else:
        news = owe_unknown(course.deps, course.connection, leg.kind, changes, Cause.RECONCILE)
    failures = [*map(unread, page.failed), *bad]
    shown = Page(records=good, resume=page.resume, watermark=page.watermark)

    is_kept = False

    def finish(conn: Connection) -> None:
        nonlocal is_kept
        note_failures(course, conn, failures)
        course.count(leg.kind, processed=len(good) + len(changes), owed=len(news.fresh))
        is_kept = keep and page.resume is not None and kept_pages.keep(course, conn, shown)
        if course.options.dry_run:
            course.checkpoint.after = None  # the items that the next page names begin anew

    course.commit(finish)
    found.see(shown)
    found.failures += failures
    if not course.options.dry_run:
        course.deps.queue.enqueue(news.fresh)
    course.go_on()
    course.may_ask()
    return is_kept


# applying


def _apply(course: Course, kind: Kind, found: _Found) -> _Outcome:
    """Write what is believed, from where a resumed run stopped."""
    deps = course.deps
    held = doubted(
        deps,
        course.connection,
        found.records,
        course.began(),
        _deeds(course, kind),
        unread={failure.shown for failure in found.failures},
        run_id=course.id,
    )
    told = len(found.failures)
    done = min(int(course.checkpoint.after or 0), found.kept)
    for some in batches(islice(found.records, done, None), BATCH_SIZE):
        good = [record for record in some if held is None or key_of(record) not in held.keys]
        isolated(good, partial(_write, course, kind), found.fail, (Stopped,))
        done += len(some)
        with course.turn():
            course.checkpoint.after = str(done)
    if unwritten := found.failures[told:]:
        with course.turn() as conn:
            note_failures(course, conn, unwritten)
            course.count(kind, processed=-len(unwritten))  # they were counted when they were read
    return _Outcome() if held is None else _Outcome(len(held.keys), held.reason, held.rules)


def _deeds(course: Course, kind: Kind) -> Set[str]:
    """What the guard judges."""
    if course.options.force:
        return NOTHING
    with course.deps.database.read() as conn:
        first = watermarks.get(conn, course.connection, kind) is None
    return FIRST_LOAD if first else POLL


def _write(course: Course, kind: Kind, records: Sequence[Record]) -> None:
    def work(conn: Connection) -> None:
        applied = _put(course, conn, records)
        owe_refused(course.deps, conn, course.connection, records, applied)
        course.count(kind, **_counted(applied))

    if records:
        course.commit(work)


def _rehearse(course: Course, kind: Kind, found: _Found) -> _Outcome:
    """What would be written, and apart from it what would be held."""
    deeds = _deeds(course, kind)
    batch = Batch(kind, (found.records,), first=deeds == FIRST_LOAD)
    verdict = judged(course.deps, course.connection, batch, deeds, course.foreseen()).verdict
    keys = {row.key for row in verdict.held()}
    counts = Counter[str]()
    for some in batches(found.records, BATCH_SIZE):
        good = [record for record in some if key_of(record) not in keys]
        doubtful = [record for record in some if key_of(record) in keys]
        isolated(good, partial(_rehearse_some, course, kind, counts), found.fail, (Stopped,))
        isolated(doubtful, partial(_rehearse_some, course, kind, None), found.fail, (Stopped,))
        course.go_on()
    return _Outcome(len(keys), verdict.reason, verdict.rules, counts)


def _rehearse_some(course: Course, kind: Kind, counts: Counter[str] | None, records: Sequence[Record]) -> None:
    """``counts`` is ``None`` for records that would be held."""
    if not records:
        return
    applied = Applied()

    def work(conn: Connection) -> Effects:
        nonlocal applied
        applied = _put(course, conn, records)
        return Effects(records, set(applied.written))

    rows = rehearse(course.deps, course.connection, work)

    def save(conn: Connection) -> None:
        told = [row._replace(cause=drift.HELD) for row in rows] if counts is None else rows
        drift.write_anew(conn, course.id, course.connection, told, now=course.deps.now())

    course.commit(save)
    if counts is not None:
        counts.update(_counted(applied))


def _put(course: Course, conn: Connection, records: Sequence[Record]) -> Applied:
    now = course.deps.now()
    return catalog.apply(conn, course.connection, records, read_at=course.began(), now=now, report_refused=True)


def _counted(applied: Applied) -> dict[str, int]:
    unchanged = applied.unchanged + applied.touched
    return {"created": applied.created, "updated": applied.updated, "unchanged": unchanged}


def _is_active(record: Record) -> bool:
    return not record.deleted and (not isinstance(record, Listing) or record.active)
