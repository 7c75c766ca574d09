"""Makes pages out of replies that overlap: each state of a record once, and the watermark that is reached."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from app.domain import Change, Listing, Page, Scope
from app.sources.finale import mapping, orders
from app.sources.finale.columnar import Band
from app.sources.finale.mapping import Terms
from app.sources.finale.pauses import paused_gc
from app.sources.finale.wire import moment, timestamp
from app.sources.period import EVERYTHING, Period

QUIET = timedelta(days=1)
"""How far behind our clock a watermark is when the vendor has nothing newer: no clock is wrong by more."""


class Progress:
    """Which versions were seen, and how far that brings the watermark.

    The watermark is the newest ``lastUpdatedDate`` seen, so the vendor's clock and not ours. Only for an account
    that was quiet for more than a day it follows a day behind our clock: otherwise each look at an account that
    rested for a year would walk that year's windows again, and eat the hourly budget.
    """

    def __init__(self, began: datetime, since: str | None) -> None:
        self._began = began
        self._since = since
        self._versions: dict[str, int] = {}
        self._newest: datetime | None = None

    def is_new(self, external_id: str, version: int, modified: datetime | None) -> bool:
        """Whether this state was not seen yet; remembers it."""
        seen = self._versions.get(external_id)
        if seen is not None and seen >= version:
            return False
        self._versions[external_id] = version
        if modified and (self._newest is None or modified > self._newest):
            self._newest = modified
        return True

    def watermark(self) -> str:
        """How far everything has been read; never back behind where the reading began."""
        times = (moment(self._since), self._newest, self._began - QUIET)
        return timestamp(max(time for time in times if time is not None))


class Products:
    """Pages of listings, of those that were modified in a period."""

    def __init__(self, terms: Terms, began: datetime, since: str | None = None, period: Period = EVERYTHING) -> None:
        self._terms = terms
        self._began = began
        self._period = period
        self._progress = Progress(began, since)

    def pages(self, reply: list[Band]) -> Iterator[Page]:
        """The listings of a reply that are news; takes the reply's bands away as it goes."""
        for band in taken(reply):
            with paused_gc():
                listings = mapping.products(band, self._terms, self._began)
            yield Page([listing for listing in listings if self._is_new(listing)])

    def end(self, complete: Scope | None = None) -> Page:
        """The last page."""
        return Page(watermark=self._progress.watermark(), complete=complete)

    def _is_new(self, listing: Listing) -> bool:
        at = listing.modified_at
        return self._period.holds(at) and self._progress.is_new(listing.external_id, listing.version, at)


class Orders:
    """Pages of orders modified in a period: with lines as records, headers as changes to be fetched."""

    def __init__(self, terms: Terms, began: datetime, since: str | None = None, period: Period = EVERYTHING) -> None:
        self._terms = terms
        self._began = began
        self._period = period
        self._progress = Progress(began, since)

    def pages(self, reply: list[Band]) -> Iterator[Page]:
        """The orders of a reply that are news; takes the reply's bands away as it goes."""
        for band in taken(reply):
            news = {change.external_id: change for change in orders.headers(band) if self._is_new(change)}
            records = []
            if band.has_any((orders.LINES,)):
                read = orders.orders(band, self._terms, self._began)
                records = [order for order in read if order.lines and news.pop(order.external_id, None)]
            yield Page(records, changes=list(news.values()))

    def end(self) -> Page:
        """The last page."""
        return Page(watermark=self._progress.watermark())

    def _is_new(self, change: Change) -> bool:
        modified = datetime.fromtimestamp(change.version / 1_000_000, UTC) if change.version else None
        return self._period.holds(modified) and self._progress.is_new(change.external_id, change.version, modified)


def taken(reply: list[Band]) -> Iterator[Band]:
    """The bands in order, each released once it is used."""
    reply.reverse()
    while reply:
        yield reply.pop()
