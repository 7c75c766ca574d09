"""What a list shows beside the item that it was read for: a neighbour that cannot be stored harms only itself."""

from collections.abc import Sequence

import pytest

from app.domain import Answer, Cause, Change, ItemKey, Kind, Ref
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.stores import owed
from app.stores.runs import failed_items
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, listing
from tests.letters import all_letters
from tests.rows import row_of

PRODUCT = Kind.PRODUCT


class Listing(FakeSource):
    """Answers for any item with all that it has, as a vendor does who has only a list."""

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        self.requests.append(tuple(ref.external_id for ref in refs))
        return Answer(records=list(self.listings.values()))


@pytest.fixture
def world(database: Database) -> World:
    world = World(database, Listing())
    world.source.put(listing("A", 5, name="Bowl"), listing("B", 5, name="half a pair \ud800"))
    return world


def sync(world: World, item: str) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(PRODUCT, item)], Cause.WEBHOOK, world.clock())
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, item))


def test_an_item_settles_though_its_neighbour_in_the_list_cannot_be_stored(world: World) -> None:
    sync(world, "A")
    with world.database.read() as conn:
        row = row_of(conn, SHOP, PRODUCT, ("A",))
        assert owed.count(conn) == 0
    assert row is not None
    assert row["name"] == "Bowl"
    assert all_letters(world.database) == []


def test_the_neighbour_is_a_failed_item(world: World) -> None:
    sync(world, "A")
    with world.database.read() as conn:
        assert failed_items.open_refs(conn, SHOP) == [Ref(PRODUCT, "B")]
