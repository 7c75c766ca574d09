"""A leg that reads items by id: those out of stock, those of a category, orders of some days, those that failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from app.domain import Kind, Ref, Strategy, batches
from app.flows.runs.retrying import tried
from app.flows.runs.run_items import fetch_some
from app.flows.runs.run_state import Course
from app.rules.runs.strategies import RECENT_ORDERS, Leg
from app.stores import catalog
from app.stores.catalog import critical
from app.stores.runs import failed_items


def read_items(course: Course, leg: Leg) -> None:
    """Fetch the items batch by batch; one that fails alone is noted, and the others go on."""
    after = course.checkpoint.after
    ids = [id for id in sorted(_wanted(course, leg.kind)) if after is None or id > after][: course.left()]
    course.expect(course.progress.processed - course.checkpoint.begun + len(ids))
    for some in batches(ids, _at_once(course, leg.kind, len(ids))):
        course.progress.batch = f"{leg.kind} {some[0]} to {some[-1]}"
        fetch_some(course, [Ref(leg.kind, id) for id in some])
        course.checkpoint.after = some[-1]
    course.saved()


def _at_once(course: Course, kind: Kind, ids: int) -> int:
    """How many items to ask for in one call: all of them, where any call reads the vendor's whole list."""
    return max(1, ids) if kind in course.source.listed_kinds else course.source.batch_size(kind)


def _wanted(course: Course, kind: Kind) -> Sequence[str]:
    """The ids that the run's strategy means, of one kind."""
    return _IDS[course.strategy](course, kind)


def _critical(course: Course, kind: Kind) -> Sequence[str]:
    with course.deps.database.read() as conn:
        listings = course.chosen(lambda: critical.ids(conn, course.connection, None))
        return _of_listings(conn, course, kind, listings)


def _of_category(course: Course, kind: Kind) -> Sequence[str]:
    with course.deps.database.read() as conn:
        listings = course.chosen(lambda: catalog.of_category(conn, course.connection, course.options.category or ""))
        return _of_listings(conn, course, kind, listings)


def _of_listings(conn: Connection, course: Course, kind: Kind, listings: Sequence[str]) -> Sequence[str]:
    """Stock is asked for by listing, products by what the source calls an item: the parent where there is one."""
    return listings if kind is Kind.STOCK else catalog.items_of(conn, course.connection, listings)


def _orders_of_days(course: Course, kind: Kind) -> Sequence[str]:
    """Orders of the days asked for that we lack; all of them with ``force``."""
    last = course.options.last or course.deps.now().date()
    first = course.options.first or last - RECENT_ORDERS
    named = [id for _, id in tried(course, lambda: list(course.source.order_ids(first, last)))]
    if course.options.force:
        return named
    with course.deps.database.read() as conn:
        known = catalog.versions(conn, course.connection, Kind.ORDER, named)
    return [id for id in named if id not in known]


def _failed_before(course: Course, kind: Kind) -> Sequence[str]:
    with course.deps.database.read() as conn:
        return [id for id in failed_items.open_ids(conn, course.connection, kind) if id]


_IDS: Mapping[Strategy, Callable[[Course, Kind], Sequence[str]]] = {
    Strategy.CRITICAL: _critical,
    Strategy.CATEGORY: _of_category,
    Strategy.ORDERS: _orders_of_days,
    Strategy.DAILY: _orders_of_days,
    Strategy.RETRY: _failed_before,
}
