"""A leg that reads items by id: those out of stock, those of a category, orders of some days, those that failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from app.domain import Answer, Kind, Ref, Strategy, batches
from app.errors import AuthRejected
from app.flows.course import Course, Stopped
from app.flows.fetching import bring
from app.flows.read_pages import note_failure
from app.flows.rehearse import Effects, rehearse
from app.flows.steady import tried
from app.rules.strategies import RECENT_ORDERS, Leg
from app.stores import catalog, critical, drift, failed_items
from app.stores.catalog import Applied


def read_items(course: Course, leg: Leg) -> None:
    """Fetch the items batch by batch; one that fails alone is noted, and the others go on."""
    after = course.checkpoint.after
    ids = [id for id in sorted(_wanted(course, leg.kind)) if after is None or id > after][: course.left()]
    course.expect(course.progress.processed - course.checkpoint.begun + len(ids))
    for some in batches(ids, course.source.batch_size(leg.kind)):
        course.progress.batch = f"{leg.kind} {some[0]} to {some[-1]}"
        _batch(course, [Ref(leg.kind, id) for id in some])
        course.checkpoint.after = some[-1]
    course.saved()


def _wanted(course: Course, kind: Kind) -> Sequence[str]:
    """The ids that the run's strategy means, of one kind."""
    with course.deps.database.read() as conn:
        return _IDS[course.strategy](course, conn, kind)


def _critical(course: Course, conn: Connection, kind: Kind) -> Sequence[str]:
    return _of_listings(conn, course, kind, critical.ids(conn, course.connection, None))


def _of_category(course: Course, conn: Connection, kind: Kind) -> Sequence[str]:
    return _of_listings(
        conn, course, kind, catalog.of_category(conn, course.connection, course.options.category or "")
    )


def _of_listings(conn: Connection, course: Course, kind: Kind, listings: Sequence[str]) -> Sequence[str]:
    """Stock is asked for by listing, products by what the source calls an item: the parent where there is one."""
    return listings if kind is Kind.STOCK else catalog.items_of(conn, course.connection, listings)


def _orders_of_days(course: Course, conn: Connection, kind: Kind) -> Sequence[str]:
    """Orders of the days asked for that we lack; all of them with ``force``."""
    last = course.options.last or course.deps.now().date()
    first = course.options.first or last - RECENT_ORDERS
    named = [id for _, id in tried(course, lambda: list(course.source.order_ids(first, last)))]
    if course.options.force:
        return named
    known = catalog.versions(conn, course.connection, Kind.ORDER, named)
    return [id for id in named if id not in known]


def _failed_before(course: Course, conn: Connection, kind: Kind) -> Sequence[str]:
    return [ref.external_id for ref in failed_items.open_refs(conn, course.connection) if ref.kind is kind]


_IDS: Mapping[Strategy, Callable[[Course, Connection, Kind], Sequence[str]]] = {
    Strategy.CRITICAL: _critical,
    Strategy.CATEGORY: _of_category,
    Strategy.ORDERS: _orders_of_days,
    Strategy.DAILY: _orders_of_days,
    Strategy.RETRY: _failed_before,
}


def _batch(course: Course, refs: Sequence[Ref]) -> None:
    try:
        began = course.deps.now()
        answer = tried(course, partial(course.source.fetch, refs))
        (_rehearse if course.options.dry_run else _apply)(course, refs, answer, began)
    except (Stopped, AuthRejected):  # refused credentials are no item's fault
        raise
    except Exception as error:
        if len(refs) > 1:
            for ref in refs:
                _batch(course, [ref])
        else:
            note_failure(course, refs[0], error)


def _apply(course: Course, refs: Sequence[Ref], answer: Answer, began: datetime) -> None:
    with course.turn() as conn:
        effects, applied = _write(course, conn, answer, began)
        failed_items.resolve(conn, course.connection, refs[0].kind, _readable(refs, answer), course.deps.now())
        _count(course, refs, effects, applied)
        course.checkpoint.after = refs[-1].external_id


def _write(course: Course, conn: Connection, answer: Answer, began: datetime) -> tuple[Effects, Applied]:
    applied, closed = bring(conn, course.connection, answer, began, course.deps.now())
    return Effects(answer.records, set(applied.written), closed, answer.gone), applied


def _rehearse(course: Course, refs: Sequence[Ref], answer: Answer, began: datetime) -> None:
    done: list[tuple[Effects, Applied]] = []

    def work(conn: Connection) -> Effects:
        done.append(_write(course, conn, answer, began))
        return done[0][0]

    rows = rehearse(course.deps, course.connection, work)
    with course.turn() as conn:
        drift.write(conn, course.id, course.connection, rows, now=course.deps.now())
        _count(course, refs, *done[0])
        course.checkpoint.after = refs[-1].external_id


def _count(course: Course, refs: Sequence[Ref], effects: Effects, applied: Applied) -> None:
    course.count(
        refs[0].kind,
        processed=len(refs),
        created=applied.created,
        updated=applied.updated,
        unchanged=applied.unchanged + applied.touched,
        deleted=len(effects.closed) + len(effects.gone),
    )


def _readable(refs: Sequence[Ref], answer: Answer) -> list[str]:
    late = set(answer.not_yet)
    return [ref.external_id for ref in refs if ref not in late]
