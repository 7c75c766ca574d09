"""A stage that reads what changed, in a span of time or since the watermark: its pages are judged together, then applied."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from sqlalchemy import Connection

from app.domain import Cause, Change, Kind, Listing, Page, Record, batches, key_of
from app.errors import DatabaseFault
from app.flows.holds.doubted import doubted, judged
from app.flows.items.bad_records import (
    Failure,
    Healing,
    healing,
    isolated,
    log_failures,
    split_storable,
    storable_ones,
    unread,
    unstorable,
)
from app.flows.items.owing import BATCH_SIZE, NewlyOwed, changes_by_mention, owe_refused, owe_unknown
from app.flows.runs import resumable
from app.flows.runs.dry_run import Effects, preview
from app.flows.runs.named_items import dry_run_named, named_news
from app.flows.runs.resumable import is_overtaken
from app.flows.runs.retrying import pages_with_retries
from app.flows.runs.run_items import counts_of_applied, note_failures
from app.flows.runs.run_state import ActiveRun, Stopped
from app.rules.guard.guard import FIRST_LOAD, NOTHING, POLL
from app.rules.runs.kind_counts import KindCounts
from app.rules.runs.strategies import ReadMode, Stage
from app.stores import catalog
from app.stores.catalog import Applied, watermarks
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch
from app.stores.runs import failed_items


@dataclass
class _Read:
    """What was read: the records, of which ``stored`` were read before the run was resumed."""

    records: Spool
    healer: Healing
    stored: int = 0
    failures: list[Failure] = field(default_factory=list)
    watermark: str | None = None
    is_whole: bool = True

    def add(self, page: Page) -> None:
        """One more page."""
        for record in page.records:
            self.records.add("", record, 0)
        self.healer.note(page.records)
        self.watermark = page.watermark or self.watermark

    def fail(self, record: Record, error: Exception) -> None:
        """A record that cannot be written."""
        self.failures.append(unstorable(record, error))


@dataclass
class _Outcome:
    """How many rows are held, why and by which rules; the counts of the others in a dry run. They are counted at the end of
    the stage, because a resumed run judges its pages again."""

    held: int = 0
    reason: str | None = None
    rules: Sequence[str] = ()
    counts: KindCounts = field(default_factory=KindCounts)


def read_pages(run: ActiveRun, stage: Stage) -> None:
    """Read every page, owe the items that they name, and apply the records that the guard accepts; then the watermark of a
    delta moves. A dry run writes down what would be applied."""
    run.read_began()
    read = _read(run, stage)
    outcome = (_preview if run.options.dry_run else _apply)(run, stage.kind, read)
    log_failures(run.connection, read.failures, run.id)
    failing = {failure.ref.external_id for failure in read.failures}

    def finish(conn: Connection) -> None:
        resumable.drop(run, conn)
        run.count(stage.kind, outcome.counts)
        if outcome.reason is not None:
            run.hold(stage.kind, outcome.held, outcome.reason, outcome.rules)
        if run.options.dry_run:
            return
        before = failed_items.open_ids(conn, run.connection, stage.kind, run_id=run.id)  # those of a resumed run
        healed = read.healer.healed(failing | before, complete=False)
        failed_items.resolve(conn, run.connection, stage.kind, healed, run.deps.now())
        if stage.mode is ReadMode.DELTA and read.is_whole and read.watermark is not None:
            watermarks.put(conn, run.connection, stage.kind, read.watermark, run.deps.now())

    run.finish_stage(finish)


# reading


def _read(run: ActiveRun, stage: Stage) -> _Read:
    read = _stored(run, stage.kind)
    keep = True
    for page in pages_with_retries(run, partial(_pages_from, run, stage), lambda error: _restart(run, read)):
        keep = _add_page(run, stage, page, read, keep=keep)
        if run.remaining() == 0:
            read.is_whole = False  # the limit ended it: nothing is known of the rest
            break
    return read


def _stored(run: ActiveRun, kind: Kind) -> _Read:
    """The pages that a resumed run read before, unless the kind was read as a whole since."""
    read = _Read(Spool(kind), healing(run.deps, run.connection, kind))
    pages = resumable.kept(run, kind)
    if len(pages) < run.checkpoint.pages or run.checkpoint.resume is None or is_overtaken(run, kind):
        _restart(run, read)
        return read
    for page in pages:
        read.add(page)
    read.stored = len(read.records)
    return read


def _pages_from(run: ActiveRun, stage: Stage, resume: str | None) -> Iterator[Page]:
    if stage.mode is ReadMode.WINDOW:
        return run.source.window(stage.kind, stage.since, stage.until, resume)
    with run.deps.database.read() as conn:
        since = watermarks.get(conn, run.connection, stage.kind)
    return run.source.delta(stage.kind, since)


def _restart(run: ActiveRun, read: _Read) -> None:
    """Begin the read again: nothing of it was applied yet."""
    kind = read.records.kind
    read.records, read.stored, read.watermark = Spool(kind), 0, None
    with run.transaction() as conn:
        resumable.drop(run, conn)
        run.read_began()
        run.count(kind, KindCounts(processed=run.checkpoint.begun - run.progress.processed))


def _add_page(run: ActiveRun, stage: Stage, page: Page, read: _Read, *, keep: bool) -> bool:
    """Count a page and owe the items that it names; returns whether the read can be resumed after it."""
    chosen = [record for record in page.records if not stage.active_only or _is_active(record)][: run.remaining()]
    good, bad = split_storable(chosen)
    run.expect(page.expected)
    run.progress.batch = page.label or f"{stage.kind}s"
    named = [*page.changes, *changes_by_mention(run.deps, run.connection, page)]
    changes = named[: run.remaining_after(len(good))]
    news = _owe_named(run, stage.kind, changes)
    failures = [*map(unread, page.failed), *bad]
    shown = Page(records=good, resume=page.resume, watermark=page.watermark)

    def finish(conn: Connection) -> bool:
        note_failures(run, conn, failures)
        run.count(stage.kind, KindCounts(processed=len(good) + len(changes), owed=len(news.fresh)))
        is_kept = keep and page.resume is not None and resumable.store(run, conn, shown)
        if run.options.dry_run:
            run.checkpoint.after = None  # the items of the next page start from the first
        return is_kept

    is_stored = run.commit(finish)
    read.add(shown)
    read.failures += failures
    if not run.options.dry_run:
        run.deps.queue.enqueue(news.fresh)
    run.check_stopping()
    run.check_connection()
    return is_stored


def _owe_named(run: ActiveRun, kind: Kind, changes: Sequence[Change]) -> NewlyOwed:
    """Owe the items that a page only names; a dry run fetches them instead."""
    if not run.options.dry_run:
        return owe_unknown(run.deps, run.connection, kind, changes, Cause.RECONCILE)
    news = named_news(run.deps, run.connection, kind, changes)
    dry_run_named(run, kind, news)
    return news


def _is_active(record: Record) -> bool:
    return not record.deleted and (not isinstance(record, Listing) or record.active)


# applying


def _checks(run: ActiveRun, kind: Kind) -> Set[str]:
    """The checks that the guard makes for this stage."""
    if run.options.force:
        return NOTHING
    with run.deps.database.read() as conn:
        first = watermarks.get(conn, run.connection, kind) is None
    return FIRST_LOAD if first else POLL


def _apply(run: ActiveRun, kind: Kind, read: _Read) -> _Outcome:
    """Write the accepted records, from where a resumed run stopped."""
    held = doubted(
        run.deps,
        run.connection,
        read.records,
        run.read_began(),
        _checks(run, kind),
        unread={failure.shown for failure in read.failures},
        run_id=run.id,
    )
    done = min(int(run.checkpoint.after or 0), read.stored)
    for records in batches(islice(read.records, done, None), BATCH_SIZE):
        done += len(records)
        good = [record for record in records if held is None or key_of(record) not in held.keys]
        read.failures += _write(run, kind, good, after=done)
        run.check_stopping()
        run.check_connection()
    return _Outcome() if held is None else _Outcome(len(held.keys), held.reason, held.rules)


def _write(run: ActiveRun, kind: Kind, records: Sequence[Record], *, after: int) -> Sequence[Failure]:
    """Write a batch, count it and move the checkpoint behind it, all in one commit: a run that dies here or there counts no
    row twice. Returns the failures of records that cannot be written."""

    def work(conn: Connection, records: Sequence[Record], failures: Sequence[Failure]) -> None:
        if records:
            applied = _put(run, conn, records)
            owe_refused(run.deps, conn, run.connection, records, applied)
            run.count(kind, counts_of_applied(applied))
        note_failures(run, conn, failures)
        run.count(kind, KindCounts(processed=-len(failures)))  # they were counted when they were read
        run.checkpoint.after = str(after)

    try:
        run.commit(partial(work, records=records, failures=()))
    except (Stopped, DatabaseFault):
        raise
    except Exception:
        good, failures = storable_ones(run.deps, records, partial(_put, run))
        run.commit(partial(work, records=good, failures=failures))
        return failures
    return ()


def _preview(run: ActiveRun, kind: Kind, read: _Read) -> _Outcome:
    """Write down what would be written, and what would be held."""
    checks = _checks(run, kind)
    batch = Batch(kind, (read.records,), first=checks == FIRST_LOAD)
    verdict = judged(run.deps, run.connection, batch, checks, run.foreseen()).verdict
    keys = {row.key for row in verdict.held()}
    counts = KindCounts()

    def write_down(records: Sequence[Record], *, held: bool) -> None:
        if records:
            written = preview(run, lambda conn: _effects(_put(run, conn, records), records), held=held)
            counts.add(KindCounts() if held else written)

    for records in batches(read.records, BATCH_SIZE):
        good = [record for record in records if key_of(record) not in keys]
        doubtful = [record for record in records if key_of(record) in keys]
        isolated(good, partial(write_down, held=False), read.fail, (Stopped,))
        isolated(doubtful, partial(write_down, held=True), read.fail, (Stopped,))
        run.check_stopping()
    return _Outcome(len(keys), verdict.reason, verdict.rules, counts)


def _put(run: ActiveRun, conn: Connection, records: Sequence[Record]) -> Applied:
    now = run.deps.now()
    return catalog.apply(conn, run.connection, records, read_at=run.read_began(), now=now, by=run.writer)


def _effects(applied: Applied, records: Sequence[Record]) -> Effects:
    return Effects(records, set(applied.written), counts=counts_of_applied(applied))
