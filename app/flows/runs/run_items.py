"""Some items of a run, asked for by id: each failure is told from its neighbours', and a dry run takes all of it back."""

from __future__ import annotations

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
from app.flows.items.doubted_items import held_items, split
from app.flows.items.fetching import apply_answer, read_of
from app.flows.runs.dry_run import Effects, rehearse
from app.flows.runs.retrying import tried
from app.flows.runs.run_state import Course, Stopped
from app.stores.catalog import Applied
from app.stores.runs import drift, failed_items

WRITTEN_AT_ONCE = 1_000
"""Items of an answer that are written in one commit."""


def fetch_some(course: Course, refs: Sequence[Ref]) -> None:
    """Fetch items of one kind and apply them, or in a dry run say what that would change. Only a batch that fails for
    its items' sake is split: while the vendor is down, or the kind is not answered, single calls would fare no better."""
    began = course.deps.now()
    try:
        answer = tried(course, partial(course.source.fetch, refs))
    except (Stopped, DatabaseFault, RateLimited):
        raise
    except Exception as error:
        listed = refs[0].kind in course.source.listed_kinds  # then it is the list's failure, of whichever items
        course.judge(refs[0].kind, error, [] if listed else [ref.external_id for ref in refs])
        if listed:
            raise
        if len(refs) == 1:
            _done(course, refs, [Failure(refs[0], error)])
        elif isinstance(error, (Permanent, Unavailable, BadAnswer)):
            for ref in refs:
                fetch_some(course, [ref])
        else:
            raise
        return
    for part in batches(refs, WRITTEN_AT_ONCE):
        _write_down(course, part, _about(part, answer, whole=len(part) == len(refs)), began)


def _about(refs: Sequence[Ref], answer: Answer, *, whole: bool) -> Answer:
    """What an answer says of some of the items that it is about."""
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


def _write_down(course: Course, refs: Sequence[Ref], answer: Answer, began: datetime) -> None:
    """Bring what is believed of an answer into the catalog; records that cannot be stored are noted, and the others are
    written."""
    failures = [unread(bad) for bad in answer.failed]
    sure = msgspec.structs.replace(answer, covers=sure_scopes(answer))
    write = partial(_rehearse if course.options.dry_run else _apply, course, refs[0].kind, began)
    good, doubtful = _judged(course, refs[0].kind, sure, began)
    try:
        write(good)
    except (Stopped, DatabaseFault):
        raise
    except Exception:
        failures += _one_by_one(good, write)
    if course.options.dry_run and doubtful is not None:
        _rehearse(course, refs[0].kind, began, doubtful, held=True)
    _done(course, refs, failures, _readable(refs, answer))


def _judged(course: Course, kind: Kind, answer: Answer, began: datetime) -> tuple[Answer, Answer | None]:
    """What of an answer is believed, and the rest, which is held now (in a dry run: would be)."""
    if course.options.force:
        return answer, None
    so_far = course.foreseen() if course.options.dry_run else None
    reads = [read_of(answer, began)]
    held = held_items(
        course.deps, course.connection, kind, reads, run_id=course.id, foreseen=so_far, believed=course.rehearsed
    )
    if held is None:
        return answer, None
    course.held(kind, len(held.keys), held.reason, held.rules)
    return split(answer, held)


def _one_by_one(answer: Answer, write: Callable[[Answer], None]) -> list[Failure]:
    """Write the records of an answer that can be stored, and then what it says is gone; returns the others."""
    failures: list[Failure] = []
    isolated(
        answer.records,
        lambda some: write(Answer(records=some)),
        lambda record, error: failures.append(unstorable(record, error)),
        (Stopped,),
    )
    shown = [BadRecord(KINDS[type(record)], key_of(record)[0], "") for record in answer.records]
    write(Answer(gone=answer.gone, covers=answer.covers, failed=[*answer.failed, *shown]))
    return failures


def _done(course: Course, refs: Sequence[Ref], failures: Sequence[Failure], readable: Sequence[str] = ()) -> None:
    """Note what failed of a batch, and that the others are synced now; the batch is behind us."""
    failing = {failure.ref.external_id for failure in failures}
    well = [id for id in readable if id not in failing]

    def finish(conn: Connection) -> None:
        if not course.options.dry_run:
            failed_items.resolve(conn, course.connection, refs[0].kind, well, course.deps.now())
        note_failures(course, conn, failures)
        course.count(refs[0].kind, processed=max(0, len(refs) - len(failures)))
        course.checkpoint.after = refs[-1].external_id

    course.commit(finish)
    log_failures(course.connection, failures, course.id)
    course.go_on()
    course.may_ask()


def _apply(course: Course, kind: Kind, began: datetime, answer: Answer) -> None:
    course.commit(lambda conn: _count(course, kind, *_write(course, conn, answer, began)))


def _write(course: Course, conn: Connection, answer: Answer, began: datetime) -> tuple[Effects, Applied]:
    applied, closed = apply_answer(conn, course.connection, answer, began, course.deps.now())
    return Effects(answer.records, set(applied.written), closed, answer.gone), applied


def _rehearse(course: Course, kind: Kind, began: datetime, answer: Answer, *, held: bool = False) -> None:
    done: list[tuple[Effects, Applied]] = []

    def work(conn: Connection) -> Effects:
        done.append(_write(course, conn, answer, began))
        return done[-1][0]

    rows = rehearse(course.deps, course.connection, work)

    def save(conn: Connection) -> None:
        told = [row._replace(cause=drift.HELD) for row in rows] if held else rows
        drift.write_anew(conn, course.id, course.connection, told, now=course.deps.now())
        if not held:
            _count(course, kind, *done[-1])

    course.commit(save)


def _count(course: Course, kind: Kind, effects: Effects, applied: Applied) -> None:
    course.count(
        kind,
        created=applied.created,
        updated=applied.updated,
        unchanged=applied.unchanged + applied.touched,
        deleted=len(effects.closed) + len(effects.gone),
    )


def _readable(refs: Sequence[Ref], answer: Answer) -> list[str]:
    late = set(answer.not_yet)
    return [ref.external_id for ref in refs if ref not in late]


def note_failures(course: Course, conn: Connection, failures: Sequence[Failure]) -> None:
    """Items that failed alone: they are noted and counted, and the run goes on. A dry run only counts."""
    if not course.options.dry_run:
        record_failures(course.deps, conn, course.connection, failures, course.id)
    for failure in failures:
        course.count(failure.ref.kind, processed=1, failed=1)
