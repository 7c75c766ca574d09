"""Deltas: what changed since a watermark, in pages, and what the watermark of each kind is.

Watermarks are Square's own timestamps, verbatim, but never later than our clock minus the overlap, which is
subtracted once more when a watermark is used. Only the last page has one, because no feed except the counts is sorted
by time of change:

    product, category   ``latest_time`` of the first page: the next read finds what changes during this one
    stock               ``calculated_at`` of the newest row, which is the first row of the first page
    order               the newest ``updated_at`` over all locations, none of which was read beyond a common end
    location, vendor    none: there is no filter by time, so every read is a full one
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from app.domain import Change, Kind, Listing, Page, StockCount, batches
from app.sources.square import mapping, mentions, orders, wire
from app.sources.square.catalog_wire import MICROS, CatalogObject, typed
from app.sources.square.client import ORDER_LOCATIONS, Client, Places
from app.sources.square.counts import count
from app.sources.square.isolation import ReadRows, id_in, readable
from app.sources.square.objects import says_deleted
from app.sources.square.times import before, bounded, later, moment_in, text_of
from app.sources.square.walk import Mark, Read

CATALOG_OVERLAP = timedelta(seconds=2)
STOCK_OVERLAP = timedelta(seconds=30)
ORDER_OVERLAP = timedelta(minutes=2)
END_SLACK = timedelta(seconds=5)
"""A Date header is truncated to the second and may be a second old. Must stay below ``ORDER_OVERLAP``, which repairs it."""
BEGINNING = "1970-01-01T01:00:00Z"
"""The watermark of a feed without any rows yet."""
FIRST_ORDERS = timedelta(days=90)


def touched_items(client: Client, since: str) -> Iterator[Page]:
    """Every item of which the item itself or a variation was created, changed or deleted, at least once; and every
    object that items mention.

    Deleted items come without their variations, which come as rows of their own; a row that names no item is applied
    as it is. Both types are requested, because either can change alone.
    """
    types = ("ITEM", "ITEM_VARIATION", *mentions.TYPES)
    yield from _touched(client, since, partial(_touched_items, {}), *types)


def touched_categories(client: Client, since: str) -> Iterator[Page]:
    """Categories that were created, changed or deleted."""
    yield from _touched(client, since, categories_of, "CATEGORY")


def counts(client: Client, since: str) -> Iterator[Page]:
    """Counts calculated since. Never complete: an absent count means "nothing known", not zero.

    Rows that change during the walk move to its front, where it has passed; they are newer than the watermark.
    """
    since = bounded(since, client.now(), STOCK_OVERLAP)
    replies = client.counts({"updated_after": before(since, STOCK_OVERLAP)})
    yield from _marked(client, replies, counts_page, counts_mark, since)


DELTAS: Mapping[Kind, Callable[[Client, str], Iterator[Page]]] = {
    Kind.PRODUCT: touched_items,
    Kind.CATEGORY: touched_categories,
    Kind.STOCK: counts,
}


def _touched(client: Client, since: str, read: Read, *types: str) -> Iterator[Page]:
    """``begin_time`` is exclusive. Square returns deleted objects once it is set, so they are always requested."""
    since = bounded(since, client.now(), CATALOG_OVERLAP)
    begin = before(since, CATALOG_OVERLAP)
    body = {"object_types": list(types), "begin_time": begin, "include_deleted_objects": True}
    return _marked(client, client.catalog_search(body), read, catalog_mark, since)


def _marked(client: Client, replies: Iterable[wire.Reply], read: Read, mark: Mark, since: str) -> Iterator[Page]:
    watermark: str | None = None
    for reply in replies:
        watermark = watermark or mark(reply, client.now())
        yield read(reply)
    yield Page(watermark=watermark or since)


def catalog_mark(reply: wire.Reply, now: datetime) -> str | None:
    """The watermark that a page of a catalog search gives, if any."""
    return bounded(reply.latest_time, now, CATALOG_OVERLAP) if reply.latest_time else None


def counts_mark(reply: wire.Reply, now: datetime) -> str | None:
    """The watermark of the first rows, which are the newest: the first time that is not in the future."""
    times = (row["calculated_at"] for row in reply.counts or [] if _is_past(row, "calculated_at", now))
    newest = next(times, None)
    return bounded(newest, now, STOCK_OVERLAP) if newest else None


def _is_past(row: Any, name: str, now: datetime) -> bool:
    """Whether a field of a row names a moment that is not in the future."""
    at = moment_in(row, name)
    return at is not None and at <= now


def _touched_items(reported: dict[str, int], reply: wire.Reply) -> Page:
    rows = reply.objects or []
    hints, tombstones = hinted(rows)
    failed = [*hints.failed, *tombstones.failed]
    return Page(
        tombstones.records, changes_of(hints.records, reported), failed=failed, mentioned=mentions.changed(rows)
    )


def categories_of(reply: wire.Reply) -> Page:
    """The categories of a reply, deleted ones too."""
    result = readable(Kind.CATEGORY, reply.objects or [], mapping.category)
    return Page(result.records, failed=result.failed)


def counts_page(reply: wire.Reply) -> Page:
    """The counts of a reply."""
    result = counts_of(reply.counts or [])
    return Page(result.records, failed=result.failed)


def counts_of(rows: Sequence[Any]) -> ReadRows[StockCount]:
    """The counts among some rows."""
    return readable(Kind.STOCK, rows, count, "catalog_object_id")


class Hint(NamedTuple):
    """What a row of an item or a variation says: which item changed (``None``: it names none), and when
    (microseconds)."""

    item: str | None
    version: int
    deleted: bool


def hinted(rows: Sequence[Any]) -> tuple[ReadRows[Hint], ReadRows[Listing]]:
    """The hints of some catalog rows, and the tombstones of deleted variations that name no item.

    Objects that items only mention give no hints.
    """
    rows = [row for row in rows if not mentions.is_mentioned(row)]
    hints = readable(Kind.PRODUCT, rows, _hint)
    unnamed = [row for row in rows if _is_orphan(row)]
    return hints, readable(Kind.PRODUCT, unnamed, mapping.deleted_listing)


def _hint(row: wire.Json) -> Hint:
    envelope = typed(row, CatalogObject)
    return Hint(item_id(row), envelope.version * MICROS, envelope.is_deleted)


def _is_orphan(row: Any) -> bool:
    if not isinstance(row, dict) or not says_deleted(row) or not id_in(row):
        return False
    data = row.get("item_variation_data")
    return row.get("type") != "ITEM" and not (isinstance(data, dict) and data.get("item_id"))


def changes_of(hints: Iterable[Hint], reported: dict[str, int]) -> list[Change]:
    """One change for each item, with the highest version of its rows; again only for a higher version than the
    ``reported`` one, which is noted there."""
    newest = {item: version for item, version in _newest_of(hints).items() if version > reported.get(item, -1)}
    reported.update(newest)
    return [Change(Kind.PRODUCT, item, version) for item, version in newest.items()]


def _newest_of(hints: Iterable[Hint]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for hint in hints:
        if hint.item is not None:
            newest[hint.item] = max(newest.get(hint.item, 0), hint.version)
    return newest


def item_id(row: wire.Json) -> str | None:
    """The item of an ITEM or ITEM_VARIATION row; ``None`` where the row does not name it."""
    return row["id"] if row.get("type") == "ITEM" else mapping.item_of(row)


def orders_since(client: Client, places: Places, zones: Mapping[str, str], since: str | None) -> Iterator[Page]:
    """Orders updated since a watermark (without one: in the last 90 days).

    Locations are read in groups of ten, one group after the other, up to one common end: the vendor's clock before
    the first read, plus a slack smaller than the overlap. So what one group could not show yet when it was read is
    newer than any later watermark minus the overlap: no group can make another's orders be skipped, however long
    the walk takes. An order that moves beyond the end meanwhile is newer than the watermark.
    """
    since = bounded(since, client.now(), ORDER_OVERLAP) if since else None
    start = before(since, ORDER_OVERLAP) if since else text_of(places.answered_at - FIRST_ORDERS)
    newest = since
    for query in order_queries(places.ids, start, text_of(places.answered_at + END_SLACK)):
        for reply in client.orders_search(query):
            for row in reply.orders or []:
                if _is_past(row, "updated_at", client.now()):
                    newest = later(newest, row["updated_at"])
            yield orders_of(reply.orders or [], zones, client.now())
    yield Page(watermark=bounded(newest or start, client.now(), ORDER_OVERLAP))


def orders_of(rows: Sequence[Any], zones: Mapping[str, str], now: datetime) -> Page:
    """The orders among some rows as records; those that may still lack their lines (``now`` decides that) only as changes,
    to be fetched again."""
    result = readable(
        Kind.ORDER, rows, lambda row: None if orders.is_settling(row, now) else orders.order(row, zones)
    )
    records = [order for order in result.records if order is not None]
    known = {order.external_id for order in records} | {bad.external_id for bad in result.failed}
    young = [Change(Kind.ORDER, row_id) for row in rows if (row_id := id_in(row)) and row_id not in known]
    return Page(records, young, failed=result.failed)


def order_queries(location_ids: Sequence[str], start: str, end: str, by: str = "updated_at") -> list[wire.Json]:
    """The bodies of order searches, for ten locations each; both ends are inclusive, the sort field must match."""
    return [
        {
            "location_ids": ids,
            "query": {
                "filter": {"date_time_filter": {by: {"start_at": start, "end_at": end}}},
                "sort": {"sort_field": by.upper(), "sort_order": "ASC"},
            },
        }
        for ids in batches(location_ids, ORDER_LOCATIONS)
    ]
