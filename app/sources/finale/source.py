"""The Finale source: which calls answer which question, and what the answers cover."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial

from app.domain import ALL_ITEMS, Answer, BadRecord, Kind, MissingPolicy, Page, Record, Ref, Scope, batches
from app.domain.collector import collector_paused
from app.errors import InvalidRequest
from app.sources.base import Limit, Receiver, ResumeLost
from app.sources.client import ClientSource
from app.sources.finale import bulk, order_days, setup
from app.sources.finale.bulk import Bulk
from app.sources.finale.client import KEYS, Client
from app.sources.finale.columnar import Band
from app.sources.finale.feeds import FEEDS, OVERLAP, Products, taken
from app.sources.finale.items import COLLECTIONS, Items
from app.sources.finale.options import Options
from app.sources.finale.stock import Tally, of_products
from app.sources.finale.windows import Walk, Window, span
from app.sources.finale.wire import timestamp
from app.sources.period import Period, narrowed
from app.sources.setup import Registered
from app.sources.shapes import of_item
from app.sources.values import moment

PAGE_ROWS = 4_000
STOCK_AT_ONCE = 500
"""Products whose stock live workers read in one call."""

_FIRST_ORDERS = timedelta(days=90)
_FULL_ORDERS = timedelta(days=7)
_NEVER = 1_000_000_000  # as a storm size: lists of this kind cannot replace fetching the items


class FinaleSource(ClientSource):
    """One Finale account (see ``app.sources.base.Source``)."""

    name = "finale"
    kinds: tuple[Kind, ...] = (Kind.LOCATION, Kind.VENDOR, Kind.PRODUCT, Kind.STOCK, Kind.ORDER)
    whole_kinds: tuple[Kind, ...] = (Kind.LOCATION, Kind.VENDOR, Kind.STOCK)
    listed_kinds: tuple[Kind, ...] = (Kind.STOCK,)

    def __init__(
        self,
        client: Client,
        options: Options,
        receiver: Receiver | None,
        now: Callable[[], datetime],
    ) -> None:
        self.receiver = receiver
        self._client = client
        self._http = client.http
        self._items = Items(client, options, now)
        self._options = options
        self._now = now

    def batch_size(self, kind: Kind) -> int:
        """One, because Finale reads single records; stock is read as one list for many products."""
        return STOCK_AT_ONCE if kind is Kind.STOCK else 1

    def pace(self, kind: Kind) -> float:
        """Stock has no delta: each pull reads all of it."""
        return self._options.stock_pace if kind is Kind.STOCK else 5.0

    def storm_size(self, kind: Kind) -> int:
        """A product list has whole records: it costs less than half a minute's single reads."""
        return 60 if kind is Kind.PRODUCT else _NEVER

    def budget(self) -> Sequence[Limit]:
        """All requests per minute, and lists per hour."""
        return self._client.limits

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        """The present truth about records by id, or about products by ``sku:X``; stock of the named products from one
        read of the list."""
        kind, ids = refs[0].kind, {ref.external_id for ref in refs}
        if kind is Kind.STOCK or ALL_ITEMS in ids:
            whole = _answer(list(self._whole(kind)))
            return of_products(whole, ids) if kind is Kind.STOCK else whole
        records: list[Record] = []
        failed: list[BadRecord] = []
        gone: list[Ref] = []
        for ref in refs:
            self._check(ref.kind)
            result = self._items.one(ref)
            records += result.records
            failed += [of_item(bad, ref.external_id) for bad in result.failed]
            if not result.records and not result.bad:
                gone.append(ref)
        return Answer(records, gone=gone, failed=failed)

    def check(self) -> None:
        """One single-record read, which does not count against the hourly budget for lists."""
        self._client.check()

    def register(self, url: str, options: Mapping[str, str]) -> Registered:
        """A secret for a bridge that reports changes; Finale itself reports none."""
        return setup.register(url, options)

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        """What changed since ``since``: products with their records, orders by name; the other kinds in full.

        A watermark is a ``lastUpdatedDate`` (see ``feeds.Progress``). The watermark of a kind that is read in full
        only says when that read began.
        """
        self._check(kind)
        if kind is Kind.PRODUCT:
            return self.full(kind) if since is None else self._since(kind, self._start(since), since)
        if kind is Kind.ORDER:
            start = self._now() - _FIRST_ORDERS if since is None else self._start(since)
            return self._since(kind, start, since)
        return self._whole(kind)

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        """Everything of a kind, complete; of orders, which only grow, the last seven days without that claim.

        A kind comes in one call, so a read cannot resume in between.
        """
        self._check(kind)
        if resume is not None:
            raise ResumeLost(f"Finale sends every {kind} in one call, so a read cannot resume in between")
        if kind is Kind.PRODUCT:
            return self._all_products()
        if kind is Kind.ORDER:
            return self._since(kind, self._now() - _FULL_ORDERS, None)
        return self._whole(kind)

    def window(
        self, kind: Kind, since: datetime | None, until: datetime | None, resume: str | None = None
    ) -> Iterator[Page]:
        """Products (with their records) and orders (by name) last updated in a period; the other kinds in full.

        With a beginning it is read month by month. Without one it is a single call for the whole collection, which
        costs less of the hourly budget than a window for every month of the account's life.
        """
        self._check(kind)
        if kind in FEEDS:
            return self._of(kind, Period(since, until), resume)
        return (narrowed(page, Period(since, until)) for page in self.full(kind, resume))

    def order_ids(self, first: date, last: date) -> Iterator[tuple[date, str]]:
        """Every order of these days by its ``orderDate``, a date without a time zone, as ``ordered_on`` is."""
        walk = partial(self._walk, COLLECTIONS[Kind.ORDER])
        return order_days.order_ids(self._client, self._options, walk, first, last, self._now())

    def _start(self, since: str) -> datetime:
        """The time to read on from. A watermark in the future, from a time when a clock was wrong, counts as now."""
        at = moment(since)
        if at is None:
            raise InvalidRequest(f"a watermark must be a time, not {since!r}")
        return min(at, self._now() - OVERLAP) - OVERLAP

    def _check(self, kind: Kind) -> None:
        if kind not in self.kinds:
            raise InvalidRequest(f"Finale has no {kind.value} to read; it has {', '.join(self.kinds)}")

    # whole collections

    def _whole(self, kind: Kind) -> Iterator[Page]:
        """Stock, locations or vendors: one read, one complete page sequence."""
        if kind in FEEDS:
            yield from self.full(kind)
            return
        began = self._now()
        reply = self._client.collection(COLLECTIONS[kind])
        watermark = timestamp(began - OVERLAP)
        if kind is Kind.STOCK:
            tally = _tally(reply)
            yield from bulk.pages(kind, map(Page, batches(tally.counts(began), PAGE_ROWS)), len(tally))
            yield Page(watermark=watermark, complete=Scope(kind, absent=MissingPolicy.ZERO), failed=tally.failed)
        else:
            yield from self._small_pages(kind, reply, began)
            yield Page(watermark=watermark, complete=Scope(kind))

    def _small_pages(self, kind: Kind, reply: list[Band], began: datetime) -> Iterator[Page]:
        """Vendors share their collection with customers, so their number is not known beforehand."""
        expected = _rows(reply) if kind is Kind.LOCATION else None
        results = (self._items.records(kind, band, began) for band in taken(reply))
        return bulk.pages(kind, (Page(each.records, failed=each.failed) for each in results), expected)

    # products

    def _all_products(self) -> Iterator[Page]:
        self._items.forget_names()
        feed = Products(self._items.terms, self._now())
        reply = self._client.collection("product")
        cut_from = self._cut_from("product", reply)
        yield from bulk.pages(Kind.PRODUCT, feed.pages(reply), None if cut_from else _rows(reply))
        if cut_from is not None:
            for more in self._walk("product").replies(cut_from):
                yield from feed.pages(more)
        yield feed.end(Scope(Kind.PRODUCT))

    def _cut_from(self, collection: str, reply: list[Band]) -> datetime | None:
        """The time from which a reply as long as the vendor's cap must be completed; ``None`` for a shorter reply."""
        if _rows(reply) < self._options.row_cap:
            return None
        covered = span(reply, KEYS[collection])
        newest = covered.newest if covered.ascending else None
        return min(newest, self._now() - OVERLAP) if newest else self._options.history_start

    def _walk(self, collection: str) -> Walk:
        def read(window: Window) -> list[Band]:
            return self._client.collection(collection, {"lastUpdatedDate": window.bounds})

        return Walk(read, KEYS[collection], self._options.row_cap, self._now)

    # what was modified since a moment, or in a period

    def _since(self, kind: Kind, start: datetime, watermark: str | None) -> Iterator[Page]:
        feed = FEEDS[kind](self._items.terms, self._now(), watermark)
        for reply in self._walk(COLLECTIONS[kind]).replies(start):
            yield from feed.pages(reply)
        yield feed.end()

    def _of(self, kind: Kind, period: Period, resume: str | None) -> Iterator[Page]:
        feed = FEEDS[kind](self._items.terms, self._now(), period=period)
        read = Bulk(kind, period, feed, self._walk(COLLECTIONS[kind]))
        if resume is not None:
            return read.resumed(resume)
        if period.since is None:
            return self._from_the_first(read)
        return read.months(max(period.since, self._options.history_start))

    def _from_the_first(self, read: Bulk) -> Iterator[Page]:
        reply = self._client.collection(COLLECTIONS[read.kind])
        cut_from = self._cut_from(COLLECTIONS[read.kind], reply)
        yield from bulk.pages(read.kind, read.feed.pages(reply))
        if cut_from is not None:
            yield from read.months(cut_from)


def _answer(pages: Sequence[Page]) -> Answer:
    """The pages of a whole read as the answer about ``*``."""
    return Answer(
        [record for page in pages for record in page.records],
        covers=[page.complete for page in pages if page.complete],
        failed=[bad for page in pages for bad in page.failed],
    )


def _rows(reply: list[Band]) -> int:
    return sum(band.rows for band in reply)


def _tally(reply: list[Band]) -> Tally:
    tally = Tally()
    with collector_paused():
        for band in taken(reply):
            tally.add(band)
    return tally
