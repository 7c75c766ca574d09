"""Several readers that hold the same kind at once, each with a batch of its own: none fails, and one hold waits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, repeat

import pytest

from app.domain import Cause, Change, ItemKey, Kind
from app.errors import Conflict
from app.flows.deps import Deps, Turns
from app.flows.holds import hold_back, holds
from app.flows.holds.doubted import Doubt, judged, settled
from app.flows.holds.hold_back import Held, KindRead
from app.flows.holds.plausible import Verdict, examine
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.rules.guard.guard import POLL
from app.stores import owed as items
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch, held_rows
from app.stores.guard import holds as stored
from app.stores.sql.engine import Database
from tests.fakes import EPOCH, SHOP, World, listing
from tests.flows.holds.test_holds import SIZE, only, price, read_all
from tests.stores.racing import at_once

RACERS = 8


def racing(database: Database) -> World:
    """A shop of products at 10.00, read once."""
    world = World(database)
    world.source.put(*(listing(f"P{number:02}", price_minor=1_000) for number in range(SIZE)))
    read_all(world)
    return world


def verdict(world: World, number: int) -> Verdict:
    """Of a batch that one of the racers has read: others have other rows."""
    spool = Spool(Kind.PRODUCT)
    for row in range(SIZE - number):
        spool.add("", listing(f"P{row:02}", 9, price_minor=100_000), 0)
    return examine(world.deps, SHOP, Batch(Kind.PRODUCT, (spool,)), POLL)


def keep(world: World, found: Verdict) -> Held:
    return hold_back.keep(world.deps, KindRead(SHOP, Kind.PRODUCT, EPOCH), found, {})


def states(world: World) -> list[str]:
    with world.database.read() as conn:
        return sorted(conn.exec_driver_sql("SELECT state FROM holds").scalars())


def test_readers_that_hold_a_kind_at_once_leave_one_hold_that_waits(database: Database) -> None:
    world = racing(database)
    verdicts = [verdict(world, number) for number in range(RACERS)]
    at_once(RACERS, lambda number: keep(world, verdicts[number]))
    assert states(world) == [*["expired"] * (RACERS - 1), "held"]


def test_readers_of_the_same_batch_leave_one_hold_with_all_of_its_rows(database: Database) -> None:
    world = racing(database)
    at_once(RACERS, lambda _: keep(world, verdict(world, 0)))
    (hold,) = holds.list_(world.deps)
    with database.read() as conn:
        assert stored.is_kept(conn, hold.id)


def test_a_hold_beside_a_release_that_is_being_written_waits_for_it(database: Database) -> None:
    world = racing(database)
    keep(world, verdict(world, 0))
    (hold,) = holds.list_(world.deps)
    other = verdict(world, 3)
    with database.begin() as conn:
        stored.close(conn, hold.id, stored.RELEASED)  # and its process dies, or is not yet done
    keep(world, other)
    assert states(world) == ["applied", "held"]


def test_a_release_that_races_with_another_batch_is_refused_or_written_whole(database: Database) -> None:
    world = racing(database)
    price(world)
    read_all(world)
    (hold,) = holds.list_(world.deps)
    other = verdict(world, 3)
    deeds: list[Callable[[], object]] = [partial(holds.release, world.deps, hold.id), partial(keep, world, other)]

    def do(number: int) -> str:
        try:
            deeds[number]()
        except Conflict:
            return "refused"
        return "done"

    said = at_once(2, do)
    assert said[1] == "done"
    assert states(world) == (["applied", "held"] if said[0] == "done" else ["expired", "held"])


def gone(world: World, id: str) -> Doubt:
    """What the guard says, beside what waits, of a product that is gone."""
    return judged(world.deps, SHOP, Batch(Kind.PRODUCT, ([],), [(id,)], asked=True), POLL)


def owed(world: World) -> list[str]:
    with world.database.read() as conn:
        return sorted(conn.exec_driver_sql("SELECT external_id FROM owed_items").scalars())


def test_a_row_that_another_reader_has_seen_otherwise_meanwhile_is_asked_for_again(database: Database) -> None:
    world = racing(database)
    keep(world, verdict(world, 0))
    one, other = gone(world, "P00"), gone(world, "P01")  # both beside the same hold
    settled(world.deps, SHOP, one, EPOCH)
    settled(world.deps, SHOP, other, EPOCH)
    assert owed(world) == ["P00"]


def test_a_row_that_was_left_out_of_a_hold_meanwhile_is_asked_for_again(database: Database) -> None:
    world = racing(database)
    keep(world, verdict(world, 0))
    (hold,) = holds.list_(world.deps)
    one = gone(world, "P00")
    hold_back.leave_out(world.deps, hold, {("P03",): world.clock()})
    settled(world.deps, SHOP, one, EPOCH)
    assert owed(world) == ["P03"]


def dearer(world: World, *ids: str) -> Doubt:
    """What the guard says, beside what waits, of products that cost a hundred times as much."""
    records = [listing(id, 9, price_minor=100_000) for id in ids]
    return judged(world.deps, SHOP, Batch(Kind.PRODUCT, (records,), asked=True), POLL)


def test_a_row_that_another_reader_has_added_meanwhile_waits_on(database: Database) -> None:
    world = racing(database)
    keep(world, verdict(world, 8))
    one, other = dearer(world, "P16", "P17", "P18"), dearer(world, "P19", "P20", "P21")  # both beside the same hold
    settled(world.deps, SHOP, one, EPOCH)
    settled(world.deps, SHOP, other, EPOCH)
    assert (owed(world), only(world).rows) == ([], SIZE - 2)


def test_a_release_writes_what_another_reader_has_added_meanwhile_and_what_waited_before(database: Database) -> None:
    world = racing(database)
    began = world.clock()
    hold_back.keep(world.deps, KindRead(SHOP, Kind.PRODUCT, began), verdict(world, 8), {})
    one, other = dearer(world, "P16", "P17", "P18"), dearer(world, "P19", "P20", "P21")
    settled(world.deps, SHOP, one, began)
    settled(world.deps, SHOP, other, began)
    holds.release(world.deps, only(world).id)
    assert (len(expensive(world)), owed(world)) == (SIZE - 2, [])


def test_holds_that_begin_to_wait_at_the_same_moment_lose_no_row(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = racing(database)
    one, other = dearer(world, "P16", "P17", "P18"), dearer(world, "P19", "P20", "P21")  # nothing waits yet
    settled(world.deps, SHOP, one, EPOCH)
    looks = chain([lambda *_: None], repeat(stored.lock_open))  # the other looked for a hold just before that
    monkeypatch.setattr(stored, "lock_open", lambda *args: next(looks)(*args))
    settled(world.deps, SHOP, other, EPOCH)
    assert (owed(world), waiting(world)) == ([], ["P16", "P17", "P18", "P19", "P20", "P21"])


def expensive(world: World) -> list[str]:
    with world.database.read() as conn:
        return sorted(conn.exec_driver_sql("SELECT external_id FROM listings WHERE price_minor = 100000").scalars())


def notify_in_threads(world: World, deps: Sequence[Deps]) -> None:
    """A webhook for each product, processed by as many threads as there are ``deps``, and then whatever is still owed."""
    everything = [f"P{number:02}" for number in range(SIZE)]
    with world.database.begin() as conn:
        items.owe(conn, SHOP, [Change(Kind.PRODUCT, id) for id in everything], Cause.WEBHOOK, world.clock())
    world.source.requests.clear()

    def work(number: int) -> None:
        keeper = LeaseKeeper(world.database)
        for id in everything[number :: len(deps)]:
            sync_item(deps[number], keeper, ItemKey(SHOP, Kind.PRODUCT, id))

    at_once(len(deps), work)
    for id in owed(world):
        sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind.PRODUCT, id))


@pytest.mark.parametrize("processes", [1, RACERS], ids=["in one process", "in a process each"])
def test_products_that_are_doubted_at_once_are_each_fetched_once_and_wait(database: Database, processes: int) -> None:
    world = racing(database)
    price(world)
    deps = [replace(world.deps, turns=Turns()) if processes > 1 else world.deps for _ in range(RACERS)]
    notify_in_threads(world, deps)
    assert (len(world.source.requests), owed(world)) == (SIZE, [])
    assert sorted([*expensive(world), *waiting(world)]) == [f"P{number:02}" for number in range(SIZE)]


def waiting(world: World) -> list[str]:
    hold = only(world)
    with world.database.read() as conn:
        return sorted(row.key[0] for row in held_rows.page(conn, hold.id, Kind.PRODUCT))
