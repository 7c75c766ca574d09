"""The delta path: watermarks, first loads, storms, and what a pull may settle."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest

from app.domain import ALL_ITEMS, BadRecord, Cause, Change, ItemKey, Kind, Listing, Page, Ref
from app.errors import BadAnswer, DatabaseFault, Unavailable, Unmappable, VendorForbidden, VendorRefused
from app.flows.items.dead_letter import record_dead_letter
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sweep import sweep
from app.flows.items.sync_item import sync_item
from app.stores import catalog, owed
from app.stores.catalog import watermarks
from app.stores.guard import holds
from app.stores.runs import failed_items
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing
from tests.rows import row_of

PRODUCT, STOCK = Kind.PRODUCT, Kind.STOCK


@pytest.fixture
def world(database: Database) -> World:
    return World(database, FakeSource(storm=10))


def owe(world: World, *external_ids: str, kind: Kind = PRODUCT) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(kind, item) for item in external_ids], Cause.POLL, world.clock())


def pull(world: World, kind: Kind = PRODUCT) -> None:
    owe(world, ALL_ITEMS, kind=kind)
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, kind, ALL_ITEMS))


def live(world: World, kind: Kind = PRODUCT) -> int:
    with world.database.read() as conn:
        return catalog.counts(conn, SHOP)[kind][0]


def owed_now(world: World) -> int:
    with world.database.read() as conn:
        return owed.count(conn)


def mark(world: World) -> str | None:
    with world.database.read() as conn:
        return watermarks.get(conn, SHOP, PRODUCT)


def test_a_first_pull_loads_everything(world: World) -> None:
    world.source.put(*(listing(f"P{n}") for n in range(40)))
    pull(world)
    assert live(world) == 40


def test_a_later_pull_asks_only_from_the_watermark_on(world: World) -> None:
    world.source.put(listing("A", version=5))
    pull(world)
    world.source.put(listing("B", version=9))
    pull(world)
    assert world.source.requests[-1] == ("delta product 5000000",)
    assert live(world) == 2


def test_a_pull_that_fails_leaves_the_watermark(world: World) -> None:
    world.source.put(listing("A", version=5))
    pull(world)
    world.source.failures.append(Unavailable("down"))
    pull(world)
    assert mark(world) == "5000000"
    assert owed_now(world) == 1, "the pull itself is still owed"


@pytest.mark.parametrize("before", [[], [listing("A", version=5)]], ids=["a first load", "a delta"])
def test_a_pull_whose_lease_was_taken_over_writes_nothing_more(world: World, before: list[Listing]) -> None:
    world.source.put(*before)
    if before:
        pull(world)
    world.source.put(listing("B", version=9))
    known = mark(world)

    def take_over() -> None:
        with world.database.begin() as conn:
            conn.exec_driver_sql("UPDATE owed_items SET token = 'another'")

    world.source.on_call = take_over
    pull(world)
    assert (live(world), mark(world)) == (len(before), known)


def test_a_pull_settles_the_owed_items_that_it_has_read(world: World) -> None:
    world.source.put(listing("A", version=5))
    pull(world)
    world.source.put(listing("B", version=6))
    owe(world, "B")
    pull(world)
    assert owed_now(world) == 0


def test_a_pull_settles_an_item_owed_by_its_sku(world: World) -> None:
    world.source.put(listing("A", version=5))
    pull(world)
    world.source.put(listing("B", version=6))
    owe(world, "sku:SKU-B")
    pull(world)
    assert owed_now(world) == 0


@pytest.mark.parametrize(("hinted", "left"), [(6, 0), (7, 1)])
def test_a_pull_leaves_an_item_owed_of_which_a_hint_named_a_newer_version(
    world: World, hinted: int, left: int
) -> None:
    world.source.put(listing("A", version=5))
    pull(world)
    world.source.put(listing("B", version=6))
    with world.database.begin() as conn:
        change = Change(PRODUCT, "B", hinted * 1_000_000)
        owed.owe(conn, SHOP, [change], Cause.WEBHOOK, world.clock())
    pull(world)
    assert owed_now(world) == left


def test_a_pull_leaves_items_owed_that_it_has_not_seen(world: World) -> None:
    world.source.put(listing("A", version=5), listing("B", version=1))
    pull(world)
    owe(world, "B")
    pull(world)
    assert owed_now(world) == 1


def test_pulls_of_a_kind_keep_their_pace(database: Database) -> None:
    world = World(database, FakeSource(pace=30.0))
    pull(world)
    pull(world)
    assert world.source.calls() == 1
    world.clock.pass_(31)
    pull(world)
    assert world.source.calls() == 2


def test_a_storm_becomes_one_pull(world: World) -> None:
    world.source.put(listing("A", version=1))
    pull(world)
    items = [f"P{n}" for n in range(12)]
    world.source.put(*(listing(item, version=9) for item in items))
    owe(world, *items)
    sweep(world.deps)
    assert ItemKey(SHOP, PRODUCT, ALL_ITEMS) in world.queue.enqueued
    before = world.source.calls()
    for key in list(world.queue.enqueued):
        sync_item(world.deps, LeaseKeeper(world.database), key)
    assert world.source.calls() == before + 1
    assert owed_now(world) == 0


def test_stock_that_a_complete_read_no_longer_shows_is_zero(world: World) -> None:
    world.source.put(count("A", 5), count("B", 3))
    pull(world, STOCK)
    del world.source.counts["B"]
    world.clock.pass_(10)
    pull(world, STOCK)
    with world.database.read() as conn:
        row = row_of(conn, SHOP, STOCK, ("B", "L1", "on_hand"))
    assert row is not None
    assert row["quantity"] == 0
    assert not row["deleted"]


def test_a_read_that_would_zero_the_shop_is_held_after_a_second_look(world: World) -> None:
    world.source.put(*(count(f"P{n}", 5) for n in range(100)))
    pull(world, STOCK)
    world.source.counts.clear()
    world.clock.pass_(10)
    before = world.source.calls()
    pull(world, STOCK)
    assert world.source.calls() == before + 2
    with world.database.read() as conn:
        assert [hold.reason for hold in holds.open_(conn)] == ["would zero 100 of 100 rows (100%)"]
        row = row_of(conn, SHOP, STOCK, ("P1", "L1", "on_hand"))
    assert row is not None
    assert row["quantity"] == 5


def hold_everything(world: World) -> int:
    world.source.put(*(count(f"P{n}", 5) for n in range(100)))
    pull(world, STOCK)
    world.source.counts.clear()
    world.clock.pass_(10)
    pull(world, STOCK)
    with world.database.read() as conn:
        return int(holds.open_(conn)[0].id)


def test_a_hold_that_repeats_is_still_one_hold(world: World) -> None:
    hold_everything(world)
    world.clock.pass_(10)
    pull(world, STOCK)
    with world.database.read() as conn:
        assert len(holds.open_(conn)) == 1


def test_a_released_hold_lets_the_next_such_read_pass(world: World) -> None:
    hold_id = hold_everything(world)
    with world.database.begin() as conn:
        holds.close(conn, hold_id, "released")
    world.clock.pass_(10)
    pull(world, STOCK)
    with world.database.read() as conn:
        row = row_of(conn, SHOP, STOCK, ("P1", "L1", "on_hand"))
    assert row is not None
    assert row["quantity"] == 0


def test_a_hold_is_closed_when_a_later_read_is_plausible(world: World) -> None:
    hold_everything(world)
    world.source.put(*(count(f"P{n}", 5) for n in range(100)))
    world.clock.pass_(10)
    pull(world, STOCK)
    with world.database.read() as conn:
        assert holds.open_(conn) == []


def test_a_first_load_is_believed_although_webhooks_brought_some_rows_before(world: World) -> None:
    world.source.put(*(listing(f"P{n}") for n in range(100)))
    owe(world, "P1")
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, "P1"))
    pull(world)
    assert live(world) == 100


def test_a_held_pull_is_settled_as_held(world: World) -> None:
    hold_everything(world)
    with world.database.read() as conn:
        last = conn.exec_driver_sql("SELECT outcome FROM settlements ORDER BY id DESC LIMIT 1").scalar()
    assert last == "held"


def looked_at(world: World) -> tuple[str | None, datetime | None]:
    with world.database.read() as conn:
        return watermarks.get(conn, SHOP, STOCK), watermarks.pulled_at(conn, SHOP, STOCK)


def test_a_held_pull_counts_as_a_look_but_gets_no_further(world: World) -> None:
    world.source.put(*(count(f"P{n}", 5) for n in range(100)))
    pull(world, STOCK)
    before, _ = looked_at(world)
    world.source.counts.clear()
    world.clock.pass_(10)
    pull(world, STOCK)
    assert looked_at(world) == (before, world.clock())


def test_items_whose_pull_was_held_are_fetched_one_by_one(database: Database) -> None:
    world = World(database, FakeSource(storm=10))
    world.source.whole_kinds = (PRODUCT,)
    items = [f"P{n}" for n in range(100)]
    world.source.put(*(listing(item) for item in items))
    pull(world)
    world.source.listings = {item: world.source.listings[item] for item in items[:12]}
    world.clock.pass_(100)
    owe(world, *items[:12])
    world.clock.pass_(1)
    for _ in range(12):
        world.queue.enqueued.clear()
        sweep(world.deps)
        for key in [*world.queue.enqueued]:
            sync_item(world.deps, LeaseKeeper(database), key)
        world.clock.pass_(10)
    assert owed_now(world) == 0


# --- records that cannot be read or stored ---


class Showing(FakeSource):
    """A shop whose lists show ``bad`` records and raise ``list_error``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.bad: list[BadRecord] = []
        self.list_error: Exception | None = None

    def delta(self, kind: Kind, since: str | None) -> Iterator[Page]:
        for number, page in enumerate(super().delta(kind, since)):
            if self.list_error is not None:
                raise self.list_error
            yield msgspec.structs.replace(page, failed=self.bad if number == 0 else ())


