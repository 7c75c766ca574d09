"""Reads that are older or newer than what waits in a hold: the later look counts, whichever is judged or written first."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.domain import Kind, Ref
from app.flows.holds import hold_back, holds
from app.flows.holds.doubted import doubted, judged, settled
from app.flows.holds.hold_back import KindRead
from app.flows.items.bulk_read import BulkRead
from app.flows.items.doubted_items import ItemReads
from app.rules.guard.guard import POLL
from app.stores import catalog
from app.stores.catalog import Read
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch, held_rows
from app.stores.guard.held_rows import HeldRow
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, listing
from tests.flows.holds.test_holds import SIZE, live, only, read_all
from tests.flows.holds.test_holds_racing import owed, racing, verdict

ALL = [f"P{number:02}" for number in range(SIZE)]
LIVING = listing("P00", price_minor=1_000)


def emptied(database: Database) -> World:
    """A shop whose products were all gone when it was read a second time: that waits for a person."""
    world = racing(database)
    world.source.listings.clear()
    read_all(world)
    return world


def test_a_poll_that_began_before_a_hold_takes_nothing_out_of_it_unasked(database: Database) -> None:
    world = emptied(database)
    spool = Spool(Kind.PRODUCT)
    spool.add("", LIVING, 0)
    doubted(world.deps, SHOP, spool, world.clock() - timedelta(hours=1), POLL, unread=set())
    assert owed(world) == ["P00"]


def test_an_answer_about_an_item_that_began_before_a_hold_takes_nothing_out_of_it(database: Database) -> None:
    world = emptied(database)
    answer = Read([LIVING], world.clock() - timedelta(hours=1))
    held = ItemReads(world.deps, SHOP, Kind.PRODUCT, [answer]).held()
    assert held is not None
    assert (held.keys, only(world).rows) == ({("P00",)}, SIZE)


def test_an_answer_about_an_item_that_began_after_a_hold_takes_its_row_out(database: Database) -> None:
    world = emptied(database)
    world.clock.pass_(60)
    assert ItemReads(world.deps, SHOP, Kind.PRODUCT, [Read([LIVING], world.clock())]).held() is None
    assert only(world).rows == SIZE - 1


def test_what_a_read_showed_between_a_hold_and_its_release_lives(database: Database) -> None:
    world = emptied(database)
    world.clock.pass_(60)
    began = world.clock()
    world.clock.pass_(60)
    holds.release(world.deps, only(world).id)
    with database.begin() as conn:
        catalog.apply_reads(conn, SHOP, [Read([LIVING], began)], now=world.clock())
    assert live(world) == 1


def empty_again(world: World) -> None:
    """Somebody asks for every product by its id, a minute later: all are gone."""
    world.clock.pass_(60)
    batch = Batch(Kind.PRODUCT, ([],), [(id,) for id in ALL], asked=True)
    settled(world.deps, SHOP, judged(world.deps, SHOP, batch, POLL), world.clock())


def test_a_poll_that_was_judged_before_later_rows_waited_has_them_asked_for_again(database: Database) -> None:
    world = emptied(database)
    spool = Spool(Kind.PRODUCT)
    for id in ALL:
        spool.add("", listing(id, price_minor=1_000), 0)
    began = world.clock()
    doubt = judged(world.deps, SHOP, Batch(Kind.PRODUCT, (spool,)), POLL)  # all are there again; but meanwhile:
    empty_again(world)
    settled(world.deps, SHOP, doubt, began)
    assert (holds.list_(world.deps), owed(world)) == ([], ALL)


def test_a_complete_read_that_is_held_has_what_a_later_read_showed_asked_for_again(database: Database) -> None:
    world = racing(database)
    began = world.clock()
    empty_again(world)
    hold_back.keep(world.deps, KindRead(SHOP, Kind.PRODUCT, began), verdict(world, 1), {})
    assert owed(world) == ALL


def test_a_row_that_an_answer_shows_just_as_it_waits_is_as_late_as_that_answer(database: Database) -> None:
    world = emptied(database)
    began = world.clock() + timedelta(seconds=30)
    world.clock.pass_(60)
    ItemReads(world.deps, SHOP, Kind.PRODUCT, [Read([], world.clock(), gone=[Ref(Kind.PRODUCT, "P00")])]).held()
    spool = Spool(Kind.PRODUCT)
    spool.add("", LIVING, 0)
    doubted(world.deps, SHOP, spool, began, POLL, unread=set())
    assert owed(world) == ["P00"]


def test_a_row_that_was_shown_again_is_as_late_in_the_hold_that_follows(database: Database) -> None:
    world = racing(database)
    kept, dead = ALL[: SIZE // 2], ALL[SIZE // 2 :]
    world.source.listings = {id: world.source.listings[id] for id in kept}
    read_all(world)
    began = world.clock() + timedelta(seconds=30)
    world.clock.pass_(60)
    gone = [Ref(Kind.PRODUCT, id) for id in (dead[0], *kept)]  # one that waits, and all others: another hold
    ItemReads(world.deps, SHOP, Kind.PRODUCT, [Read([], world.clock(), gone=gone)]).held()
    spool = Spool(Kind.PRODUCT)
    spool.add("", listing(dead[0], price_minor=1_000), 0)
    doubted(world.deps, SHOP, spool, began, POLL, unread=set())
    assert owed(world) == [dead[0]]


def gone_again(world: World, *ids: str) -> None:
    """A minute later these products are asked for by id: the source shows that they are gone, just as they wait."""
    world.clock.pass_(60)
    gone = [Ref(Kind.PRODUCT, id) for id in ids]
    ItemReads(world.deps, SHOP, Kind.PRODUCT, [Read([], world.clock(), gone=gone)]).held()


def test_a_poll_that_could_not_read_a_row_leaves_it_in_the_hold_if_a_later_read_showed_it_so(
    database: Database,
) -> None:
    world = emptied(database)
    began = world.clock() + timedelta(seconds=30)
    gone_again(world, "P00")
    doubted(world.deps, SHOP, Spool(Kind.PRODUCT), began, POLL, unread={"P00", "P01"})
    rows = {row.key for row in stored_rows(world)}
    assert rows == {(id,) for id in ALL if id != "P01"}


def test_an_answer_that_could_not_be_read_leaves_a_row_in_the_hold_if_a_later_read_showed_it_so(
    database: Database,
) -> None:
    world = emptied(database)
    began = world.clock() + timedelta(seconds=30)
    gone_again(world, "P00")
    reads = [Read([], began, failed={"P00": "P00"}), Read([], began, failed={"P01": "P01"})]
    ItemReads(world.deps, SHOP, Kind.PRODUCT, reads).held()
    assert {row.key for row in stored_rows(world)} == {(id,) for id in ALL if id != "P01"}


def stored_rows(world: World) -> list[HeldRow]:
    hold_id = only(world).id
    with world.database.read() as conn:
        return held_rows.page(conn, hold_id, Kind.PRODUCT)


def half_gone(database: Database) -> World:
    """A shop of which half was gone when it was read a second time: that waits for a person."""
    world = racing(database)
    world.source.listings = {id: world.source.listings[id] for id in ALL[: SIZE // 2]}
    read_all(world)
    return world


def read_whole(world: World, began: datetime) -> None:
    """A complete read that began at ``began`` and showed every product as it was."""
    world.source.put(*(listing(id, price_minor=1_000) for id in ALL))
    read = BulkRead(
        world.deps, SHOP, Kind.PRODUCT, lambda: world.source.full(Kind.PRODUCT), "run 1", began=lambda: began
    )
    read.reconcile()


def test_a_plausible_complete_read_asks_again_for_what_a_later_read_showed_as_it_waits(database: Database) -> None:
    world = half_gone(database)
    began = world.clock() + timedelta(seconds=30)
    gone_again(world, ALL[-1])
    read_whole(world, began)
    assert (holds.list_(world.deps), owed(world)) == ([], [ALL[-1]])


def test_a_plausible_complete_read_ends_a_hold_and_asks_for_nothing_if_it_is_the_latest(database: Database) -> None:
    world = half_gone(database)
    gone_again(world, ALL[-1])
    read_whole(world, world.clock() + timedelta(seconds=30))
    assert (holds.list_(world.deps), owed(world)) == ([], [])


class Overtaken(Database):
    """A database where another process is faster with its work than our first write transaction."""

    def __init__(self, inner: Database, work: Callable[[], None]) -> None:
        self.__dict__.update(inner.__dict__)
        self._others = [work]

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        while self._others:
            self._others.pop()()
        with super().begin() as conn:
            yield conn


def test_a_row_that_is_shown_as_it_waited_is_judged_again_if_its_hold_has_ended_meanwhile(
    database: Database,
) -> None:
    world = half_gone(database)
    began = world.clock() + timedelta(seconds=30)
    world.clock.pass_(60)
    overtaken = replace(world.deps, database=Overtaken(database, lambda: read_whole(world, began)))
    gone = Read([], world.clock(), gone=[Ref(Kind.PRODUCT, ALL[-1])])
    assert ItemReads(overtaken, SHOP, Kind.PRODUCT, [gone]).held() is None
