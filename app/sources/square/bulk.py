"""Reads each kind in full, or as far as it was modified in a period, in pages after which the read can be resumed.

Full reads of stock and orders prove no absence: a missing count means "nothing known", and orders only grow. Reads of
a period prove nothing beyond what they show.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial

from msgspec.structs import replace

from app.domain import Kind, Page, Scope
from app.sources.period import EVERYTHING, Period
from app.sources.square import feeds, isolation, mentions, parties, wire
from app.sources.square.client import Client, Places
from app.sources.square.isolation import id_in, readable
from app.sources.square.objects import is_live_item, is_other
from app.sources.square.related import Related
from app.sources.square.times import moment_in, text_of
from app.sources.square.walk import Place, Walk, place_of

RECENT_ORDERS = timedelta(days=7)
"""More than the 72 hours by which an offline sale can be late."""

_EXCLUSIVE = timedelta(seconds=1)  # more than the smallest step of Square's times: its lower ends may be exclusive


def all_items(client: Client, resume: str | None) -> Iterator[Page]:
    """Every live item as listings, complete."""
    walk = _catalog(client, Kind.PRODUCT, EVERYTHING, resume, "ITEM")
    yield from walk.pages(partial(_items_of, Related(client)), feeds.catalog_mark)
    yield Page(watermark=walk.mark or feeds.BEGINNING, complete=Scope(Kind.PRODUCT))


def all_categories(client: Client, resume: str | None) -> Iterator[Page]:
    """Every live category, complete."""
    walk = _catalog(client, Kind.CATEGORY, EVERYTHING, resume, "CATEGORY")
    yield from walk.pages(feeds.categories_of, feeds.catalog_mark)
    yield Page(watermark=walk.mark or feeds.BEGINNING, complete=Scope(Kind.CATEGORY))


def all_counts(client: Client, resume: str | None) -> Iterator[Page]:
    """Every count there is. Its watermark is the newest row's time, which is the first row of the first page."""
    walk = Walk(Kind.STOCK, "all", client.counts, [{}], place_of(resume), client.now)
    yield from walk.pages(feeds.counts_page, feeds.counts_mark)
    yield Page(watermark=walk.mark or feeds.BEGINNING)


def all_vendors(client: Client, resume: str | None) -> Iterator[Page]:
    """Every vendor, inactive ones too, complete."""
    place = place_of(resume)
    walk = Walk(Kind.VENDOR, "all", lambda body, cursor: client.vendors_search(cursor), [{}], place, client.now)
    yield from walk.pages(_vendors_of)
    yield Page(complete=Scope(Kind.VENDOR))


WHOLE: Mapping[Kind, Callable[[Client, str | None], Iterator[Page]]] = {
    Kind.PRODUCT: all_items,
    Kind.CATEGORY: all_categories,
    Kind.STOCK: all_counts,
    Kind.VENDOR: all_vendors,
}


def orders_of_the_week(
    client: Client, places: Places, zones: Mapping[str, str], resume: str | None
) -> Iterator[Page]:
    """Orders updated in the last 7 days, neither complete nor with a watermark: a delta might begin earlier."""
    yield from _orders(client, places, zones, Period(places.answered_at - RECENT_ORDERS), "week", resume)
    yield Page()


def orders_window(
    client: Client, places: Places, zones: Mapping[str, str], period: Period, resume: str | None
) -> Iterator[Page]:
    """Orders last updated in a period."""
    yield from _orders(client, places, zones, period, _name(period), resume)


def items_window(client: Client, period: Period, resume: str | None) -> Iterator[Page]:
    """Listings last modified in a period; deleted items, and items of which only a variation changed, come as
    changes.

    Without a beginning all live items are read, and deletions are not seen.
    """
    types = ("ITEM",) if period.since is None else ("ITEM", "ITEM_VARIATION", *mentions.TYPES)
    walk = _catalog(client, Kind.PRODUCT, period, resume, *types)
    yield from walk.pages(partial(_modified_items, Related(client), period, set()))


def categories_window(client: Client, period: Period, resume: str | None) -> Iterator[Page]:
    """Categories last modified in a period, deleted ones too if it has a beginning."""
    walk = _catalog(client, Kind.CATEGORY, period, resume, "CATEGORY")
    yield from walk.pages(lambda reply: _inside(feeds.categories_of(reply), period))


def counts_window(client: Client, period: Period, resume: str | None) -> Iterator[Page]:
    """Counts last calculated in a period."""
    body = {"updated_after": text_of(period.since - _EXCLUSIVE)} if period.since else {}
    walk = Walk(Kind.STOCK, _name(period), client.counts, [body], place_of(resume), client.now)
    yield from walk.pages(lambda reply: _inside(feeds.counts_page(reply), period))


WINDOWS: Mapping[Kind, Callable[[Client, Period, str | None], Iterator[Page]]] = {
    Kind.PRODUCT: items_window,
    Kind.CATEGORY: categories_window,
    Kind.STOCK: counts_window,
}


def _catalog(client: Client, kind: Kind, period: Period, resume: str | None, *types: str) -> Walk:
    body: wire.Json = {"object_types": list(types)}
    if period.since is not None:
        body |= {"begin_time": text_of(period.since - _EXCLUSIVE), "include_deleted_objects": True}
    return Walk(kind, _name(period), client.catalog_search, [body], place_of(resume), client.now)


def _orders(
    client: Client, places: Places, zones: Mapping[str, str], period: Period, read: str, resume: str | None
) -> Iterator[Page]:
    """A resumed read uses the same stretch of time as the part before it, because its cursors belong to that query."""
    place = place_of(resume)
    start, end = span = _span(place, places, period)
    bodies = feeds.order_queries(places.ids, start, end)
    walk = Walk(Kind.ORDER, read, client.orders_search, bodies, place, client.now, span)
    yield from walk.pages(lambda reply: feeds.orders_of(reply.orders or [], zones, client.now()))


def _span(place: Place | None, places: Places, period: Period) -> tuple[str, str]:
    if place is not None and place.span is not None:
        return place.span
    end = places.answered_at + feeds.END_SLACK
    start = text_of(period.since) if period.since is not None else feeds.BEGINNING
    return start, text_of(end if period.until is None else min(period.until, end))


def _name(period: Period) -> str:
    return f"{period.since} {period.until}"


def _items_of(related: Related, reply: wire.Reply) -> Page:
    rows = reply.objects or []
    result = isolation.listings(rows, related.to(rows))
    return Page(result.records, failed=result.failed)


def _modified_items(related: Related, period: Period, shown: set[str], reply: wire.Reply) -> Page:
    """``shown`` are the items of which this read has shown the listings, and so need no change."""
    rows = reply.objects or []
    shown |= {id_in(row) for row in rows if is_live_item(row)}
    items = _items_of(related, reply)
    others = [row for row in rows if is_other(row) and period.holds(moment_in(row, "updated_at"))]
    hints, tombstones = feeds.hinted(others)
    return Page(
        _inside(Page([*items.records, *tombstones.records]), period).records,
        feeds.changes_of((hint for hint in hints.records if hint.deleted or hint.item not in shown), {}),
        failed=[*items.failed, *hints.failed, *tombstones.failed],
        mentioned=mentions.changed(others),
    )


def _vendors_of(reply: wire.Reply) -> Page:
    result = readable(Kind.VENDOR, reply.vendors or [], parties.vendor)
    return Page(result.records, failed=result.failed)


def _inside(page: Page, period: Period) -> Page:
    return replace(page, records=[record for record in page.records if period.holds(record.modified_at)])
