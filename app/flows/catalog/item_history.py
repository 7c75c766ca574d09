"""Why is this 3? Every change of an item's stock, price, cost, status or reorder point, and what brought it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.domain import ALL_ITEMS, ON_HAND, Cause, ItemKey, Kind
from app.flows.catalog.items import ItemId, show
from app.flows.deps import Deps
from app.rules.describing import money_text
from app.stores import history
from app.stores.catalog.naming import location_names
from app.stores.history import AppliedChange
from app.stores.inbox import brought

MOST_EXPLAINED = 50
"""For so many changes of a page the deliveries are looked up that brought them."""


class ItemChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change: ``fields`` has the tracked values before and after, ``changed_at`` is when it happened at the source and
    ``recorded_at`` when it was written here. ``written_by`` is what brought it (``tables.SyncColumns``), ``events`` are the
    deliveries that named the item, by number."""

    id: int
    op: str
    changed_at: datetime
    recorded_at: datetime
    location_id: str | None
    location: str | None
    state: str | None
    fields: Mapping[str, tuple[Any, Any]]
    currency: str | None
    written_by: str | None
    events: list[int]
    says: str


class ItemHistory(msgspec.Struct, frozen=True):
    """A page of changes, newest first. ``known_since`` is when the history of counts begins; ``next`` is the place of the
    next page, ``None`` on the last one."""

    item: str
    known_since: datetime | None
    rows: list[ItemChange]
    next: str | None


class CountView(msgspec.Struct, frozen=True):
    """A count as it was; ``since`` is when it became so, ``None`` if that was before our history begins."""

    location_id: str
    location: str | None
    state: str
    quantity: Decimal
    since: datetime | None


class StockAsOf(msgspec.Struct, frozen=True):
    """Stock as it was at a moment; ``on_hand`` is the sum over all locations. Before ``known_since`` nothing is known: then
    there are no counts."""

    item: str
    as_of: datetime
    known_since: datetime | None
    on_hand: Decimal | None
    counts: list[CountView]


def item_history(deps: Deps, item: ItemId, *, limit: int = 50, before: str | None = None) -> ItemHistory:
    """A page of an item's changes; ``before`` is the ``next`` of the page before. Raises ``NotFound``, and
    ``InvalidRequest`` for a ``before`` that is none."""
    parent = show(deps, item).parent_id
    place = None if before is None else history.place_of(before)
    with deps.database.read() as conn:
        rows = history.of_item(conn, item.connection, [item.external_id], before=place, limit=limit + 1)
        names = location_names(conn, item.connection)
        since = history.known_since(conn, item.connection, item.external_id)
        owners = [id for id in (item.external_id, parent) if id is not None]
        changes = [
            _change(row, names, _events(conn, row, owners) if place_ < MOST_EXPLAINED else [])
            for place_, row in enumerate(rows[:limit])
        ]
    following = history.place_text(rows[limit - 1]) if len(rows) > limit else None
    return ItemHistory(str(item), since, changes, following)


def stock_as_of(deps: Deps, item: ItemId, moment: datetime) -> StockAsOf:
    """What an item's stock was at a moment; raises ``NotFound``."""
    show(deps, item)
    with deps.database.read() as conn:
        since = history.known_since(conn, item.connection, item.external_id)
        counts = history.stock_as_of(conn, item.connection, item.external_id, moment)
        names = location_names(conn, item.connection)
    is_known = since is not None and moment >= since
    views = [
        CountView(count.location_id, names.get(count.location_id), count.state, count.quantity, count.since)
        for count in counts
        if count.quantity is not None and (is_known or count.since is not None)
    ]
    on_hand = [view.quantity for view in views if view.state == ON_HAND and is_known]
    return StockAsOf(str(item), moment, since, sum(on_hand, Decimal()) if on_hand else None, views)


def _events(conn: Connection, row: AppliedChange, owners: Sequence[str]) -> list[int]:
    """The deliveries behind a change that was brought by fetching or pulling what was owed."""
    if row.written_by not in tuple(Cause):
        return []
    keys = [ItemKey(row.connection, kind, id) for kind in (Kind.PRODUCT, Kind.STOCK) for id in (*owners, ALL_ITEMS)]
    return brought.deliveries(conn, keys, row.recorded_at)


def _change(row: AppliedChange, names: Mapping[str, str], events: list[int]) -> ItemChange:
    location = names.get(row.location_id or "")
    fields = row.differences()
    same = {name: getattr(row, name) for name in ItemChange.__struct_fields__ if name in AppliedChange._fields}
    where = f" at {location or row.location_id}" if row.location_id else ""
    what = ", ".join(
        f"{_named(row, name)}{where} {_shown(row, name, a)} → {_shown(row, name, b)}"
        for name, (a, b) in fields.items()
    )
    return ItemChange(**same, location=location, fields=fields, events=events, says=what or row.op)


def _named(row: AppliedChange, field: str) -> str:
    name = row.state if field == "quantity" and row.state else field
    return name.replace("_", " ")


def _shown(row: AppliedChange, field: str, value: Any) -> str:
    if value is not None and field in ("price", "cost"):
        value = money_text(value, row.currency)
    return "-" if value is None else str(value)
