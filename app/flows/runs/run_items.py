"""Fetches some items of a run by id: one that fails does not fail its neighbours, and a dry run writes none of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec
from sqlalchemy import Connection

from app.domain import Answer, BadRecord, Cause, Change, ItemKey, Kind, Record, Ref, batches, item_of
from app.errors import BadAnswer, DatabaseFault, Permanent, RateLimited, Unavailable
from app.flows.items.bad_records import (
    Failure,
    log_failures,
    record_failures,
    storable_ones,
    sure_scopes,
    unread,
)
from app.flows.items.doubted_items import ItemReads
from app.flows.items.fetched import read_of
from app.flows.items.fetching import apply_answer
from app.flows.items.held_items import split
from app.flows.runs.dry_run import Effects, would_write
from app.flows.runs.retrying import with_retries
from app.flows.runs.run_state import ActiveRun, Stopped
from app.rules.runs.kind_counts import KindCounts
from app.stores import owed
from app.stores.catalog import Applied
from app.stores.runs import drift, failed_items
from app.stores.runs.drift import HELD

WRITTEN_AT_ONCE = 1_000
"""Items of an answer that are written in one commit."""


def fetch_some(run: ActiveRun, refs: Sequence[Ref]) -> None:
    """Fetch items of one kind and apply them, or in a dry run write down what that would change.

    A batch is split only where its items are at fault: while the vendor is down, single calls would fail too.
    """
    began = run.deps.now()
    try:
        answer = with_retries(run, partial(run.source.fetch, refs))
    except (Stopped, DatabaseFault, RateLimited):
        raise
    except Exception as error:
        listed = refs[0].kind in run.source.listed_kinds  # then it is the list's failure, of whichever items
        run.check_fault(refs[0].kind, error, [] if listed else [ref.external_id for ref in refs])
        if listed:
            raise
        if len(refs) == 1:
            done = _Done(run, refs, [Failure(refs[0], error)])
            run.commit(done.note)
            done.over()
        elif isinstance(error, (Permanent, Unavailable, BadAnswer)):
            for ref in refs:
                fetch_some(run, [ref])
        else:
            raise
        return
    for part in batches(refs, WRITTEN_AT_ONCE):
        _write_down(run, part, _about(part, answer, whole=len(part) == len(refs)), began)


def _about(refs: Sequence[Ref], answer: Answer, *, whole: bool) -> Answer:
    """The part of an answer that is about some of its items."""
    if whole:
        return answer
    ids = {ref.external_id for ref in refs}
    return Answer(
        [record for record in answer.records if item_of(record) in ids],
        gone=[ref for ref in answer.gone if ref in refs],
        not_yet=[ref for ref in answer.not_yet if ref in refs],
        covers=[scope for scope in answer.covers if scope.value in ids],
        failed=[bad for bad in answer.failed if not bad.owner or bad.owner in ids],
    )


def _write_down(run: ActiveRun, refs: Sequence[Ref], answer: Answer, began: datetime) -> None:
    """Write the rows of an answer that the guard accepts; records that cannot be stored are noted."""
    failures = [unread(bad) for bad in answer.failed]
    sure = msgspec.structs.replace(answer, covers=sure_scopes(answer))
    good, doubtful = _judged(run, refs[0].kind, sure, began)
    late = set(answer.not_yet)
    done = _Done(run, refs, failures, [ref.external_id for ref in refs if ref not in late], answer.not_yet)
    if run.options.dry_run:
        _preview(run, began, good, doubtful, done)
    else:
        _apply(run, began, good, done)
    done.over()


def _judged(run: ActiveRun, kind: Kind, answer: Answer, began: datetime) -> tuple[Answer, Answer | None]:
    """The part of an answer that is accepted, and the part that is held now (in a dry run: would be held)."""
    if run.options.force:
        return answer, None
    so_far = run.foreseen() if run.options.dry_run else None
    reads = [read_of(answer, began)]
    judged = ItemReads(run.deps, run.connection, kind, reads, run.id, foreseen=so_far, believed=run.rehearsed)
    held = judged.held()
    if held is None:
        return answer, None
    run.hold(kind, len(held.keys), held.reason, held.rules)
    return split(answer, held)


def _apply(run: ActiveRun, began: datetime, answer: Answer, done: "_Done") -> None:
    """Write an answer in the commit that notes the batch as done: a run that dies here or there counts no row twice."""

    def work(conn: Connection, answer: Answer) -> None:
        run.count(done.kind, _write(run, began, answer, conn).counts)
        done.note(conn)

    try:
        run.commit(partial(work, answer=answer))
    except (Stopped, DatabaseFault):
        raise
    except Exception:
        answer = _storable(run, began, answer, done)
        run.commit(partial(work, answer=answer))


def _storable(run: ActiveRun, began: datetime, answer: Answer, done: "_Done") -> Answer:
    """An answer without the records that cannot be written: these are shown and cannot be read, and fail."""

    def attempt(conn: Connection, some: Sequence[Record]) -> None:
        _write(run, began, Answer(records=some), conn)

    records, failures = storable_ones(run.deps, answer.records, attempt)
    done.failures += failures
    bad = [BadRecord(failure.ref.kind, failure.shown, "", failure.ref.external_id) for failure in failures]
    return msgspec.structs.replace(answer, records=records, failed=[*answer.failed, *bad])


def _preview(run: ActiveRun, began: datetime, answer: Answer, doubtful: Answer | None, done: "_Done") -> None:
    """Write down what would be written, and what would be held, in the commit that notes the batch as done."""
    work = partial(_write, run, began)
    try:
        rows, counts = would_write(run.deps, run.connection, partial(work, answer))
    except (Stopped, DatabaseFault):
        raise
    except Exception:
        answer = _storable(run, began, answer, done)
        rows, counts = would_write(run.deps, run.connection, partial(work, answer))
    if doubtful is not None:
        beyond, _ = would_write(run.deps, run.connection, partial(work, doubtful))
        rows += [row._replace(cause=HELD) for row in beyond]

    def save(conn: Connection) -> None:
        drift.write_anew(conn, run.id, run.connection, rows, now=run.deps.now())
        run.count(done.kind, counts)
        done.note(conn)

    run.commit(save)


@dataclass
class _Done:
    """What a run notes of a batch of items when it is done with them: which failed, which are synced now (``readable``), and
    which the source does not show (``late``): the item path asks for these again, later and later."""

    run: ActiveRun
    refs: Sequence[Ref]
    failures: list[Failure]
    readable: Sequence[str] = ()
    late: Sequence[Ref] = ()
    fresh: Sequence[ItemKey] = ()

    @property
    def kind(self) -> Kind:
        """The kind of the items."""
        return self.refs[0].kind

    def note(self, conn: Connection) -> None:
        """Note it in a commit of the run, and move the checkpoint behind the batch."""
        run = self.run
        failing = {failure.ref.external_id for failure in self.failures}
        if not run.options.dry_run:
            now = run.deps.now()
            well = [id for id in self.readable if id not in failing]
            failed_items.resolve(conn, run.connection, self.kind, well, now)
            changes = [Change(*ref) for ref in self.late]
            self.fresh = owed.owe(conn, run.connection, changes, Cause.RECONCILE, now)
        note_failures(run, conn, self.failures)
        processed = max(0, len(self.refs) - len(self.failures))
        run.count(self.kind, KindCounts(processed=processed, owed=len(self.late) or None))
        run.checkpoint.after = self.refs[-1].external_id

    def over(self) -> None:
        """After the commit: send messages for what is owed, and stop where the run must."""
        self.run.deps.queue.enqueue(self.fresh)
        log_failures(self.run.connection, self.failures, self.run.id)
        self.run.check_stopping()
        self.run.check_connection()


def _write(run: ActiveRun, began: datetime, answer: Answer, conn: Connection) -> Effects:
    applied, closed = apply_answer(conn, run.connection, answer, began, run.deps.now(), run.writer)
    counts = counts_of_applied(applied)
    counts.deleted = len(closed) + len(answer.gone)
    return Effects(answer.records, set(applied.written), closed, answer.gone, counts)


def counts_of_applied(applied: Applied) -> KindCounts:
    """What became of applied records, as a run counts it."""
    unchanged = applied.unchanged + applied.touched
    return KindCounts(created=applied.created, updated=applied.updated, unchanged=unchanged)


def note_failures(run: ActiveRun, conn: Connection, failures: Sequence[Failure]) -> None:
    """Note and count items that failed while the run goes on; a dry run only counts them."""
    if not run.options.dry_run:
        record_failures(run.deps, conn, run.connection, failures, run.id)
    for failure in failures:
        run.count(failure.ref.kind, KindCounts(processed=1, failed=1))
