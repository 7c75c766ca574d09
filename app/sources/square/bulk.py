"""Each kind read whole, or as far as it was modified in a period, in pages after which the read can be resumed.

Of the whole reads those of stock and orders speak for no absence: a count that is not there means "nothing known",
and orders only grow. Reads of a period speak for nothing but what they show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from app.domain import Change, Kind, Page, Record, Scope, batches
from app.sources.period import EVERYTHING, Period
from app.sources.square import feeds, mapping, parties, wire
from app.sources.square.client import ORDER_LOCATIONS, Client, Places
from app.sources.square.counts import counts
from app.sources.square.times import moment, text_of
from app.sources.square.walk import Place, Walk, place_of

RECENT_ORDERS = timedelta(days=7)
"""More than the 72 hours by which an offline sale can be late."""

_EXCLUSIVE = timedelta(seconds=1)  # more than the smallest step of Square's times: its lower ends may be exclusive


def all_items(client: Client, resume: str | None) -> Iterator[Page]:
    """Every live item as listings, complete."""
    walk = _catalog(client, Kind.PRODUCT, EVERYTHING, resume, "ITEM")
    for reply in walk.replies():
        walk.mark = walk.mark or reply.latest_time
        yield walk.page([listing for item in reply.objects or [] for listing in mapping.live_listings(item)])
    yield Page(watermark=walk.mark or feeds.BEGINNING, complete=Scope(Kind.PRODUCT))


def all_categories(client: Client, resume: str | None) -> Iterator[Page]:
    """Every live category, complete."""
    walk = _catalog(client, Kind.CATEGORY, EVERYTHING, resume, "CATEGORY")
    for reply in walk.replies():
        walk.mark = walk.mark or reply.latest_time
        yield walk.page([mapping.category(thing) for thing in reply.objects or []])
    yield Page(watermark=walk.mark or feeds.BEGINNING, complete=Scope(Kind.CATEGORY))


def all_counts(client: Client, resume: str | None) -> Iterator[Page]:
    """Every count there is. Its watermark is the newest row's time, which is the first row of the first page."""
    walk = Walk(Kind.STOCK, "all", client.counts, [{}], place_of(resume))
    for reply in walk.replies():
        rows = reply.counts or []
        walk.mark = walk.mark or (rows[0].get("calculated_at") if rows else None)
        yield walk.page(counts(rows))
    yield Page(watermark=walk.mark or feeds.BEGINNING)


def all_vendors(client: Client, resume: str | None) -> Iterator[Page]:
    """Every vendor, inactive ones too, complete."""
    walk = Walk(Kind.VENDOR, "all", lambda body, cursor: client.vendors_search(cursor), [{}], place_of(resume))
    for reply in walk.replies():
        yield walk.page([parties.vendor(data) for data in reply.vendors or []])
    yield Page(complete=Scope(Kind.VENDOR))


def orders_of_the_week(
    client: Client, places: Places, zones: Mapping[str, str], resume: str | None
) -> Iterator[Page]:
    """Orders updated in the last 7 days. Neither complete nor a watermark: it begins later than a delta might."""
    yield from _orders(client, places, zones, Period(places.told_at - RECENT_ORDERS), "week", resume)
    yield Page()


def orders_window(
    client: Client, places: Places, zones: Mapping[str, str], period: Period, resume: str | None
) -> Iterator[Page]:
    """Orders last updated in a period."""
    yield from _orders(client, places, zones, period, _name(period), resume)


def items_window(client: Client, period: Period, resume: str | None) -> Iterator[Page]:
    """Listings last modified in a period; deleted items, and items of which only a variation changed, as changes.

    Without a beginning all live items are looked through, and deletions are not seen.
    """
    types = ("ITEM",) if period.since is None else ("ITEM", "ITEM_VARIATION")
    walk = _catalog(client, Kind.PRODUCT, period, resume, *types)
    shown: set[str] = set()
    for reply in walk.replies():
        rows = reply.objects or []
        shown |= {row["id"] for row in rows if row.get("type") == "ITEM" and not row.get("is_deleted")}
        listings = [listing for row in rows for listing in mapping.live_listings(row)]
        records = [*listings, *feeds.orphans(rows)]
        unshown = [row for row in rows if row.get("is_deleted") or feeds.item_id(row) not in shown]
        yield walk.page(_inside(records, period), _hints(row for row in unshown if _is_inside(row, period)))


def categories_window(client: Client, period: Period, resume: str | None) -> Iterator[Page]:
    """Categories last modified in a period, deleted ones too if it has a beginning."""
    walk = _catalog(client, Kind.CATEGORY, period, resume, "CATEGORY")
    for reply in walk.replies():
        yield walk.page(_inside([mapping.category(thing) for thing in reply.objects or []], period))


def counts_window(client: Client, period: Period, resume: str | None) -> Iterator[Page]:
    """Counts last calculated in a period."""
    body = {"updated_after": text_of(period.since - _EXCLUSIVE)} if period.since else {}
    walk = Walk(Kind.STOCK, _name(period), client.counts, [body], place_of(resume))
    for reply in walk.replies():
        yield walk.page(_inside(counts(reply.counts or []), period))


WINDOWS: Mapping[Kind, Callable[[Client, Period, str | None], Iterator[Page]]] = {
    Kind.PRODUCT: items_window,
    Kind.CATEGORY: categories_window,
    Kind.STOCK: counts_window,
}


def _catalog(client: Client, kind: Kind, period: Period, resume: str | None, *types: str) -> Walk[wire.CatalogReply]:
    body: wire.Json = {"object_types": list(types)}
    if period.since is not None:
        body |= {"begin_time": text_of(period.since - _EXCLUSIVE), "include_deleted_objects": True}
    return Walk(kind, _name(period), client.catalog_search, [body], place_of(resume))


def _orders(
    client: Client, places: Places, zones: Mapping[str, str], period: Period, read: str, resume: str | None
) -> Iterator[Page]:
    """A resumed read asks for the same stretch of time as the part before it, or its cursors would be foreign."""
    place = place_of(resume)
    start, end = span = _span(place, places, period)
    groups = batches([location["id"] for location in places.locations], ORDER_LOCATIONS)
    bodies = [feeds.order_query(ids, start, end) for ids in groups]
    walk = Walk(Kind.ORDER, read, client.orders_search, bodies, place, span)
    for reply in walk.replies():
        yield walk.page(*feeds.readable(reply.orders or [], zones))


def _span(place: Place | None, places: Places, period: Period) -> tuple[str, str]:
    if place is not None and place.span is not None:
        return place.span
    end = places.told_at + feeds.END_SLACK
    start = text_of(period.since) if period.since is not None else feeds.BEGINNING
    return start, text_of(end if period.until is None else min(period.until, end))


def _name(period: Period) -> str:
    return f"{period.since} {period.until}"


def _inside(records: Sequence[Record], period: Period) -> list[Record]:
    return [record for record in records if period.holds(record.modified_at)]


def _is_inside(row: wire.Json, period: Period) -> bool:
    return period.holds(moment(row.get("updated_at")))


def _hints(rows: Iterable[wire.Json]) -> list[Change]:
    """One change for each item, with the highest version that its rows tell."""
    newest: dict[str, int] = {}
    for row in rows:
        if (item := feeds.item_id(row)) is not None:
            newest[item] = max(newest.get(item, 0), row.get("version") or 0)
    return [Change(Kind.PRODUCT, item, version) for item, version in newest.items()]
