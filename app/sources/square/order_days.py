"""The ids of the orders of business days: a search for entries returns neither lines nor times."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from app.sources.square.client import Client, Places
from app.sources.square.feeds import order_queries
from app.sources.square.isolation import id_in
from app.sources.square.orders import zone_of
from app.sources.square.times import text_of

SHORT = 14
"""For more days than this it is worth a call to check whether there is any order at all."""

_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


def order_ids(client: Client, places: Places, first: date, last: date) -> Iterator[tuple[date, str]]:
    """Day and id of every order created on these days, by the clock of the order's location (UTC where unknown).

    One search a day for each ten locations that have the same midnight; long stretches without orders are skipped.
    """
    days = (last - first).days + 1
    if days <= SHORT:
        for day in (first + offset * _DAY for offset in range(days)):
            yield from ((day, id_) for id_ in _ids(client, places, day, day))
    elif any(_ids(client, places, first, last)):
        middle = first + days // 2 * _DAY
        yield from order_ids(client, places, first, middle - _DAY)
        yield from order_ids(client, places, middle, last)


def _ids(client: Client, places: Places, first: date, last: date) -> Iterator[str]:
    for (start, end), ids in _by_midnight(places, first, last).items():
        for query in order_queries(ids, text_of(start), text_of(end), by="created_at"):
            for page in client.orders_entries(query):
                yield from filter(None, (id_in(entry, "order_id") for entry in page.order_entries or []))


def _by_midnight(places: Places, first: date, last: date) -> dict[tuple[datetime, datetime], list[str]]:
    by_midnight: dict[tuple[datetime, datetime], list[str]] = {}
    for place, zone in places.zones.items():
        # both ends of a search are inclusive
        bounds = (_midnight(first, zone), _midnight(last + _DAY, zone) - _TICK)
        by_midnight.setdefault(bounds, []).append(place)
    return by_midnight


def _midnight(day: date, zone: str) -> datetime:
    """When the day begins; where clocks are put forward at midnight, the moment at which they are."""
    return datetime.combine(day, time(), zone_of(zone)).astimezone(UTC)
