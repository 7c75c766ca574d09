"""A fault of the database is nobody's fault: the item stays owed as it was, wherever in its way the fault comes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from app.domain import Cause, Change, ItemKey, Kind
from app.errors import DatabaseFault
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.stores import owed
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, listing
from tests.rows import row_of

KEY = ItemKey(SHOP, Kind.PRODUCT, "A")


class Faulty(Database):
    """A database that is in trouble at one of its transactions: before it begins, or after it was committed."""

    def __init__(self, inner: Database, at: int, *, committed: bool) -> None:
        self.__dict__.update(inner.__dict__)
        self._left, self._committed = at, committed

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._left -= 1
        hit = self._left == -1
        if hit and not self._committed:
            raise DatabaseFault("the connection is lost")
        with super().begin() as conn:
            yield conn
        if hit:
            raise DatabaseFault("the answer to the commit is lost")


@pytest.fixture
def world(database: Database) -> World:
    world = World(database, FakeSource(batch=10))
    world.source.put(*(listing(item) for item in "ABC"))
    with database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, item) for item in "ABC"], Cause.WEBHOOK, world.clock())
    return world


def sync(world: World, *, at: int, committed: bool) -> None:
    keeper = LeaseKeeper(world.database, world.clock)
    sync_item(replace(world.deps, database=Faulty(world.database, at, committed=committed)), keeper, KEY)
    keeper.stop()


def counted(world: World) -> list[int]:
    """Attempts and kills of what is owed, and the letters."""
    with world.database.read() as conn:
        queries = ("sum(attempts) FROM owed_items", "sum(kills) FROM owed_items", "count(*) FROM dead_letters")
        return [int(conn.exec_driver_sql(f"SELECT {query}").scalar() or 0) for query in queries]


faults = pytest.mark.parametrize(("at", "committed"), [(at, done) for at in range(4) for done in (False, True)])


@faults
def test_a_fault_of_the_database_counts_nothing(world: World, at: int, committed: bool) -> None:
    sync(world, at=at, committed=committed)
    assert counted(world) == [0, 0, 0]


@faults
def test_after_a_fault_of_the_database_everything_is_written_within_a_lease(
    world: World, at: int, committed: bool
) -> None:
    sync(world, at=at, committed=committed)
    world.clock.pass_(LEASE + 1)  # a claim whose commit was not answered holds its items for so long
    for item in "ABC":
        sync_item(world.deps, LeaseKeeper(world.database, world.clock), ItemKey(SHOP, Kind.PRODUCT, item))
    with world.database.read() as conn:
        held = [item for item in "ABC" if row_of(conn, SHOP, Kind.PRODUCT, (item,))]
        assert (held, owed.count(conn)) == (["A", "B", "C"], 0)


@faults
def test_each_change_is_settled_once_whatever_became_of_the_commits_answer(
    world: World, at: int, committed: bool
) -> None:
    sync(world, at=at, committed=committed)
    world.clock.pass_(LEASE + 1)
    for item in "ABC":
        sync_item(world.deps, LeaseKeeper(world.database, world.clock), ItemKey(SHOP, Kind.PRODUCT, item))
    with world.database.read() as conn:
        rows = conn.exec_driver_sql("SELECT external_id, sum(changes) FROM settlements GROUP BY external_id")
        assert {item: int(changes) for item, changes in rows} == {"A": 1, "B": 1, "C": 1}
