"""A vendor in memory, for fast tests of the flows: it holds listings and counts, and fails on demand."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec

from app.domain import (
    Answer,
    BadRecord,
    Change,
    Delivery,
    ItemKey,
    Kind,
    Listing,
    Mentioned,
    MissingPolicy,
    Page,
    Ref,
    Scope,
    StockCount,
)
from app.flows.deps import Deps
from app.sources.base import Limit, PayloadInvalid, Receiver, SignatureInvalid
from app.stores.sql.engine import Database

SHOP = "shop"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def listing(external_id: str, version: int = 1, **fields: object) -> Listing:
    """A listing last changed ``version`` seconds after the shop opened."""
    base = Listing(external_id=external_id, sku=f"SKU-{external_id}", name=f"Product {external_id}")
    moment = EPOCH + timedelta(seconds=version)
    return msgspec.structs.replace(base, version=version * 1_000_000, modified_at=moment, **fields)


def count(listing_id: str, quantity: int, version: int = 1) -> StockCount:
    """So many on hand at the one location."""
    return StockCount(listing_id, "L1", "on_hand", Decimal(quantity), version=version * 1_000_000)


class PlainReceiver:
    """Takes JSON ``{"id", "type", "items": [[kind, external id]]}`` from whoever knows the word."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        if headers.get("x-word") != "friend":
            raise SignatureInvalid("the word is wrong")

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        try:
            read = msgspec.json.decode(body)
            changes = [Change(Kind(kind), external_id) for kind, external_id in read["items"]]
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise PayloadInvalid('right would be {"id", "type", "items"}') from error
        return Delivery(read["id"], read["type"], changes, ignored=read["type"] == "unknown")


