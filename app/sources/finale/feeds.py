"""Makes pages of replies that overlap: each state of a record once, and the watermark that is reached."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from app.domain import BadRecord, Change, Kind, Listing, Order, Page, Scope
from app.domain.collector import collector_paused
from app.sources.finale import mapping, orders
from app.sources.finale.client import KEYS
from app.sources.finale.columnar import Band
from app.sources.finale.isolation import Bad, ReadRows, readable
from app.sources.finale.mapping import Terms
from app.sources.finale.order_lines import LINES
from app.sources.finale.wire import timestamp
from app.sources.period import EVERYTHING, Period
from app.sources.values import moment

TermsOf = Callable[[Band], Terms]
"""How to read a band."""

OVERLAP = timedelta(minutes=2)
"""How far before a watermark to read again: a change may become visible after a later one."""

QUIET = timedelta(days=1)
"""How far behind our clock a watermark is when the vendor has nothing newer: no clock is wrong by more."""


class Progress:
    """The versions that were seen, and the watermark that they lead to.

    The watermark is the newest ``lastUpdatedDate`` seen, so it follows the vendor's clock and not ours. Only in an
    account that was quiet for more than a day it follows a day behind our clock: otherwise each poll of an account
    that rested for a year would walk that year's windows again, and use up the hourly budget.
    """

    def __init__(self, began: datetime, since: str | None) -> None:
        self._began = began
        self._since = since
        self._versions: dict[str, int] = {}
        self._failed: set[str] = set()
        self._newest: datetime | None = None

    def is_new(self, external_id: str, version: int, modified: datetime | None) -> bool:
        """Whether this state was not seen before; remembers it."""
        seen = self._versions.get(external_id)
        if seen is not None and seen >= version:
            return False
        self._versions[external_id] = version
        self._saw(modified)
        return True

    def failed(self, bad: Sequence[Bad], period: Period) -> list[BadRecord]:
        """The unreadable records of a period, each once; the watermark moves past them."""
        records = []
        for one in bad:
            modified, name = one.modified, one.record.external_id or one.record.error
            if name not in self._failed and (modified is None or period.holds(modified)):
                self._failed.add(name)
                self._saw(modified)
                records.append(one.record)
        return records

    def watermark(self) -> str:
        """How far everything has been read: never before the start of the read, never later than our clock minus the
        overlap."""
        latest = self._began - OVERLAP
        times = (moment(self._since), self._newest, self._began - QUIET)
        return timestamp(min(latest, max(time for time in times if time is not None)))

    def _saw(self, modified: datetime | None) -> None:
        """A time in the future is a mistake and must not move the watermark."""
        if modified and modified <= self._began and (self._newest is None or modified > self._newest):
            self._newest = modified


class Feed:
    """Pages of records that were modified in a period."""

    def __init__(
        self, terms: TermsOf, began: datetime, since: str | None = None, period: Period = EVERYTHING
    ) -> None:
        self._terms = terms
        self._began = began
        self._period = period
        self._progress = Progress(began, since)

    def end(self, complete: Scope | None = None) -> Page:
        """The last page."""
        return Page(watermark=self._progress.watermark(), complete=complete)


class Products(Feed):
    """Pages of the listings that were modified in a period."""

    def pages(self, reply: list[Band]) -> Iterator[Page]:
        """The new listings of a reply; empties the reply."""
        for band in taken(reply):
            terms = self._terms(band)
            with collector_paused():
                result = readable(Kind.PRODUCT, KEYS["product"], band, partial(self._read, terms))
            listings = [listing for listing in result.records if self._is_new(listing)]
            yield Page(listings, failed=self._progress.failed(result.bad, self._period))

    def _read(self, terms: Terms, band: Band) -> list[Listing]:
        return mapping.products(band, terms, self._began)

    def _is_new(self, listing: Listing) -> bool:
        at = listing.modified_at
        return self._period.holds(at) and self._progress.is_new(listing.external_id, listing.version, at)


class Orders(Feed):
    """Pages of orders modified in a period: with lines as records, headers as changes to be fetched."""

    def pages(self, reply: list[Band]) -> Iterator[Page]:
        """The new orders of a reply; empties the reply."""
        for band in taken(reply):
            headers = readable(Kind.ORDER, KEYS["order"], band, orders.headers)
            news = {change.external_id: change for change in headers.records if self._is_new(change)}
            whole = self._whole(band)
            records = [order for order in whole.records if order.lines and news.pop(order.external_id, None)]
            failed = self._progress.failed([*headers.bad, *whole.bad], self._period)
            unreadable = {bad.external_id for bad in whole.failed}
            changes = [change for change in news.values() if change.external_id not in unreadable]
            yield Page(records, changes=changes, failed=failed)

    def _whole(self, band: Band) -> ReadRows[Order]:
        """The orders of a band that has their lines; nothing for a list of headers."""
        if not band.has_any((LINES,)):
            return ReadRows([], [])
        terms = self._terms(band)
        return readable(Kind.ORDER, KEYS["order"], band, lambda part: orders.orders(part, terms, self._began))

    def _is_new(self, change: Change) -> bool:
        modified = datetime.fromtimestamp(change.version / 1_000_000, UTC) if change.version else None
        return self._period.holds(modified) and self._progress.is_new(change.external_id, change.version, modified)


FEEDS: Mapping[Kind, type[Products] | type[Orders]] = {Kind.PRODUCT: Products, Kind.ORDER: Orders}
"""The kinds that are read by their time of change."""


def taken(reply: list[Band]) -> Iterator[Band]:
    """The bands in order, each released after its use."""
    reply.reverse()
    while reply:
        yield reply.pop()
