"""The life of a simulated shop before we knew it, and its first load."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from app.domain import Kind, StockCount, Strategy
from app.flows.catalog import past
from app.sources.square.simulator import world as simulated
from app.sources.square.simulator.clock import Clock
from app.stores import history
from app.stores.history.rows import ROWS
from tests.flows.shops import SHOP, Shop

DAYS = 5_000
"""More than since the simulated shop opened."""

Counts = Mapping[tuple[str, str, str], Decimal]


class Life:
    """A shop's life before we knew it: the simulator's clock stands where the test puts it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began = time.time() - 20 * 86_400
        self.ahead = 0.0
        self.worlds: list[simulated.World] = []
        opened = simulated.World.__init__

        def noted(world: simulated.World, options: Any) -> None:
            opened(world, options)
            self.worlds.append(world)

        monkeypatch.setattr(simulated.World, "__init__", noted)
        monkeypatch.setattr(simulated, "Clock", self.clock)

    def clock(self) -> Clock:
        return Clock(self.now)

    def now(self) -> float:
        return self.began + self.ahead

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def live(self, place: Shop, steps: int = 12, changes: int = 60) -> list[tuple[datetime, Counts]]:
        """Days with changes, and what the vendor had after each of them."""
        log = []
        for _ in range(steps):
            self.ahead += 86_400
            place.change(changes)
            self.ahead += 60
            log.append((self.moment(), counts_there(place)))
        return log

    def arrive(self) -> None:
        """Today."""
        self.ahead = time.time() - self.began


def counts_there(place: Shop) -> Counts:
    records = [record for page in place.source.full(Kind.STOCK) for record in page.records]
    counts = [record for record in records if isinstance(record, StockCount) and record.quantity]
    return {(count.listing_id, count.location_id, count.state): count.quantity for count in counts}


def installed(life: Life, place: Shop) -> None:
    """Read the shop for the first time, and its past."""
    life.arrive()
    place.run(Strategy.FULL)
    read_all(place)


def read_all(place: Shop) -> None:
    assert past.take_turn(place.deps) == SHOP
    past.read_past(place.deps, SHOP, DAYS)


def rows(place: Shop) -> list[tuple[Any, ...]]:
    """The rows of the past, without what differs between two readings."""
    columns = (ROWS.c.external_id, ROWS.c.location_id, ROWS.c.state, ROWS.c.changed_at)
    values = (ROWS.c.quantity_before, ROWS.c.quantity_after)
    query = select(*columns, *values).where(ROWS.c.op == history.PAST, ROWS.c.external_id != "")
    with place.deps.database.read() as conn:
        return sorted(map(tuple, conn.execute(query)), key=str)