class FakeSource:
    """A shop of listings and counts. ``failures`` are raised one per call; ``meanwhile`` runs inside each fetch.

    Every call raises ``down`` while it is set, those about a kind in ``refuses`` raise what stands there, and each check
    raises one of ``check_failures``.
    """

    def __init__(
        self, *, batch: int = 1, storm: int = 10_000, pace: float = 0.0, page_size: int | None = None
    ) -> None:
        self.name = "fake"
        self.kinds: tuple[Kind, ...] = (Kind.PRODUCT, Kind.STOCK)
        self.whole_kinds: tuple[Kind, ...] = (Kind.STOCK,)
        self.listed_kinds: tuple[Kind, ...] = ()
        self.receiver: Receiver | None = PlainReceiver()
        self.listings: dict[str, Listing] = {}
        self.counts: dict[str, StockCount] = {}
        self.failures: deque[BaseException] = deque()
        self.check_failures: deque[BaseException] = deque()
        self.down: BaseException | None = None
        self.refuses: dict[Kind, BaseException] = {}
        self.checks = 0
        self.poison: dict[str, BaseException] = {}
        self.meanwhile: Callable[[], None] = lambda: None
        self.on_call: Callable[[], None] = lambda: None
        self.requests: list[tuple[str, ...]] = []
        self.not_yet: set[str] = set()
        self.unreadable: dict[str, str] = {}
        self.limits: Sequence[Limit] = ()
        self.page_size = page_size
        self.pages_read: list[str] = []
        self.on_page: Callable[[int], object] = lambda number: None
        self.mentioned: list[Mentioned] = []
        self.mapping = "fake"
        self.order_days: list[tuple[date, str]] = []
        self._batch, self._storm, self._pace = batch, storm, pace

    def put(self, *records: Listing | StockCount) -> None:
        """The shop now has these."""
        for record in records:
            if isinstance(record, Listing):
                self.listings[record.external_id] = record
            else:
                self.counts[record.listing_id] = record

    def batch_size(self, kind: Kind) -> int:
        return self._batch

    def pace(self, kind: Kind) -> float:
        return self._pace

    def storm_size(self, kind: Kind) -> int:
        return self._storm

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        self._called(*(ref.external_id for ref in refs), kind=refs[0].kind)
        self.meanwhile()
        for ref in refs:
            if ref.external_id in self.poison:
                raise self.poison[ref.external_id]
        held: Mapping[str, Listing | StockCount] = self.listings if refs[0].kind is Kind.PRODUCT else self.counts
        late = [ref for ref in refs if ref.external_id in self.not_yet]
        bad = [
            BadRecord(*ref, self.unreadable[ref.external_id]) for ref in refs if ref.external_id in self.unreadable
        ]
        known = [ref for ref in refs if ref not in late and ref.external_id not in self.unreadable]
        gone = [ref for ref in known if ref.external_id not in held]
        result = [held[ref.external_id] for ref in known if ref.external_id in held]
        return Answer(records=result, gone=gone, not_yet=late, failed=bad)

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        if kind in self.whole_kinds or since is None:
            yield from self.full(kind)
            return
        self._called(f"delta {kind} {since}", kind=kind)
        newest = [one for one in self.listings.values() if one.version >= int(since)]
        yield Page(records=newest, mentioned=self.mentioned)
        yield Page(watermark=str(max((one.version for one in newest), default=int(since))))

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        """In pages of ``page_size``, each but the last with a resume token: how many records are behind it."""
        self._called(f"full {kind}", kind=kind)
        held: Sequence[Listing | StockCount] = list(
            self.listings.values() if kind is Kind.PRODUCT else self.counts.values()
        )
        mark = max((one.version for one in held), default=0)
        yield from self._pages(held, resume)
        if kind is Kind.PRODUCT:
            yield Page(watermark=str(mark), complete=Scope(kind))
        else:
            yield Page(complete=Scope(kind, absent=MissingPolicy.ZERO))

    def window(
        self, kind: Kind, since: datetime | None, until: datetime | None, resume: str | None = None
    ) -> Iterator[Page]:
        """What was modified in between; stock, which has no times here, as a whole."""
        self._called(f"window {kind}", kind=kind)
        if kind is Kind.PRODUCT:
            inside = [one for one in self.listings.values() if _between(since, one.modified_at, until)]
            yield from self._pages(inside, resume)
            yield from [Page(mentioned=self.mentioned)] if self.mentioned else []
        else:
            yield from self._pages(list(self.counts.values()), resume)

    def order_ids(self, first: date, last: date) -> Iterator[tuple[date, str]]:
        self._called("order ids")
        yield from (day for day in self.order_days if first <= day[0] <= last)

    def _pages(self, records: Sequence[Listing | StockCount], resume: str | None) -> Iterator[Page]:
        start, size = int(resume or 0), self.page_size or max(1, len(records))
        for at in range(start, len(records), size):
            self.pages_read.append(f"{at}")
            self.on_page(at // size)
            token = None if self.page_size is None else str(at + size)
            yield Page(
                records=records[at : at + size], resume=token, expected=len(records), label=f"page {at // size}"
            )

    def check(self) -> None:
        self.checks += 1
        if self.check_failures:
            raise self.check_failures.popleft()
        if self.down is not None:
            raise self.down

    def calls(self) -> int:
        return len(self.requests)

    def budget(self) -> Sequence[Limit]:
        return self.limits

    def warm(self) -> None:
        return None

    def close(self) -> None:
        return None

    def _called(self, *what: str, kind: Kind | None = None) -> None:
        self.requests.append(what)
        self.on_call()
        if self.down is not None:
            raise self.down
        if kind in self.refuses:
            raise self.refuses[kind]
        if self.failures:
            raise self.failures.popleft()


def _between(since: datetime | None, moment: datetime | None, until: datetime | None) -> bool:
    return moment is not None and (since is None or since <= moment) and (until is None or moment <= until)


class ListQueue:
    """A queue that only notes what it was asked to send."""

    def __init__(self) -> None:
        self.enqueued: list[ItemKey] = []
        self.runs: list[int] = []
        self.replays: list[int] = []
        self.resent: list[tuple[str, str, Sequence[object]]] = []

    def enqueue(self, keys: Sequence[ItemKey]) -> None:
        self.enqueued.extend(keys)

    def enqueue_run(self, run_id: int) -> None:
        self.runs.append(run_id)

    def enqueue_replay(self, replay_id: int) -> None:
        self.replays.append(replay_id)

    def resend(self, actor: str, queue: str, args: Sequence[object], *, id: str | None = None) -> None:
        self.resent.append((actor, queue, args))

    def depth(self) -> int:
        return 0


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def pass_(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class World:
    """One fake shop connected to a real database."""

    def __init__(self, database: Database, source: FakeSource | None = None) -> None:
        self.source = source or FakeSource()
        self.queue = ListQueue()
        self.clock = Clock()
        self.database = database
        sources = {SHOP: self.source}
        self.deps = Deps(database, self.queue, sources, sources, worker="test", now=self.clock)
