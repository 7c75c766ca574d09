"""One Square account as a ``Source``: which calls answer which question.

``feeds`` reads what changed since a watermark, ``bulk`` reads in full or a period.

An owed product is an ITEM id; its listings are the item's variations (``parent_id`` is the item). One read of an item
covers all its listings, so it shows that a variation is gone without fetching it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial

from app.domain import ALL_ITEMS, Answer, Kind, Page, PastPage, Ref, Scope, micros
from app.errors import AuthRejected, VendorRefused
from app.sources.base import LedgerUnavailable, Limit, PayloadInvalid, Receiver, Recorded, ResumeLost, Subscription
from app.sources.client import ClientSource
from app.sources.labels import numbered
from app.sources.period import Period, narrowed
from app.sources.setup import Registered
from app.sources.square import bulk, feeds, fetches, ledger, order_days, parties, setup
from app.sources.square.client import CATALOG_IDS, ORDER_IDS, VENDOR_IDS, Client, Places
from app.sources.square.isolation import id_in, readable
from app.sources.square.times import text_of
from app.sources.square.webhook import SquareReceiver

BATCHES = {
    Kind.PRODUCT: CATALOG_IDS,
    Kind.CATEGORY: CATALOG_IDS,
    Kind.STOCK: 1000,
    Kind.ORDER: ORDER_IDS,
    Kind.VENDOR: VENDOR_IDS,
    Kind.LOCATION: 1000,
}


class SquareSource(ClientSource):
    """Implements ``Source``, ``EventLedger`` and ``InventoryLedger``."""

    name = "square"
    whole_kinds: tuple[Kind, ...] = (Kind.LOCATION, Kind.VENDOR)
    listed_kinds: tuple[Kind, ...] = ()
    kinds: tuple[Kind, ...] = (Kind.LOCATION, Kind.CATEGORY, Kind.VENDOR, Kind.PRODUCT, Kind.STOCK, Kind.ORDER)

    def __init__(self, client: Client, receiver: SquareReceiver | None) -> None:
        self.receiver: Receiver | None = receiver
        self._client = client
        self._http = client.http
        self._events = receiver or SquareReceiver("", ())
        self._zones: dict[str, str] = {}

    def batch_size(self, kind: Kind) -> int:
        """Every kind has a batch read."""
        return BATCHES[kind]

    def pace(self, kind: Kind) -> float:
        """Deltas are cheap here: one call when nothing has changed. Kinds without one are whole reads."""
        return 2.0 if kind in (Kind.LOCATION, Kind.VENDOR) else 1.0

    def storm_size(self, kind: Kind) -> int:
        """Large: batches of a hundred to a thousand cope with nearly any backlog."""
        return 20 * BATCHES[kind]

    def check(self) -> None:
        """List the locations once."""
        self._client.check()

    def account(self) -> str:
        """The merchant's id, empty where no location names it; raises as every read does."""
        return next(filter(None, (id_in(place, "merchant_id") for place in self._places().locations)), "")

    def learn(self, account: str) -> None:
        """Treat events about another merchant as foreign from now on."""
        if isinstance(self.receiver, SquareReceiver):
            self.receiver.learn(account)

    def budget(self) -> Sequence[Limit]:
        """One rate for all requests, as this process has observed it."""
        return self._client.pace.limits()

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        """The present truth about items of one kind.

        Stock: the counts that Square holds; a missing count is neither zero nor a deletion, so nothing is covered.
        Orders: an id that Square does not know (yet), or an order so young that its lines are missing, is
        ``not_yet``: Square announces orders before it can show them, and never deletes one. Locations: always all of
        them, but only for ``ALL_ITEMS`` does that cover those that were not requested.
        """
        if not refs:
            return Answer()
        readers: Mapping[Kind, Callable[[Sequence[Ref]], Answer]] = {
            Kind.PRODUCT: partial(fetches.products, self._client),
            Kind.CATEGORY: partial(fetches.categories, self._client),
            Kind.STOCK: partial(fetches.stock, self._client),
            Kind.ORDER: self._orders,
            Kind.VENDOR: partial(fetches.vendors, self._client),
            Kind.LOCATION: self._locations,
        }
        return readers[refs[0].kind](refs)

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        """What changed since a watermark; products come as changes to fetch, everything else as records."""
        if kind is Kind.ORDER:
            return self._of_places(partial(feeds.orders_since, since=since))
        if since is None or kind not in feeds.DELTAS:
            return self.full(kind)
        return feeds.DELTAS[kind](self._client, since)

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        """A complete read. Those of stock and orders prove no absence: see ``bulk``."""
        if kind is Kind.ORDER:
            return self._of_places(partial(bulk.orders_of_the_week, resume=resume))
        if kind is Kind.LOCATION:
            return self._all_locations(resume)
        return bulk.WHOLE[kind](self._client, resume)

    def window(
        self, kind: Kind, since: datetime | None, until: datetime | None, resume: str | None = None
    ) -> Iterator[Page]:
        """Records last modified in a period, see ``bulk``; locations, which have no times, in full."""
        period = Period(since, until)
        if kind is Kind.ORDER:
            return self._of_places(partial(bulk.orders_window, period=period, resume=resume))
        if kind in bulk.WINDOWS:
            return bulk.WINDOWS[kind](self._client, period, resume)
        return (narrowed(page, period) for page in self.full(kind, resume))

    def order_ids(self, first: date, last: date) -> Iterator[tuple[date, str]]:
        """Every order created on these days in the time zone of its location, as ``ordered_on`` is."""
        yield from order_days.order_ids(self._client, self._places(), first, last)

    def missed(self, since: datetime, until: datetime) -> Iterator[Recorded]:
        """Events of the last 28 days from the Events API (beta).

        It is off by default, records only while it is on, and takes a personal access token only. An unreadable event
        is left out: its webhook was unreadable too, and the polls see what it was about. Raises ``LedgerUnavailable``
        when Square refuses it.
        """
        try:
            for page in self._client.events_search(text_of(since), text_of(until)):
                yield from filter(None, (self._recorded(bytes(event)) for event in page.events or []))
        except VendorRefused as error:
            raise LedgerUnavailable(f"Square's Events API is not enabled for this application ({error})") from error
        except AuthRejected as error:
            raise LedgerUnavailable(
                f"Square's Events API refuses this token; it takes a personal access token only ({error})"
            ) from error

    def past_changes(self, listing_ids: Sequence[str], since: datetime) -> Iterator[PastPage]:
        """Stock takes, adjustments and transfers of some variations."""
        return ledger.past_changes(self._client, listing_ids, since)

    def _recorded(self, body: bytes) -> Recorded | None:
        try:
            return Recorded(self._events.parse({}, body), body)
        except PayloadInvalid:
            return None

    @property
    def signed_url(self) -> str:
        """The notification URL as we know it."""
        return self.receiver.url if isinstance(self.receiver, SquareReceiver) else ""

    def subscriptions(self) -> Sequence[Subscription]:
        """The subscriptions with our notification URL; all of them when we do not know our own."""
        ours = self.signed_url
        return [registration for registration in self.registrations() if not ours or registration.url == ours]

    def registrations(self) -> Sequence[Subscription]:
        """All subscriptions of the application."""
        return [setup.subscription(data) for data in self._client.subscriptions() if isinstance(data, dict)]

    def register(self, url: str, options: Mapping[str, str]) -> Registered:
        """Have Square send every event that we follow to this URL."""
        return setup.register(self._client, url, self._client.version)

    def _orders(self, refs: Sequence[Ref]) -> Answer:
        rows = self._client.orders_retrieve([ref.external_id for ref in refs])
        if any(id_in(row, "location_id") not in self._zones for row in rows):
            self._places()
        shown = feeds.orders_of(rows, self._zones, self._client.now())
        return Answer(shown.records, not_yet=fetches.not_shown(refs, shown), failed=shown.failed)

    def _locations(self, refs: Sequence[Ref]) -> Answer:
        (page,) = self._all_locations()
        named = [ref for ref in refs if ref.external_id != ALL_ITEMS]
        if not page.records and not page.failed:
            return Answer(not_yet=named)  # a merchant has a location: an answer without any does not count
        gone, not_yet = fetches.absent(named, page)
        is_whole = len(named) < len(refs) and all(bad.external_id for bad in page.failed)
        return Answer(page.records, gone, not_yet, [Scope(Kind.LOCATION)] if is_whole else [], page.failed)

    def _of_places(self, read: Callable[[Client, Places, Mapping[str, str]], Iterator[Page]]) -> Iterator[Page]:
        places = self._places()
        yield from read(self._client, places, self._zones)

    def _all_locations(self, resume: str | None = None) -> Iterator[Page]:
        if resume is not None:
            raise ResumeLost("all locations come in one call, so a read cannot resume in between")
        began = micros(self._client.now())
        rows = self._places().locations
        result = readable(Kind.LOCATION, rows, lambda data: parties.location(data, began))
        label = numbered(Kind.LOCATION, 1)
        yield Page(
            result.records, complete=Scope(Kind.LOCATION), label=label, expected=len(rows), failed=result.failed
        )

    def _places(self) -> Places:
        """All locations. Their time zones are kept, because they decide an order's business date."""
        places = self._client.locations()
        self._zones = {**self._zones, **places.zones}
        return places
