"""What the experiments with shops in memory have in common: the vendor, and our side on the real flows."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from itertools import count
from typing import Any

from app.channels.queue import NullQueue
from app.domain import (
    ALL_ITEMS,
    Answer,
    Cause,
    Change,
    ItemKey,
    Kind,
    MissingPolicy,
    Options,
    Page,
    Ref,
    Scope,
    Strategy,
    batches,
    key_of,
)
from app.errors import TallyhookError
from app.flows.deps import Deps
from app.flows.items.dead_letter import ITEM_ACTOR, record_dead_letter
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.sources.base import Limit, Receiver, Source
from app.stores import owed
from app.stores.sql.engine import Database

SHOP = "shop"
"""The name of the shop, and of its connection."""

DELTA_PAGE, FULL_PAGE = 100, 500
"""The number of records in a page of a delta, and of a complete read."""


class PlainSource:
    """The part of ``Source`` that needs no vendor: no webhooks, no orders by day, no limits, no connections."""

    listed_kinds: tuple[Kind, ...] = ()
    receiver: Receiver | None = None

    def pace(self, kind: Kind) -> float:
        """Zero: whole kinds may be read at any time."""
        return 0.0

    def storm_size(self, kind: Kind) -> int:
        """So large that no backlog is a storm."""
        return 1_000_000

    def order_ids(self, first: date, last: date) -> Iterator[tuple[date, str]]:
        """No orders."""
        return iter(())

    def calls(self) -> int:
        """Not counted."""
        return 0

    def budget(self) -> Sequence[Limit]:
        """No limits."""
        return ()

    def warm(self) -> None:
        """There is no client."""

    def close(self) -> None:
        """There is no client."""


class MemorySource(PlainSource):
    """A vendor in memory: what each read shows is a list of records, and a delta has those with a later version."""

    name = SHOP
    kinds: tuple[Kind, ...]
    whole_kinds: tuple[Kind, ...]

    def shown_in_full(self, kind: Kind) -> Sequence[Any]:
        """The records that a complete read shows."""
        raise NotImplementedError

    def shown_in_delta(self, kind: Kind) -> Sequence[Any]:
        """The records out of which a delta shows the later ones: by default those that a complete read shows."""
        return self.shown_in_full(kind)

    def shown_singly(self, kind: Kind) -> Sequence[Any]:
        """The records with which the vendor answers about single items: by default those that a delta shows."""
        return self.shown_in_delta(kind)

    def page(self, records: Sequence[Any]) -> Page:
        """Some records as our mapping reads them."""
        return Page(records=records)

    def batch_size(self, kind: Kind) -> int:
        """A hundred."""
        return DELTA_PAGE

    def check(self) -> None:
        """Always returns: the account answers."""

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        """What the vendor answers about single items."""
        wanted = {ref.external_id for ref in refs}
        records = [one for one in self.shown_singly(refs[0].kind) if key_of(one)[0] in wanted]
        known = {key_of(one)[0] for one in records}
        return Answer(records, gone=[ref for ref in refs if ref.external_id not in known])

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        """Records with a version above the watermark."""
        mark = int(since or 0)
        news = [one for one in self.shown_in_delta(kind) if one.version > mark]
        yield from map(self.page, batches(news, DELTA_PAGE))
        yield Page(watermark=str(max([mark, *(one.version for one in news)])))

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        """Everything that the lists show. Of orders, and of stock with a delta, it proves no absence."""
        records = self.shown_in_full(kind)
        yield from map(self.page, batches(records, FULL_PAGE))
        mark = max((one.version for one in records), default=0)
        is_open = kind is Kind.ORDER or (kind is Kind.STOCK and kind not in self.whole_kinds)
        absent = MissingPolicy.ZERO if kind is Kind.STOCK else MissingPolicy.DELETED
        yield Page(watermark=str(mark), complete=None if is_open else Scope(kind, absent=absent))

    def window(
        self, kind: Kind, since: datetime | None, until: datetime | None, resume: str | None = None
    ) -> Iterator[Page]:
        """Everything: no experiment asks for less."""
        yield from map(self.page, batches(self.shown_in_full(kind), FULL_PAGE))


class Copy:
    """Our copy of one shop in a database, with the clock ``now``."""

    def __init__(self, database: Database, source: Source, now: Callable[[], datetime]) -> None:
        self.database = database
        sources = {SHOP: source}
        self.deps = Deps(database, NullQueue(), sources, sources, worker="experiment", now=now)
        self.keeper = LeaseKeeper(database)
        self.numbers = count(1)

    def close(self) -> None:
        """End the thread that renews leases."""
        self.keeper.stop()

    def work(self, kind: Kind, id: str) -> None:
        """A worker processes an owed item; a final failure becomes a dead letter."""
        try:
            sync_item(self.deps, self.keeper, ItemKey(SHOP, kind, id))
        except TallyhookError as error:
            args = [SHOP, str(kind), id]
            name = f"message {next(self.numbers)}"
            record_dead_letter(self.deps, message_id=name, actor=ITEM_ACTOR, queue="live", args=args, error=error)

    def owe_whole(self, kind: Kind, cause: Cause = Cause.POLL) -> None:
        """Owe a look at the whole kind."""
        with self.database.begin() as conn:
            owed.owe(conn, SHOP, [Change(kind, ALL_ITEMS)], cause, self.deps.now())

    def poll(self) -> None:
        """Poll every kind."""
        for kind in self.deps.sources[SHOP].kinds:
            self.owe_whole(kind)
            self.work(kind, ALL_ITEMS)

    def read(self, strategy: Strategy = Strategy.FULL) -> int:
        """Request a run and carry it out, by default the complete read of a night; returns its number."""
        run_id = request_run(self.deps, SHOP, strategy, Options(), cause="schedule")
        run(self.deps, self.keeper, run_id, patience=0.0)
        return run_id
