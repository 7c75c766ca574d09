"""After a downtime: a source's ledger of events fills the gap, each event once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from app.domain import Change, Delivery, ItemKey, Kind
from app.flows.heal import heal_gaps
from app.sources.base import LedgerUnavailable, Recorded
from app.stores import inbox
from app.stores.engine import Database
from app.stores.inbox import Arrival
from tests.fakes import SHOP, FakeSource, World


class Remembering(FakeSource):
    """A shop with a ledger."""

    def __init__(self, *events: str) -> None:
        super().__init__()
        self.events = events
        self.switched_on = True
        self.asked_since: list[datetime] = []

    def missed(self, since: datetime, until: datetime) -> Iterator[Recorded]:
        self.asked_since.append(since)
        if not self.switched_on:
            raise LedgerUnavailable("the ledger is not enabled")
        for event in self.events:
            yield Recorded(delivery(event), b"{}")


def delivery(event: str) -> Delivery:
    return Delivery(event, "product.updated", [Change(Kind.PRODUCT, event.upper())])


@pytest.fixture
def world(database: Database) -> World:
    """A shop whose event ``a`` was heard before the downtime."""
    world = World(database, Remembering("a", "b", "c"))
    with database.begin() as conn:
        inbox.accept(conn, [Arrival(SHOP, delivery("a"), {}, b"{}", world.clock())])
    return world


def test_only_unseen_events_are_taken(world: World) -> None:
    assert heal_gaps(world.deps) == {SHOP: 2}


def test_the_items_of_unseen_events_are_owed_and_woken(world: World) -> None:
    heal_gaps(world.deps)
    assert world.queue.woken == [ItemKey(SHOP, Kind.PRODUCT, "B"), ItemKey(SHOP, Kind.PRODUCT, "C")]


def test_a_gap_is_healed_only_once(world: World) -> None:
    heal_gaps(world.deps)
    assert heal_gaps(world.deps) == {SHOP: 0}


def test_a_ledger_that_is_switched_off_leaves_the_gap_to_the_polls(world: World) -> None:
    assert isinstance(world.source, Remembering)
    world.source.switched_on = False
    assert heal_gaps(world.deps) == {}


def test_a_new_installation_asks_for_no_past(database: Database) -> None:
    source = Remembering("a")
    heal_gaps(World(database, source).deps)
    assert source.asked_since == []
