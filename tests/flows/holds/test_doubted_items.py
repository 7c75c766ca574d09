"""Items asked for by id are judged as lists are: those that a poll only names, storms of webhooks, runs by ids."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from app.domain import (
    ALL_ITEMS,
    Answer,
    BadRecord,
    Cause,
    Change,
    ItemKey,
    Kind,
    Listing,
    MissingPolicy,
    Page,
    Ref,
    Scope,
    StockCount,
    Strategy,
)
from app.errors import BadAnswer, Permanent, Unavailable
from app.flows.holds import holds
from app.flows.holds.doubted import judged, settled
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.rules.guard.guard import POLL
from app.stores import owed
from app.stores.catalog import watermarks
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing
from tests.flows.holds.test_holds import SIZE, only, price, prices, read_all, run_strategy
from tests.flows.items.test_pull import pull
from tests.rows import row_of

ALL = [f"P{number:02}" for number in range(SIZE)]


class NamingSource(FakeSource):
    """Its list of what changed names the products and shows none; of counts by id it shows those that are not zero."""

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        if kind in self.whole_kinds or since is None:
            yield from self.full(kind)
            return
        self._called(f"delta {kind} {since}", kind=kind)
        newest = [one for one in self.listings.values() if one.version >= int(since)]
        yield Page(changes=[Change(kind, one.external_id, one.version) for one in newest])
        yield Page(watermark=str(max((one.version for one in newest), default=int(since))))

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        answer = super().fetch(refs)
        if refs[0].kind is not Kind.STOCK:
            return answer
        full = [record for record in answer.records if isinstance(record, StockCount) and record.quantity]
        return Answer(
            full, covers=[Scope(Kind.STOCK, "listing_id", ref.external_id, MissingPolicy.ZERO) for ref in refs]
        )


class FamilySource(NamingSource):
    """A product is named and fetched with its variations, as one item."""

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        for page in super().delta(kind, since):
            yield replace(page, changes=[change for change in page.changes if not change.external_id.startswith("V")])

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        wanted = {ref.external_id for ref in refs}
        variations = [one.external_id for one in self.listings.values() if one.parent_id in wanted]
        return super().fetch([*refs, *(Ref(Kind.PRODUCT, id) for id in variations)])


@pytest.mark.parametrize("error", [Unavailable("504 no answer"), BadAnswer("half a document")])
def test_an_item_that_is_never_answered_keeps_no_poll_from_ending(database: Database, error: Exception) -> None:
    world = World(database, NamingSource(batch=10))
    world.source.put(*(listing(id) for id in ALL))
    pull(world)
    world.source.put(*(listing(id, 2, name="new") for id in ALL))
    world.source.poison["P03"] = error
    pull(world)
    with database.read() as conn:
        assert (watermarks.get(conn, SHOP, Kind.PRODUCT), owed.count(conn)) == ("2000000", SIZE)


@pytest.fixture
def world(database: Database) -> World:
    """A shop of 24 products at 10.00 with 24 counts of 9 each, read once."""
    world = World(database, NamingSource(batch=100))
    world.source.put(*(listing(id, price_minor=1_000) for id in ALL))
    world.source.put(*(count(id, 9) for id in ALL))
    read_all(world)
    return world


def owe(world: World, kind: Kind, ids: Sequence[str], cause: Cause = Cause.WEBHOOK) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(kind, id) for id in ids], cause, world.clock())


def drain(world: World) -> None:
    """Work off all that is owed."""
    while True:
        with world.database.read() as conn:
            due = conn.exec_driver_sql("SELECT kind, external_id FROM owed_items ORDER BY external_id").all()
        if not due:
            return
        world.clock.pass_(60)
        for kind, id in due:
            sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind(kind), id))


def send_webhooks(world: World, kind: Kind = Kind.PRODUCT, ids: Sequence[str] = ALL) -> None:
    """A webhook for each."""
    owe(world, kind, ids)
    drain(world)


def poll(world: World) -> None:
    world.clock.pass_(600)
    owe(world, Kind.PRODUCT, [ALL_ITEMS], Cause.POLL)
    drain(world)


def outcomes(world: World) -> set[str]:
    with world.database.read() as conn:
        rows = conn.exec_driver_sql(f"SELECT outcome FROM settlements WHERE external_id <> '{ALL_ITEMS}'")
        return set(rows.scalars())


def on_hand(world: World) -> set[int]:
    with world.database.read() as conn:
        return {int(scalar) for scalar in conn.exec_driver_sql("SELECT quantity FROM stock").scalars()}


def test_products_that_a_poll_only_names_are_judged_together(world: World) -> None:
    price(world)
    poll(world)
    assert (prices(world), only(world).rows, outcomes(world)) == ({1_000}, SIZE, {"held"})


def test_more_named_products_than_a_call_fetches_are_judged_together(world: World) -> None:
    world.source.batch_size = lambda kind: 4  # type: ignore[method-assign]
    price(world, times=3)
    poll(world)
    assert (prices(world), only(world).rows) == ({1_000}, SIZE)


def test_of_a_named_item_that_is_held_in_part_the_rest_is_written(world: World) -> None:
    family = FamilySource(batch=4)
    family.put(*(listing(id, price_minor=1_000) for id in ALL))
    family.put(replace(listing("V1", name="old"), parent_id="P00"))
    world = World(world.database, family)
    read_all(world)
    price(world)
    family.put(replace(listing("V1", name="new", version=world.source.listings["P00"].version), parent_id="P00"))
    poll(world)
    with world.database.read() as conn:
        names = conn.exec_driver_sql("SELECT name FROM listings WHERE external_id = 'V1'").scalars().all()
    assert (only(world).rows, names) == (SIZE, ["new"])


@pytest.mark.parametrize("by", [poll, send_webhooks], ids=["named by a poll", "by webhooks"])
def test_a_record_that_no_database_can_hold_keeps_its_neighbours_from_nothing(
    world: World, by: Callable[[World], None]
) -> None:
    price(world)
    world.source.put(replace(world.source.listings["P03"], name="cup \ud800"))
    with suppress(Permanent):  # it becomes a letter
        by(world)
    assert (prices(world), only(world).rows) == ({1_000}, SIZE - 1)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_a_poll_that_only_names_what_is_held_writes_none_of_it(world: World, batch: int) -> None:
    price(world)
    read_all(world)
    world.source.batch_size = lambda kind: batch  # type: ignore[method-assign]
    before = only(world).id
    poll(world)
    assert (prices(world), only(world).id) == ({1_000}, before)


def test_a_storm_of_webhooks_is_judged_as_one_batch(world: World) -> None:
    price(world)
    send_webhooks(world)
    assert (prices(world), only(world).rows) == ({1_000}, SIZE)


def test_items_of_one_message_that_are_read_one_by_one_are_judged_together(world: World) -> None:
    world.source.batch_size = lambda kind: 1  # type: ignore[method-assign]
    price(world)
    owe(world, Kind.PRODUCT, ALL)
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind.PRODUCT, ALL[0]), ALL[1:16])
    assert (prices(world), only(world).rows) == ({1_000}, 16)


def test_products_that_are_gone_by_their_ids_are_judged(world: World) -> None:
    world.source.listings.clear()
    send_webhooks(world)
    assert only(world).reason == f"would delete {SIZE} of {SIZE} rows (100%)"
    holds.release(world.deps, only(world).id)
    with world.database.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM listings WHERE NOT deleted").scalar() == 0


def test_counts_that_are_left_out_by_id_are_judged(world: World) -> None:
    world.source.put(*(count(id, 0, version=5) for id in ALL))
    send_webhooks(world, Kind.STOCK)
    assert (on_hand(world), only(world).kind, only(world).absent) == ({9}, "stock", "zero")
    holds.release(world.deps, only(world).id)
    assert on_hand(world) == {0}


def test_good_items_of_the_same_answer_are_written(world: World) -> None:
    price(world, *range(1, SIZE))
    world.source.put(listing("P00", 9, price_minor=1_000, description="New words"))
    send_webhooks(world)
    with world.database.read() as conn:
        words = conn.exec_driver_sql("SELECT description FROM listings WHERE external_id = 'P00'").scalar()
    assert (words, prices(world), outcomes(world)) == ("New words", {1_000}, {"held", "applied"})


def test_two_price_changes_are_written_at_once(world: World) -> None:
    price(world, 1, 2)
    send_webhooks(world, ids=["P01", "P02"])
    assert (prices(world), holds.list_(world.deps)) == ({1_000, 100_000}, [])


def test_an_item_that_is_shown_otherwise_than_it_waits_is_written(world: World) -> None:
    price(world)
    read_all(world)
    world.source.put(listing("P00", 12, price_minor=1_234))
    send_webhooks(world, ids=["P00"])
    assert prices(world) == {1_000, 1_234}


def test_a_sale_is_written(world: World) -> None:
    for number in range(SIZE):
        world.source.put(listing(f"P{number:02}", 9, price_minor=700))
    send_webhooks(world)
    assert (prices(world), holds.list_(world.deps)) == ({700}, [])


def test_what_is_left_of_a_hold_that_became_plausible_is_asked_for_again(world: World) -> None:
    price(world)
    send_webhooks(world)
    for id in ALL[:22]:
        world.source.put(listing(id, 11, price_minor=900))
    owe(world, Kind.PRODUCT, ALL[:22])
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind.PRODUCT, ALL[0]))
    drain(world)
    assert (holds.list_(world.deps), prices(world)) == ([], {900, 100_000})


def test_a_read_that_began_before_items_were_held_does_not_let_them_pass(world: World) -> None:
    def change_meanwhile() -> None:
        price(world)
        world.clock.pass_(5)
        send_webhooks(world)

    listed = [listing(id, price_minor=1_000) for id in ALL]
    world.source.full = partial(earlier, world, listed, change_meanwhile)  # type: ignore[method-assign]
    read_all(world)
    assert (only(world).rows, prices(world)) == (SIZE, {1_000})


def earlier(
    world: World, listed: list[Listing], meanwhile: Callable[[], None], kind: Kind, resume: str | None = None
) -> Iterator[Page]:
    """A list as it was, and while it is read something happens."""
    if kind is not Kind.PRODUCT:
        yield from FakeSource.full(world.source, kind, resume)
        return
    meanwhile()
    yield Page(records=listed)
    yield Page(watermark="1", complete=Scope(kind))


def test_a_row_that_waited_in_another_hold_is_no_newer_in_this_one(world: World) -> None:
    price(world)
    send_webhooks(world)
    world.clock.pass_(60)
    spool = Spool(Kind.PRODUCT)
    for id in ALL[1:]:
        spool.add("", listing(id, 10, price_minor=10_000_000), 0)
    doubt = judged(world.deps, SHOP, Batch(Kind.PRODUCT, (spool,), asked=True), POLL)  # and meanwhile:
    world.source.put(listing("P00", 9, name="right", price_minor=1_000))
    send_webhooks(world, ids=["P00"])
    world.clock.pass_(60)
    settled(world.deps, SHOP, doubt, world.clock())
    holds.release(world.deps, only(world).id)
    with world.database.read() as conn:
        row = row_of(conn, SHOP, Kind.PRODUCT, ("P00",)) or {}
    assert (row["name"], row["price_minor"]) == ("right", 1_000)


def test_a_row_that_a_later_answer_shows_otherwise_is_released_no_more(world: World) -> None:
    gone = {id: world.source.listings.pop(id) for id in ALL}
    send_webhooks(world)
    world.source.put(gone["P00"])
    send_webhooks(world, ids=["P00"])
    assert only(world).rows == SIZE - 1
    holds.release(world.deps, only(world).id)
    with world.database.read() as conn:
        assert list(conn.exec_driver_sql("SELECT external_id FROM listings WHERE NOT deleted").scalars()) == ["P00"]


def test_a_hold_of_which_every_row_is_shown_otherwise_expires(world: World) -> None:
    price(world, 1, 2, 3)
    send_webhooks(world)
    price(world, 1, 2, 3, times=1, version=11)
    send_webhooks(world, ids=["P01", "P02", "P03"])
    assert (holds.list_(world.deps), prices(world)) == ([], {1_000})


def test_nothing_is_asked_for_a_second_time_to_judge_items(world: World) -> None:
    world.source.listings.clear()
    world.source.requests.clear()
    send_webhooks(world)
    assert len(world.source.requests) == 1


@pytest.mark.parametrize("strategy", [Strategy.CRITICAL, Strategy.CATEGORY], ids=str)
def test_a_run_by_ids_is_judged(world: World, strategy: Strategy) -> None:
    ran = by_ids(world, strategy)
    assert (prices(world), only(world).rows, ran.progress.held) == ({1_000}, SIZE, SIZE)


@pytest.mark.parametrize("strategy", [Strategy.CRITICAL, Strategy.CATEGORY], ids=str)
def test_a_dry_run_by_ids_says_what_would_be_held_and_holds_nothing(world: World, strategy: Strategy) -> None:
    ran = by_ids(world, strategy, dry_run=True)
    with world.database.read() as conn:
        causes = conn.exec_driver_sql(f"SELECT cause FROM drift WHERE run_id = {ran.id} AND kind = 'product'")
        assert list(causes.scalars()) == ["held"] * SIZE
    assert (holds.list_(world.deps), ran.progress.held) == ([], SIZE)


def by_ids(world: World, strategy: Strategy, *, name: str | None = None, **options: Any) -> Run:
    """All products are critical, and of one category; their prices are a hundred times what they were. One is named so."""
    with world.database.begin() as conn:
        conn.exec_driver_sql("UPDATE listings SET category = 'All', reorder_point = 100")
    category = {"category": "All"} if strategy is Strategy.CATEGORY else {}
    for id in ALL:
        world.source.put(listing(id, 9, price_minor=100_000, category="All", reorder_point=Decimal(100)))
    if name is not None:
        world.source.put(replace(world.source.listings["P03"], name=name))
    return run_strategy(world, strategy, **category, **options)


class UnreadableSource(NamingSource):
    """Its list of what changed shows what cannot be read as well."""

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        yield Page(failed=[BadRecord(kind, id, error) for id, error in self.unreadable.items()])
        yield from super().delta(kind, since)


@pytest.mark.parametrize("way", [send_webhooks, lambda world: poll(world)])
def test_what_is_shown_unreadably_since_a_hold_is_not_ended_by_its_release(
    database: Database, way: Callable[..., None]
) -> None:
    world = World(database, UnreadableSource(batch=100))
    world.source.put(*(listing(id, price_minor=1_000) for id in ALL))
    read_all(world)
    world.source.listings.clear()
    send_webhooks(world)
    world.source.unreadable["P00"] = "product P00: price is 'x', expected a number"
    with suppress(Permanent):
        way(world)
    holds.release(world.deps, only(world).id)
    with database.read() as conn:
        live = conn.exec_driver_sql("SELECT external_id FROM listings WHERE NOT deleted").scalars().all()
    assert live == ["P00"]


def test_what_is_held_goes_on_waiting_though_a_neighbour_in_its_commit_cannot_be_stored(world: World) -> None:
    world.source.batch_size = lambda kind: 1  # type: ignore[method-assign]
    price(world)
    world.source.put(replace(world.source.listings["P03"], name="cup \ud800"))
    owe(world, Kind.PRODUCT, ALL)
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind.PRODUCT, ALL[0]), ALL[1:16])
    assert (prices(world), only(world).rows) == ({1_000}, 15)


@pytest.mark.parametrize("strategy", [Strategy.CRITICAL, Strategy.CATEGORY], ids=str)
def test_a_run_writes_nothing_of_what_is_held_though_a_neighbour_cannot_be_stored(
    world: World, strategy: Strategy
) -> None:
    by_ids(world, strategy, name="cup \ud800")
    assert (prices(world), only(world).rows) == ({1_000}, SIZE - 1)


def test_a_dry_run_whose_items_are_asked_for_one_by_one_holds_as_many_as_the_real_one(world: World) -> None:
    world.source.batch_size = lambda kind: 1  # type: ignore[method-assign]
    dry, real = (by_ids(world, Strategy.CRITICAL, dry_run=dry).progress for dry in (True, False))
    assert dry.held == real.held == SIZE - 2