BAD = BadRecord(PRODUCT, "BAD", "product BAD: price is 'x'; a number was expected")


@pytest.fixture
def showing(database: Database) -> World:
    """A shop of one product that was read before."""
    world = World(database, Showing(storm=10))
    world.source.put(listing("A", version=5))
    pull(world)
    world.clock.pass_(100)
    return world


def source(world: World) -> Showing:
    assert isinstance(world.source, Showing)
    return world.source


def failing(world: World) -> list[tuple[str, str, int | None]]:
    with world.database.read() as conn:
        result = failed_items.page(conn, SHOP)
    return [(item.external_id, item.error, item.run_id) for item in result]


def test_a_record_that_a_poll_cannot_read_is_a_failed_item_without_a_run(showing: World) -> None:
    source(showing).bad = [BAD]
    pull(showing)
    assert failing(showing) == [("BAD", BAD.error, None)]


def test_the_neighbours_of_an_unreadable_record_arrive_and_the_watermark_moves(showing: World) -> None:
    source(showing).bad = [BAD]
    showing.source.put(listing("B", version=9))
    pull(showing)
    assert (live(showing), mark(showing)) == (2, "9000000")


def test_an_unreadable_record_polled_twice_is_one_failed_item(showing: World) -> None:
    source(showing).bad = [BAD]
    pull(showing)
    pull(showing)
    assert len(failing(showing)) == 1


