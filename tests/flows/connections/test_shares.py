"""Fair shares of a process's threads: a connection whose calls hang leaves threads for the others."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.domain import Cause, Change, ItemKey, Kind
from app.errors import Unmappable
from app.flows.deps import Deps
from app.flows.items.leases import LeaseKeeper
from app.flows.items.shares import MAX_PARKED, Shares
from app.flows.items.sync_item import sync_item
from app.stores import owed
from app.stores.sql.engine import Database
from tests.fakes import Clock, FakeSource, ListQueue, listing
from tests.letters import all_letters

THREADS = 8


def key(connection: str, item: str = "A") -> ItemKey:
    return ItemKey(connection, Kind.PRODUCT, item)


def entered(shares: Shares, connection: str, tries: int) -> int:
    return sum(shares.enter(key(connection, f"{number}"), ()) for number in range(tries))


@pytest.mark.parametrize("connections", [1, 2, 3, 10])
def test_one_connection_alone_gets_all_the_threads_that_it_may_hold(connections: int) -> None:
    assert entered(Shares(THREADS, connections), "slow", 100) == THREADS


def test_who_comes_next_gets_three_quarters_of_what_is_left() -> None:
    shares = Shares(16)
    entered(shares, "slow", 100)
    assert (shares.all_threads, entered(shares, "second", 100)) == (22, 4)


@pytest.mark.parametrize("threads", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("connections", range(1, 12))
def test_every_connection_gets_a_thread_while_all_others_hold_theirs(threads: int, connections: int) -> None:
    shares = Shares(threads, connections)
    held = [entered(shares, f"{number}", 100) for number in range(connections)]
    assert min(held) >= 1
    assert sum(held) <= shares.all_threads


def test_nobody_is_limited_where_nobody_has_to_be_fair() -> None:
    assert entered(Shares(None), "only", 100) == 100


def test_what_found_no_thread_is_taken_up_by_the_next_that_is_free() -> None:
    shares = Shares(1)
    assert shares.enter(key("slow", "first"), ())
    assert not shares.enter(key("slow", "parked"), ("B",))
    assert shares.next("slow") == (key("slow", "parked"), ("B",))


def test_a_thread_without_more_work_is_free_for_others() -> None:
    shares = Shares(1)
    shares.enter(key("slow"), ())
    assert shares.next("slow") is None
    assert shares.enter(key("quick"), ())
    assert shares.enter(key("slow"), ())


def test_an_item_is_parked_once_however_often_it_comes() -> None:
    shares = Shares(1)
    shares.enter(key("slow", "first"), ())
    for _ in range(3):
        shares.enter(key("slow", "again"), ())
    assert shares.next("slow") == (key("slow", "again"), ())
    assert shares.next("slow") is None


def test_only_so_much_is_parked() -> None:
    shares = Shares(1)
    shares.enter(key("slow", "first"), ())
    entered(shares, "slow", MAX_PARKED + 500)
    taken = 0
    while shares.next("slow") is not None:
        taken += 1
    assert taken == MAX_PARKED


class Town:
    """Two shops and one worker process; the calls to the first hang until they are let go."""

    def __init__(self, database: Database) -> None:
        self.release = threading.Event()
        self.slow, self.quick = FakeSource(), FakeSource()
        self.slow.meanwhile = lambda: (self.release.wait(60), None)[1]
        sources = {"slow": self.slow, "quick": self.quick}
        self.database = database
        self.clock = Clock()
        self.deps = Deps(database, ListQueue(), sources, sources, worker="test", now=self.clock)
        shares = Shares(THREADS)
        self.keeper = LeaseKeeper(database, self.clock, shares=shares)
        self.pool = ThreadPoolExecutor(shares.all_threads)

    def owe(self, connection: str, *items: str) -> None:
        source = self.slow if connection == "slow" else self.quick
        source.put(*(listing(item) for item in items))
        with self.database.begin() as conn:
            changes = [Change(Kind.PRODUCT, item) for item in items]
            owed.owe(conn, connection, changes, Cause.WEBHOOK, self.clock())

    def send(self, connection: str, *items: str) -> list:  # type: ignore[type-arg]
        """Messages, worked on by the threads in their order."""
        return [self.pool.submit(sync_item, self.deps, self.keeper, key(connection, item)) for item in items]


@pytest.fixture
def town(database: Database) -> Iterator[Town]:
    town = Town(database)
    yield town
    town.release.set()
    town.pool.shutdown(wait=True)
    town.keeper.stop()


def test_a_quick_connection_is_served_while_every_call_of_another_hangs(town: Town) -> None:
    items = [f"S{number}" for number in range(50)]
    town.owe("slow", *items)
    town.owe("quick", "Q")
    town.send("slow", *items)
    (done,) = town.send("quick", "Q")
    done.result(timeout=60)
    assert town.quick.requests == [("Q",)]
    assert not town.release.is_set()


def test_what_was_parked_is_worked_off_when_the_calls_come_back(town: Town) -> None:
    items = [f"S{number}" for number in range(50)]
    town.owe("slow", *items)
    sent = town.send("slow", *items)
    town.release.set()
    for done in sent:
        done.result(timeout=60)
    assert sorted(item for (item,) in town.slow.requests) == sorted(items)


# --- failures of what is parked, and of who takes it up ---


def fails(town: Town, *items: str) -> None:
    for item in items:
        town.slow.poison[item] = Unmappable(f"product {item}: price is 'x', expected a number")


def one_thread(town: Town) -> LeaseKeeper:
    return LeaseKeeper(town.database, town.clock, shares=Shares(1))


def letters(town: Town) -> list[tuple[str | None, str]]:
    return [(letter.external_id, letter.error_type) for letter in all_letters(town.database)]


def test_a_parked_item_that_fails_for_good_becomes_a_letter_at_once(town: Town) -> None:
    town.owe("slow", "A", "B")
    fails(town, "B")
    keeper = one_thread(town)
    town.slow.meanwhile = once(lambda: sync_item(town.deps, keeper, key("slow", "B")))
    sync_item(town.deps, keeper, key("slow", "A"))
    assert letters(town) == [("B", "Unmappable")]
    with town.database.read() as conn:
        assert owed.count(conn) == 0


def test_an_item_that_fails_for_good_dies_before_what_was_parked_meanwhile_is_worked_on(town: Town) -> None:
    town.owe("slow", "A", "B")
    fails(town, "A")
    keeper = one_thread(town)
    town.slow.meanwhile = once(lambda: sync_item(town.deps, keeper, key("slow", "B")))
    with pytest.raises(Unmappable):
        sync_item(town.deps, keeper, key("slow", "A"))
    assert town.slow.requests == [("A",)]


def test_what_a_dying_thread_leaves_parked_gets_a_message(town: Town) -> None:
    town.owe("slow", "A", "B")
    fails(town, "A")
    keeper = one_thread(town)
    town.slow.meanwhile = once(lambda: sync_item(town.deps, keeper, key("slow", "B")))
    with pytest.raises(Unmappable):
        sync_item(town.deps, keeper, key("slow", "A"))
    assert town.deps.queue.enqueued == [key("slow", "B")]  # type: ignore[attr-defined]


def once(work: Callable[[], object]) -> Callable[[], None]:
    left = [work]
    return lambda: None if not left else (left.pop()(), None)[1]
