"""The ids of the orders of business days, including those that the vendor's filter overlooks."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta

from app.domain import Kind
from app.sources.finale import orders
from app.sources.finale.client import KEYS, Client
from app.sources.finale.columnar import Band
from app.sources.finale.isolation import readable
from app.sources.finale.options import Options
from app.sources.finale.windows import WIDEST, Walk

_DAY = timedelta(days=1)
_STRIDE = WIDEST - _DAY
RECENT = WIDEST - _DAY
"""How old orders may be that we test the filter with: still one window."""
LONG = 3 * WIDEST
DATED_AHEAD = WIDEST
"""How long before its business date the last update of an order may lie."""

_Days = dict[str, date]


def order_ids(
    client: Client, options: Options, walk: Callable[[], Walk], first: date, last: date, now: datetime
) -> Iterator[tuple[date, str]]:
    """Day and id of every order with an ``orderDate`` of these days.

    In an account with more orders than the vendor's cap, a filter by anything but the update time silently overlooks
    the newest ones. So the filter is tested with the orders that were updated lately: if it overlooks one of those,
    the days are also read by a walk by update time (which cannot see an order last touched more than 30 days before
    its own date).
    """
    lately = _within(walk().replies(now - RECENT), first, last)
    replies = list(_dated(client, first, last))
    shown = _within(replies, first, last)
    cut = any(sum(band.rows for band in reply) >= options.row_cap for reply in replies)
    if cut or not lately.items() <= shown.items():
        start = max(datetime.combine(first, time(), UTC) - DATED_AHEAD, options.history_start)
        shown |= _within(walk().replies(start), first, last)
    yield from ((day, id_) for id_, day in shown.items())


def _dated(client: Client, first: date, last: date) -> Iterator[list[Band]]:
    """The orders by narrow ranges of business dates: the vendor refuses a wide range of update times, and may do so
    here.

    Many ranges cost more than a single read of all orders.
    """
    if last - first > LONG:
        yield client.collection("order")
        return
    lower = first
    while lower <= last:
        upper = min(lower + _STRIDE, last)
        yield client.collection("order", {"orderDate": (f"{lower}T00:00:00", f"{upper}T23:59:59")})
        lower = upper + _DAY


def _within(replies: Iterable[list[Band]], first: date, last: date) -> _Days:
    results = (readable(Kind.ORDER, KEYS["order"], band, orders.days) for reply in replies for band in reply)
    dated = (pair for part in results for pair in part.records)  # without orders whose day is unreadable
    return {id_: day for id_, day in dated if day is not None and first <= day <= last}