def test_an_owed_item_that_a_poll_cannot_read_stays_owed(showing: World) -> None:
    source(showing).bad = [BAD]
    owe(showing, "BAD")
    pull(showing)
    assert owed_now(showing) == 1


def test_a_first_load_settles_nothing_that_it_could_not_read(database: Database) -> None:
    world = World(database, Showing(storm=10))
    world.source.put(listing("A"))
    source(world).bad = [BAD]
    owe(world, "BAD")
    pull(world)
    assert (owed_now(world), live(world), [id for id, _, _ in failing(world)]) == (1, 1, ["BAD"])


def test_a_record_that_a_poll_reads_well_again_heals(showing: World) -> None:
    source(showing).bad = [BAD]
    pull(showing)
    source(showing).bad = []
    showing.source.put(listing("BAD", version=9))
    pull(showing)
    assert failing(showing) == []


@pytest.mark.parametrize("price", [2**63, 10**20])
def test_a_record_that_a_poll_cannot_store_harms_only_itself(showing: World, price: int) -> None:
    showing.source.put(listing("B", version=9, price_minor=price), listing("C", version=9), listing("D", version=9))
    pull(showing)
    assert (live(showing), mark(showing), [id for id, _, _ in failing(showing)]) == (3, "9000000", ["B"])


