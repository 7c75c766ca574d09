"""Fetches some items of a run by id: one that fails does not fail its neighbours, and a dry run writes none of them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import msgspec
from sqlalchemy import Connection

from app.domain import KINDS, Answer, BadRecord, Kind, Ref, batches, key_of
from app.errors import BadAnswer, DatabaseFault, Permanent, RateLimited, Unavailable
from app.flows.items.bad_records import (
    Failure,
    isolated,
    item_of,
    log_failures,
    record_failures,
    sure_scopes,
    unread,
    unstorable,
)
from app.flows.items.doubted_items import ItemReads
from app.flows.items.fetching import apply_answer, read_of
from app.flows.items.held_items import split
from app.flows.runs.dry_run import Effects, preview
from app.flows.runs.retrying import with_retries
from app.flows.runs.run_state import ActiveRun, Stopped
from app.rules.runs.kind_counts import KindCounts
from app.stores.catalog import Applied
from app.stores.runs import failed_items

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
            _done(run, refs, [Failure(refs[0], error)])
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
    write = partial(_preview if run.options.dry_run else _apply, run, refs[0].kind, began)
    good, doubtful = _judged(run, refs[0].kind, sure, began)
    try:
        write(good)
    except (Stopped, DatabaseFault):
        raise
    except Exception:
        failures += _one_by_one(good, write)
    if run.options.dry_run and doubtful is not None:
        _preview(run, refs[0].kind, began, doubtful, held=True)
    late = set(answer.not_yet)
    _done(run, refs, failures, [ref.external_id for ref in refs if ref not in late])


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


def _one_by_one(answer: Answer, write: Callable[[Answer], None]) -> list[Failure]:
    """Write the records of an answer that can be stored, then delete what it says is gone; returns the failures."""
    failures: list[Failure] = []
    isolated(
        answer.records,
        lambda some: write(Answer(records=some)),
        lambda record, error: failures.append(unstorable(record, error)),
        (Stopped,),
    )
    shown = [BadRecord(KINDS[type(record)], key_of(record)[0], "", item_of(record)) for record in answer.records]
    write(Answer(gone=answer.gone, covers=answer.covers, failed=[*answer.failed, *shown]))
    return failures


def _done(run: ActiveRun, refs: Sequence[Ref], failures: Sequence[Failure], readable: Sequence[str] = ()) -> None:
    """Note which items of a batch failed and which are synced now, and move the checkpoint behind the batch."""
    failing = {failure.ref.external_id for failure in failures}
    well = [id for id in readable if id not in failing]

    def finish(conn: Connection) -> None:
        if not run.options.dry_run:
            failed_items.resolve(conn, run.connection, refs[0].kind, well, run.deps.now())
        note_failures(run, conn, failures)
        run.count(refs[0].kind, KindCounts(processed=max(0, len(refs) - len(failures))))
        run.checkpoint.after = refs[-1].external_id

    run.commit(finish)
    log_failures(run.connection, failures, run.id)
    run.check_stopping()
    run.check_connection()


def _apply(run: ActiveRun, kind: Kind, began: datetime, answer: Answer) -> None:
    run.commit(lambda conn: run.count(kind, _write(run, began, answer, conn).counts))


def _preview(run: ActiveRun, kind: Kind, began: datetime, answer: Answer, *, held: bool = False) -> None:
    preview(run, partial(_write, run, began, answer), held=held, kind=kind)


def _write(run: ActiveRun, began: datetime, answer: Answer, conn: Connection) -> Effects:
    applied, closed = apply_answer(conn, run.connection, answer, began, run.deps.now())
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
