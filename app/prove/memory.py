"""What the experiments with shops in memory have in common: the dull part of a vendor, and our side on the real flows."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from itertools import count

from app.channels.queue import NullQueue
from app.domain import ALL_ITEMS, Cause, Change, ItemKey, Kind, Options, Strategy
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


class MemorySource:
    """The part of ``Source`` that needs no vendor: no webhooks, no orders by day, no limits, no connections."""

    name = SHOP
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