def test_what_a_tombstone_kept_out_is_owed_for_a_fresh_look(showing: World) -> None:
    showing.source.put(listing("A", version=9, name="before the deletion"))
    began = showing.clock()

    def deleted_meanwhile(kind: Kind, since: str | None) -> Iterator[Page]:
        showing.clock.pass_(5)
        with showing.database.begin() as conn:
            now = showing.clock()
            catalog.tombstone(conn, SHOP, [Ref(PRODUCT, "A")], read_at=now, now=now)
        yield from Showing.delta(source(showing), kind, since)

    showing.source.delta = deleted_meanwhile  # type: ignore[method-assign]
    pull(showing)
    with showing.database.read() as conn:
        row = row_of(conn, SHOP, PRODUCT, ("A",))
        is_owed = owed.is_owed(conn, ItemKey(SHOP, PRODUCT, "A"))
    assert row is not None
    assert (row["deleted"], is_owed, showing.clock() > began) == (True, True, True)


# --- pulls that fail ---


@pytest.mark.parametrize(
    "error",
    [Unmappable("row 7 of the list is no row"), BadAnswer("no list"), VendorRefused("400")],
    ids=lambda e: type(e).__name__,
)
def test_items_of_a_storm_whose_list_fails_are_fetched_one_by_one(showing: World, error: Exception) -> None:
    source(showing).list_error = error
    items = [f"P{n}" for n in range(12)]
    showing.source.put(*(listing(item, version=9) for item in items))
    owe(showing, *items)
    for _ in range(60):
        showing.queue.enqueued.clear()
        sweep(showing.deps)
        for key in [*showing.queue.enqueued]:
            try:
                sync_item(showing.deps, LeaseKeeper(showing.database), key)
            except Exception as failure:
                args = (key.connection, str(key.kind), key.external_id)
                record_dead_letter(
                    showing.deps,
                    message_id=f"{key} {showing.clock()}",
                    actor="sync_item",
                    queue="live",
                    args=args,
                    error=failure,
                )
        showing.clock.pass_(5)
    assert live(showing) == 13


def test_a_pull_that_fails_for_the_kinds_own_sake_counts_as_a_look_but_not_as_a_pull(showing: World) -> None:
    before = polled_at(showing)
    source(showing).list_error = BadAnswer("no list")
    pull(showing)
    with showing.database.read() as conn:
        looked = watermarks.looked_at(conn, SHOP, PRODUCT)
    assert (polled_at(showing), looked) == (before, showing.clock())


def polled_at(world: World) -> datetime | None:
    with world.database.read() as conn:
        return watermarks.pulled_at(conn, SHOP, PRODUCT)


def claim_of(world: World) -> tuple[int, int]:
    """Attempts and kills of the kind's owed pull."""
    with world.database.read() as conn:
        sql = "SELECT attempts, kills FROM owed_items WHERE external_id = '*'"
        attempts, kills = conn.exec_driver_sql(sql).one()
    return attempts, kills


def test_a_pull_of_a_connection_that_is_down_counts_no_attempt(showing: World) -> None:
    showing.source.down = Unavailable("no answer")
    pull(showing)
    assert claim_of(showing) == (0, 0)


def test_a_pull_of_a_kind_that_may_not_be_read_counts_no_attempt(showing: World) -> None:
    showing.source.refuses[PRODUCT] = VendorForbidden("403: ITEMS_READ")
    pull(showing)
    assert claim_of(showing) == (0, 0)


def test_a_database_fault_in_a_pull_is_no_failure_of_it(showing: World) -> None:
    source(showing).list_error = DatabaseFault("the connection is lost")
    pull(showing)
    with showing.database.read() as conn:
        looked = watermarks.looked_at(conn, SHOP, PRODUCT)
    assert (claim_of(showing), looked) == ((0, 0), polled_at(showing))
