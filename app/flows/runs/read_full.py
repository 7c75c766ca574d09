"""A stage that reads a whole kind: it finds every difference, says why it was there, and repairs it in small commits.

It is a diff, not a re-download: rows that agree are not written. The kind ends with an agreement, the share of rows
that are equal after the write.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

import msgspec
import structlog
from sqlalchemy import Connection

from app.domain import Cause, Kind, Page, Ref, Strategy, batches
from app.errors import AuthRejected, BadAnswer, Permanent, Transient, Unavailable
from app.flows.items.bad_records import log_failures, sure_scopes
from app.flows.items.bulk_read import BulkResult
from app.flows.items.fetched import read_of
from app.flows.items.owing import owe_unknown
from app.flows.runs.compare_kind import agreed, compare_kind, finish_comparison
from app.flows.runs.drift import record_drift, record_left
from app.flows.runs.kind_lock import kind_lock
from app.flows.runs.named_items import dry_run_named, named_news
from app.flows.runs.reasons import Background, background
from app.flows.runs.resumable import is_overtaken, restart_read
from app.flows.runs.retrying import with_retries
from app.flows.runs.run_state import ActiveRun
from app.rules.drift.agreement import Agreed
from app.rules.guard.guard import FIRST_LOAD, RUN
from app.rules.runs.kind_counts import KindCounts
from app.rules.runs.strategies import Stage
from app.sources.fingerprint import mapping_of
from app.stores import catalog
from app.stores.catalog import Key, checksums, full_reads, watermarks
from app.stores.catalog.checksums import Edited
from app.stores.catalog.diff import Diff
from app.stores.runs import agreements

log = structlog.get_logger()


class _Known(NamedTuple):
    """What is known of a kind before it is read. A ``first`` read has nothing to compare with; ``checked_at`` is when the
    checksum pass began that found the ``edited`` rows, ``None`` where there was none."""

    first: bool
    background: Background
    checked_at: datetime | None = None
    edited: Sequence[Edited] = ()


def read_full(run: ActiveRun, stage: Stage) -> None:
    """Bring a whole kind up to date, or with ``dry_run`` only say what that would change."""
    kind = stage.kind
    with run.deps.database.read() as conn:
        first = watermarks.get(conn, run.connection, kind) is None
    known = _find_edited(run, kind, _Known(first, background(run.deps, run.connection, kind)))
    if run.options.dry_run:
        _preview(run, kind, known)
        return
    with run.deps.database.begin() as conn:
        checksums.mark_edited(conn, run.connection, kind, known.edited)
    with kind_lock(run.deps, run.keeper, run.connection, kind):
        _repair(run, kind, known)


def _find_edited(run: ActiveRun, kind: Kind, known: _Known) -> _Known:
    """The checksum pass of the nightly run. Rows that were hashed with other fields are left alone: the first complete read
    after a release that changed the fields hashes them again."""
    full = known.background.full
    strategy = run.checkpoint.chosen or run.strategy
    if strategy is not Strategy.FULL or full is None or full.shape != checksums.shape_of(kind):
        return known
    began = run.deps.now()
    edited = checksums.find_edited(run.deps.database, run.connection, kind)
    if edited:
        log.warning("edited_here", run=run.id, connection=run.connection, kind=kind, rows=len(edited))
    return known._replace(checked_at=began, edited=edited)


def _repair(run: ActiveRun, kind: Kind, known: _Known) -> None:
    deps, connection = run.deps, run.connection
    _forget_overtaken(run, kind)
    result = _compare(run, kind, known, lambda diff, read_at: _before_write(run, diff, read_at, known))
    news = owe_unknown(deps, connection, kind, result.changes, Cause.RECONCILE)
    if not known.first and result.held is None:
        record_left(deps, connection, run.id, result)
    agreement = agreed(result, unseen=news.unseen)

    def finish(conn: Connection) -> None:
        if known.first and (mark := result.mark(run.source.whole_kinds)) is not None:
            watermarks.put(conn, connection, kind, mark, deps.now())
        _finish(run, conn, result, agreement, len(news.fresh))
        agreements.put(conn, connection, kind, agreement, run_id=run.id, now=deps.now())
        if result.complete and result.held is None:
            full_reads.put(
                conn,
                connection,
                kind,
                run_id=run.id,
                began_at=result.read_at,
                mapping=mapping_of(run.source, kind),
                now=deps.now(),
                checked_at=known.checked_at,
                wrote=result.written.any(),
            )

    run.finish_stage(finish)
    log_failures(connection, result.failures, run.id)
    deps.queue.enqueue(news.fresh)


def _preview(run: ActiveRun, kind: Kind, known: _Known) -> None:
    """Read, judge and confirm as ``_repair`` does, but write only drift rows, each with what it would become."""
    result = _compare(run, kind, known, lambda diff, _: _confirm_deletions(run, diff))
    news = named_news(run.deps, run.connection, kind, result.changes)
    dry_run_named(run, kind, news)
    agreement = agreed(result, unseen=news.unseen, written=False)
    run.finish_stage(lambda conn: _finish(run, conn, result, agreement, len(news.fresh)))


def _compare(run: ActiveRun, kind: Kind, known: _Known, before: Callable[[Diff, datetime], None]) -> BulkResult:
    """A dry run passes on which rows are edited; for a real run they were marked before."""
    return compare_kind(
        run,
        kind,
        lambda resume: _pages_from(run, kind, resume, first=known.first),
        checks=FIRST_LOAD if known.first else RUN,
        before_write=before,
        edited=[row.key for row in known.edited] if run.options.dry_run else (),
    )


def _pages_from(run: ActiveRun, kind: Kind, resume: str | None, *, first: bool) -> Iterator[Page]:
    """What was never read is read from the beginning: a full read may leave out old orders, which never change."""
    if first and resume is None and kind not in run.source.whole_kinds:
        return run.source.delta(kind, None)
    return run.source.full(kind, resume)


def _forget_overtaken(run: ActiveRun, kind: Kind) -> None:
    """While nobody had this run, the kind may have been read as a whole: the pages of this run are older, and would bring
    back what is gone since."""
    if is_overtaken(run, kind):
        restart_read(run)


def _before_write(run: ActiveRun, diff: Diff, read_at: datetime, known: _Known) -> None:
    _confirm_deletions(run, diff)
    rows = len(diff.created) + len(diff.changed) + len(diff.vanished)
    run.progress.batch = f"writing {rows} of {diff.read} {diff.kind} rows"
    run.save()
    if not known.first:
        record_drift(run.deps, run.connection, run.id, diff, read_at, known.background)


def _confirm_deletions(run: ActiveRun, diff: Diff) -> None:
    """A deep run fetches every vanished row by its id. Rows that the source does not show to be gone stay, and those whose
    fetch it refuses."""
    if not run.options.deep or diff.kind is Kind.STOCK:  # stock that vanished is zero, not deleted
        return
    gone: set[Key] = set()
    for ids in batches(sorted({key[0] for key in diff.vanished}), run.source.batch_size(diff.kind)):
        gone.update(_gone(run, [Ref(diff.kind, id) for id in ids]))
        run.progress.batch = f"confirming {len(diff.vanished)} deletions"
        run.save()
    diff.vanished = [key for key in diff.vanished if key in gone]


def _gone(run: ActiveRun, refs: Sequence[Ref]) -> Sequence[Key]:
    began = run.deps.now()
    try:
        answer = with_retries(run, partial(run.source.fetch, refs))
    except AuthRejected:
        raise
    except (Permanent, Unavailable, BadAnswer) as error:
        if isinstance(error, Transient):
            run.check_fault(refs[0].kind, error, [ref.external_id for ref in refs])
        log.warning("deletions_not_confirmed", run=run.id, items=len(refs), error=str(error))
        return ()
    read = read_of(msgspec.structs.replace(answer, covers=sure_scopes(answer)), began)
    with run.deps.database.read() as conn:
        return catalog.ending(conn, run.connection, refs[0].kind, read, run.deps.now())


def _finish(run: ActiveRun, conn: Connection, result: BulkResult, agreement: Agreed, owed: int) -> None:
    finish_comparison(run, conn, result)
    kind = result.diff.kind
    run.count(kind, KindCounts(owed=owed))
    counts = run.counts_of(kind)
    counts.read, counts.held, counts.agreement = result.diff.read, result.held, agreement.share
    if result.held_rules:
        counts.held_rules = result.held_rules
    if agreement.unknown is not None:
        counts.agreement_unknown = agreement.unknown
    if result.nameless:
        counts.incomplete = f"{result.nameless} unreadable records without an id: nothing was taken for deleted"
