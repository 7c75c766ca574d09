"""Several readers that hold the same kind at once, each with a batch of its own: none fails, and one hold waits."""

from collections.abc import Callable
from functools import partial

from app.domain import Kind
from app.errors import Conflict
from app.flows.holds import hold_back, holds
from app.flows.holds.doubted import Doubt, judged, settled
from app.flows.holds.hold_back import Held, KindRead
from app.flows.holds.plausible import Verdict, examine
from app.rules.guard.guard import POLL
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch
from app.stores.guard import holds as stored
from app.stores.sql.engine import Database
from tests.fakes import EPOCH, SHOP, World, listing
from tests.flows.holds.test_holds import SIZE, price, read_all
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
