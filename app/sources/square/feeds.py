"""What changed since a watermark, as a feed of pages, and what the watermark of each kind is.

Watermarks are Square's own timestamps, verbatim; the overlap is taken off when one is used. They come with the
last page only, because no feed but the counts is sorted by time of change:

    product, category   ``latest_time`` of the first page: what changes during the walk is found next time
    stock               ``calculated_at`` of the newest row, which is the first row of the first page
    order               the newest ``updated_at`` over all locations, none of which was read beyond a common end
    location, vendor    none: there is no filter by time, so every read is the whole
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from app.domain import Change, Kind, Page, Record, batches
from app.sources.square import mapping, orders, wire
from app.sources.square.client import ORDER_LOCATIONS, Client, Places
from app.sources.square.counts import counts as counts_of
from app.sources.square.times import before, later, text_of

CATALOG_OVERLAP = timedelta(seconds=2)
STOCK_OVERLAP = timedelta(seconds=30)
ORDER_OVERLAP = timedelta(minutes=2)
END_SLACK = timedelta(seconds=5)
"""A Date header is cut to the second and may be a second old. Must stay below ``ORDER_OVERLAP``, which repairs it."""
BEGINNING = "1970-01-01T01:00:00Z"
"""The watermark of a feed that has shown nothing yet."""
FIRST_ORDERS = timedelta(days=90)


def touched_items(client: Client, since: str) -> Iterator[Page]:
    """Every item of which the item itself or a variation was created, changed or deleted, once or more.

    Deleted items come without their variations, these come as rows of their own; a row that names no item can only
    be applied as it is. Both types are asked for, because either can change alone.
    """
    told: dict[str, int] = {}
    watermark: str | None = None
    for page in client.catalog_search(_since(since, "ITEM", "ITEM_VARIATION")):
        watermark = watermark or page.latest_time
        rows = page.objects or []
        yield Page(changes=_news(rows, told), records=orphans(rows))
    yield Page(watermark=watermark or since)


def _since(since: str, *types: str) -> wire.Json:
    """``begin_time`` is exclusive. Deleted objects came even unasked once it is set, so they are always asked for."""
    begin = before(since, CATALOG_OVERLAP)
    return {"object_types": list(types), "begin_time": begin, "include_deleted_objects": True}


def _news(rows: Sequence[wire.Json], told: dict[str, int]) -> list[Change]:
    """One change per item, again only for a higher version than the one told before."""
    newest: dict[str, int] = {}
    for row in rows:
        item, version = item_id(row), row.get("version") or 0
        if item is not None and version > max(newest.get(item, 0), told.get(item, -1)):
            newest[item] = version
    told.update(newest)
    return [Change(Kind.PRODUCT, item, version) for item, version in newest.items()]


def item_id(row: wire.Json) -> str | None:
    """The item that an ITEM or ITEM_VARIATION row is about; ``None`` where the row does not name it."""
    return row["id"] if row.get("type") == "ITEM" else mapping.item_of(row)


def orphans(rows: Sequence[wire.Json]) -> list[Record]:
    """The tombstones of deleted variations that name no item."""
    return [mapping.deleted_listing(row) for row in rows if row.get("is_deleted") and item_id(row) is None]


def touched_categories(client: Client, since: str) -> Iterator[Page]:
    """Categories that were created, changed or deleted."""
    watermark: str | None = None
    for page in client.catalog_search(_since(since, "CATEGORY")):
        watermark = watermark or page.latest_time
        yield Page(records=[mapping.category(thing) for thing in page.objects or []])
    yield Page(watermark=watermark or since)


def counts(client: Client, since: str) -> Iterator[Page]:
    """Counts calculated since. Never complete: an absent count means "nothing known", not zero.

    Rows that change during the walk move to its front, where it has passed; they are newer than the watermark.
    """
    watermark: str | None = None
    for page in client.counts({"updated_after": before(since, STOCK_OVERLAP)}):
        rows = page.counts or []
        for row in rows[:1] if watermark is None else ():
            watermark = row.get("calculated_at")
        yield Page(records=counts_of(rows))
    yield Page(watermark=watermark or since)


def orders_since(client: Client, places: Places, since: str | None, zones: Mapping[str, str]) -> Iterator[Page]:
    """Orders updated since a watermark (without one: in the last 90 days).

    Locations are read in groups of ten, one group after the other, up to one common end: the vendor's clock before
    the first read, plus a slack smaller than the overlap. So what one group could not show yet when it was read is
    newer than any later watermark minus the overlap: no group can make another's orders be skipped, however long
    the walk takes. An order that moves beyond the end meanwhile is newer than the watermark.
    """
    start = before(since, ORDER_OVERLAP) if since else text_of(places.told_at - FIRST_ORDERS)
    newest = since
    for rows in _order_pages(client, places, start):
        for row in rows:
            newest = later(newest, row.get("updated_at"))
        yield Page(*readable(rows, zones))
    yield Page(watermark=newest or start)


def readable(rows: Sequence[wire.Json], zones: Mapping[str, str]) -> tuple[list[Record], list[Change]]:
    """Orders as records; those still without their lines only as changes, to be asked for again."""
    now = datetime.now(UTC)
    young = [row for row in rows if orders.is_settling(row, now)]
    records: list[Record] = [orders.order(row, zones) for row in rows if row not in young]
    return records, [Change(Kind.ORDER, row["id"]) for row in young]


def _order_pages(client: Client, places: Places, start: str) -> Iterator[list[wire.Json]]:
    end = text_of(places.told_at + END_SLACK)
    for ids in batches([place["id"] for place in places.locations], ORDER_LOCATIONS):
        for page in client.orders_search(order_query(ids, start, end)):
            yield page.orders or []


def order_query(location_ids: Sequence[str], start: str, end: str) -> wire.Json:
    """The body of an order search by ``updated_at``; both ends are inclusive, the sort field must match."""
    return {
        "location_ids": list(location_ids),
        "return_entries": False,
        "query": {
            "filter": {"date_time_filter": {"updated_at": {"start_at": start, "end_at": end}}},
            "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"},
        },
    }


def raise_unless_unknown(answer: wire.VendorReply, vendor_id: str) -> None:
    """One vendor's own errors inside a 200: an unknown id is an answer, anything else is raised."""
    problems = [problem for problem in answer.errors or [] if problem.code not in ("NOT_FOUND", "VENDOR_NOT_FOUND")]
    if problems:
        raise wire.problem_error(problems, f"vendor {vendor_id}")
