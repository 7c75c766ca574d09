"""A stage that reads items by id: items out of stock or of a category, orders of some days, items that failed."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from app.domain import Kind, Ref, Strategy, batches
from app.flows.runs.retrying import with_retries
from app.flows.runs.run_items import fetch_some
from app.flows.runs.run_state import ActiveRun
from app.rules.runs.strategies import RECENT_ORDERS, Stage
from app.stores import catalog
from app.stores.catalog import critical
from app.stores.runs import failed_items


def read_items(run: ActiveRun, stage: Stage) -> None:
    """Fetch the items batch by batch; an item that fails by itself is noted, and the others are synced."""
    after = run.checkpoint.after
    ids = [id for id in sorted(_IDS[run.strategy](run, stage.kind)) if after is None or id > after][: run.remaining()]
    run.expect(run.progress.processed - run.checkpoint.begun + len(ids))
    for some in batches(ids, _at_once(run, stage.kind, len(ids))):
        run.progress.batch = f"{stage.kind} {some[0]} to {some[-1]}"
        fetch_some(run, [Ref(stage.kind, id) for id in some])
        run.checkpoint.after = some[-1]
    run.save()


def _at_once(run: ActiveRun, kind: Kind, ids: int) -> int:
    """Items to fetch in one call: all of them, where any call reads the vendor's whole list."""
    return max(1, ids) if kind in run.source.listed_kinds else run.source.batch_size(kind)


def _critical(run: ActiveRun, kind: Kind) -> Sequence[str]:
    with run.deps.database.read() as conn:
        listings = run.listings_once(lambda: critical.ids(conn, run.connection, None))
        return _of_listings(conn, run, kind, listings)


def _of_category(run: ActiveRun, kind: Kind) -> Sequence[str]:
    with run.deps.database.read() as conn:
        listings = run.listings_once(lambda: catalog.of_category(conn, run.connection, run.options.category or ""))
        return _of_listings(conn, run, kind, listings)


def _of_listings(conn: Connection, run: ActiveRun, kind: Kind, listings: Sequence[str]) -> Sequence[str]:
    """Stock is fetched by listing, a product by its parent where it has one."""
    return listings if kind is Kind.STOCK else catalog.items_of(conn, run.connection, listings)


def _orders_of_days(run: ActiveRun, kind: Kind) -> Sequence[str]:
    """Orders of the requested days that we lack; with ``force`` all of them."""
    last = run.options.last or run.deps.now().date()
    first = run.options.first or last - RECENT_ORDERS
    named = [id for _, id in with_retries(run, lambda: list(run.source.order_ids(first, last)))]
    if run.options.force:
        return named
    with run.deps.database.read() as conn:
        known = catalog.versions(conn, run.connection, Kind.ORDER, named)
    return [id for id in named if id not in known]


def _failed_before(run: ActiveRun, kind: Kind) -> Sequence[str]:
    with run.deps.database.read() as conn:
        return [id for id in failed_items.open_ids(conn, run.connection, kind) if id]


# The ids of a kind that each strategy selects.
_IDS: Mapping[Strategy, Callable[[ActiveRun, Kind], Sequence[str]]] = {
    Strategy.CRITICAL: _critical,
    Strategy.CATEGORY: _of_category,
    Strategy.ORDERS: _orders_of_days,
    Strategy.DAILY: _orders_of_days,
    Strategy.RETRY: _failed_before,
}
