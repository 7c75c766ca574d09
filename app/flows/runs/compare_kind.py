"""Compares a kind with what its source shows, and repairs what differs or (a dry run) writes it down; says how true our
copy is then."""

from collections.abc import Callable, Collection, Iterator, Set
from functools import partial

from sqlalchemy import Connection

from app.domain import Kind, Page
from app.flows.items.bad_records import record_failures
from app.flows.items.bulk_read import BeforeWrite, BulkRead, BulkResult
from app.flows.runs.drift import record_drift
from app.flows.runs.resumable import drop, restart_read, resumable_pages
from app.flows.runs.run_state import ActiveRun
from app.rules.drift.agreement import Agreed
from app.rules.guard.guard import NOTHING
from app.rules.runs.kind_counts import KindCounts
from app.stores.catalog import Key
from app.stores.catalog.bulk import Written
from app.stores.runs import failed_items
from app.stores.runs.drift import DRY_RUN, HELD


def compare_kind(
    run: ActiveRun,
    kind: Kind,
    pages_from: Callable[[str | None], Iterator[Page]],
    *,
    checks: Set[str],
    before_write: BeforeWrite | None = None,
    edited: Collection[Key] = (),
) -> BulkResult:
    """Read ``pages_from`` the place where the run stopped, let the guard judge with these ``checks`` (with ``force``: none),
    and write the rows that it accepts. ``before_write`` and ``edited`` are those of ``BulkRead``."""
    is_dry = run.options.dry_run
    result = BulkRead(
        run.deps,
        run.connection,
        kind,
        resumable_pages(run, kind, pages_from),
        run.writer,
        run_id=None if is_dry else run.id,
        checks=NOTHING if run.options.force else checks,
        before_write=before_write,
        began=run.read_began,
        restart=partial(restart_read, run),
        on_commit=run.on_written(kind),
        foreseen=run.foreseen() if is_dry else None,
        edited=edited,
    ).reconcile()
    if is_dry:
        record_drift(run.deps, run.connection, run.id, result.diff, result.read_at, cause=DRY_RUN)
        if result.doubtful is not None:
            record_drift(run.deps, run.connection, run.id, result.doubtful, result.read_at, cause=HELD)
    return result


def finish_comparison(run: ActiveRun, conn: Connection, result: BulkResult) -> None:
    """Drop the stored pages and count; the real run also notes which records failed and which are well again. What it wrote
    before it was resumed is found equal now, and was counted then."""
    kind = result.diff.kind
    before = run.checkpoint.wrote - (0 if run.options.dry_run else result.written.created + result.written.updated)
    drop(run, conn)
    if not run.options.dry_run:
        record_failures(run.deps, conn, run.connection, result.failures, run.id)
        failed_items.resolve(conn, run.connection, kind, result.healed, run.deps.now())
    written = result.written if run.options.dry_run else Written()  # a real write was counted when it was written
    run.count(
        kind,
        KindCounts(
            created=written.created,
            updated=written.updated,
            unchanged=max(0, result.diff.unchanged + len(result.diff.touched) - before),
            deleted=written.deleted,
            failed=len(result.failures),
        ),
    )
    run.progress.held += result.held_rows


def agreed(result: BulkResult, *, unseen: int = 0, written: bool = True) -> Agreed:
    """How true our copy is according to a read: after its write, or (not ``written``) as it is now.

    The agreement is unknown if the read was held, if we had nothing before it, or if it only named rows that are new to us
    (``unseen``): these still have to be fetched.
    """
    diff, wrote = result.diff, result.written
    differing = len(diff.created) + len(diff.changed) + len(diff.vanished)
    passed_gone = sum(record.deleted for record in diff.passed)
    only_here = len(diff.unshown) + len(wrote.kept) + passed_gone + (0 if written else len(diff.vanished))
    rows = diff.read - diff.gone + only_here + len(result.failures) - len(wrote.failed)
    if (unknown := _unknown(result, unseen)) is not None:
        return Agreed(rows, None, differing, unknown)
    left = only_here + len(diff.passed) - passed_gone + len(wrote.refused) + len(result.failures)
    left += 0 if written else len(diff.created) + len(diff.changed)
    return Agreed(rows, max(0, rows - left), differing)


def _unknown(result: BulkResult, unseen: int) -> str | None:
    if result.held:
        return f"the read was held: {result.held}"
    if unseen:
        return f"{unseen} rows were only named, and still have to be fetched"
    return None if result.diff.total_local else "nothing was stored before: there was nothing to compare"
