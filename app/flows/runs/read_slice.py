"""A stage that compares some older rows again, where full reads show only the newest rows of a kind.

Some edits leave the time of change as it was, so no delta shows them. Each night compares the next slice of the rows that
changed in the last two years, so that a month compares all of them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from msgspec import structs
from sqlalchemy import Connection

from app.domain import Answer, BadRecord, Kind, Page, Ref, batches
from app.errors import BadAnswer, Permanent, Unavailable
from app.flows.items.bad_records import log_failures
from app.flows.items.bulk_read import BulkResult
from app.flows.runs.compare_kind import compare_kind, finish_comparison
from app.flows.runs.drift import record_drift, record_left
from app.flows.runs.kind_lock import kind_lock
from app.flows.runs.reasons import background
from app.flows.runs.retrying import with_retries
from app.flows.runs.run_state import ActiveRun
from app.rules.guard.guard import RUN
from app.rules.runs.kind_counts import KindCounts
from app.rules.runs.slices import REACH, nights, rows_of_slice
from app.rules.runs.strategies import Stage
from app.stores.runs import slices
from app.stores.runs.slices import Older, Slice


class _Part(NamedTuple):
    """Tonight's slice: the rows last changed from ``since`` to ``upto``; ``nights`` is how long a whole round takes."""

    since: datetime
    upto: datetime
    nights: int


def read_slice(run: ActiveRun, stage: Stage) -> None:
    """Compare the next slice, repair what differs, and say why it did; with ``dry_run`` only say so."""
    part = _part(run, stage)
    if part is None:
        return
    kind, deps, connection = stage.kind, run.deps, run.connection
    compare = partial(compare_kind, run, kind, lambda resume: _pages_from(run, kind, part, resume), checks=RUN)
    if run.options.dry_run:
        result = compare()
    else:
        known = background(deps, connection, kind)
        with kind_lock(deps, run.keeper, connection, kind):
            result = compare(before_write=partial(record_drift, deps, connection, run.id, known=known))
            record_left(deps, connection, run.id, result)
    run.finish_stage(lambda conn: _finish(run, conn, result, part))
    log_failures(connection, result.failures, run.id)


def _finish(run: ActiveRun, conn: Connection, result: BulkResult, part: _Part) -> None:
    finish_comparison(run, conn, result)
    kind = result.diff.kind
    run.count(kind, KindCounts(compared_again=result.diff.read))
    if result.held is not None:
        run.counts_of(kind).held = result.held
    if not run.options.dry_run:
        done = Slice(part.upto, result.diff.read, part.nights, run.deps.now())
        slices.put(conn, run.connection, kind, done)


# which rows


def _part(run: ActiveRun, stage: Stage) -> _Part | None:
    """The slice that begins where the last one ended and has as many rows as a night compares; a resumed run keeps its end.
    ``None`` where no row is that old."""
    began, until = run.row.created_at, stage.until or run.row.created_at
    with run.deps.database.read() as conn:
        last = slices.get(conn, run.connection, stage.kind)
        every = Older(run.connection, stage.kind, began - REACH, until)
        rows = slices.count(conn, every)
        if not rows:
            return None
        goes_on = last is not None and every.since < last.upto < until
        since = last.upto if last is not None and goes_on else every.since
        size = rows_of_slice(rows, _per_call(run, stage.kind), _calls_a_day(run))
        upto = run.checkpoint.upto or slices.end(conn, every._replace(since=since), size)
    run.checkpoint.upto = upto
    return _Part(since, upto, nights(rows, size))


def _calls_a_day(run: ActiveRun) -> float | None:
    """Calls that the loosest limit allows, because every call counts against it; the others are about lists, which a slice
    rarely reads."""
    return max((limit.a_day for limit in run.source.budget()), default=None)


def _per_call(run: ActiveRun, kind: Kind) -> int:
    return max(1, run.source.batch_size(kind))


# what the source shows


def _pages_from(run: ActiveRun, kind: Kind, part: _Part, resume: str | None) -> Iterator[Page]:
    """The pages of the slice; items that they only name are fetched."""
    for page in run.source.window(kind, part.since, part.upto, resume):
        named = [change.external_id for change in page.changes]
        records, failed = [*page.records], [*page.failed]
        for some in batches(named, _per_call(run, kind)):
            more = _fetched(run, [Ref(kind, id) for id in some])
            records += more.records
            failed += more.failed
        yield structs.replace(page, records=records, failed=failed, changes=[], watermark=None, complete=None)


def _fetched(run: ActiveRun, refs: Sequence[Ref]) -> Answer:
    """Fetch items; if they fail together, each is fetched by itself, so that one bad item does not harm the others."""
    try:
        return with_retries(run, partial(run.source.fetch, refs))
    except (Permanent, Unavailable, BadAnswer) as error:
        run.check_fault(refs[0].kind, error, [ref.external_id for ref in refs])
        if len(refs) == 1:
            return Answer([], failed=[BadRecord(*refs[0], str(error))])
        each = [_fetched(run, [ref]) for ref in refs]
        bad = [failed for one in each for failed in one.failed]
        return Answer([record for one in each for record in one.records], failed=bad)
