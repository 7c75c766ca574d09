"""Counts at a place that opened a moment ago are no disaster though nobody has read it yet; at one that is none they are."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import pytest

from app.domain import ALL_ITEMS, Answer, Cause, Change, ItemKey, Kind, Location, Page, Ref, Scope, StockCount
from app.flows.holds import holds
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.stores import owed
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing
from tests.flows.holds.test_holds import SIZE, read_all


class PlacedSource(FakeSource):
    """A shop with places; ``new`` are counts at a second one."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds = (Kind.LOCATION, Kind.PRODUCT, Kind.STOCK)
        self.whole_kinds = (Kind.LOCATION, Kind.STOCK)
        self.places = [Location("L1", name="Main")]
        self.new: list[StockCount] = []

    def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
        if kind is Kind.LOCATION:
            yield Page(records=self.places, complete=Scope(kind))
            return
        if kind is Kind.STOCK:
            yield Page(records=self.new)
        yield from super().full(kind, resume)

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        if refs[0].kind is not Kind.LOCATION:
            return super().fetch(refs)
        result = [place for ref in refs for place in self.places if place.external_id == ref.external_id]
        known = {place.external_id for place in result}
        return Answer(result, gone=[ref for ref in refs if ref.external_id not in known])


@pytest.fixture
def source() -> PlacedSource:
    return PlacedSource()


@pytest.fixture
def world(database: Database, source: PlacedSource) -> World:
    """A shop of 24 counts at one place, read once; then it shows four at another."""
    world = World(database, source)
    source.put(*(listing(f"P{number:02}") for number in range(SIZE)))
    source.put(*(count(f"P{number:02}", 5) for number in range(SIZE)))
    read_all(world)
    source.new = [StockCount(f"P{number:02}", "L2", "on_hand", Decimal(3)) for number in range(4)]
    return world


def poll_stock(world: World) -> list[str]:
    """The reasons of what is held."""
    world.clock.pass_(600)
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.STOCK, ALL_ITEMS)], Cause.POLL, world.clock())
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind.STOCK, ALL_ITEMS))
    return [hold.reason for hold in holds.list_(world.deps)]


def test_counts_at_a_place_that_opened_since_are_written(world: World, source: PlacedSource) -> None:
    source.places.append(Location("L2", name="New"))
    assert poll_stock(world) == []


def test_counts_at_a_place_that_the_source_does_not_know_are_held(world: World) -> None:
    assert poll_stock(world) == ["shows 4 counts at places that do not exist here"]


def test_of_a_row_that_is_new_a_hold_shows_what_it_says_beside_its_key(world: World) -> None:
    poll_stock(world)
    (hold,) = holds.list_(world.deps)
    row = holds.show(world.deps, hold.id).sample[0]
    assert (row.key, row.new, row.fields) == ("P00/L2/on_hand", True, {"quantity": [None, "3"]})
