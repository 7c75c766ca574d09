"""A run under the faults of others: what it resumes to, what it reports, and whose fault it says it was."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from app.domain import BadRecord, Kind, Listing, Options, Page, Ref, StockCount, Strategy
from app.errors import AuthRejected, DatabaseFault, Permanent, RateLimited, Unavailable, Unmappable, VendorForbidden
from app.flows.connections.connections import pause, resume
from app.flows.connections.health import blocked
from app.flows.connections.states import forget
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.runs.choose_smart import last_reads
from app.flows.runs.request_run import STUCK_AFTER, check_stuck, request_run, resume_run
from app.flows.runs.run import MOST_SILENCES, run
from app.sources.base import ResumeLost
from app.stores import catalog
from app.stores.runs import drift, failed_items, runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database, open_database
from tests.fakes import SHOP, FakeSource, World, count, listing
from tests.rows import row_of

PRODUCT, STOCK = Kind.PRODUCT, Kind.STOCK
PAGE = 10


class Killed(BaseException):
    """The process is gone: no handler of ours may see it."""


@pytest.fixture
def world(database: Database) -> World:
    return World(database, FakeSource(page_size=PAGE))


def open_run(world: World, strategy: Strategy = Strategy.CATALOG, **options: Any) -> int:
    return request_run(world.deps, SHOP, strategy, Options(**options), cause="person")


def carry_out(world: World, run_id: int, keeper: LeaseKeeper | None = None) -> Run:
    run(world.deps, keeper or LeaseKeeper(world.database), run_id, patience=0.0)
    return stored_run(world, run_id)


def complete(world: World, strategy: Strategy = Strategy.CATALOG, **options: Any) -> Run:
    world.clock.pass_(100)
    return carry_out(world, open_run(world, strategy, **options))


def stored_run(world: World, run_id: int) -> Run:
    with world.database.read() as conn:
        row = runs.get(conn, run_id)
    assert row is not None
    return row


def fill(world: World, products: int) -> None:
    world.source.put(*(listing(f"P{number:03d}") for number in range(products)))


def loaded(world: World, products: int = 45) -> World:
    fill(world, products)
    complete(world)
    world.clock.pass_(100)
    return world


def row(world: World, external_id: str, kind: Kind = PRODUCT) -> dict[str, Any]:
    key = (external_id,) if kind is PRODUCT else (external_id, "L1", "on_hand")
    with world.database.read() as conn:
        held = row_of(conn, SHOP, kind, key)
    assert held is not None, f"no row {external_id}"
    return held


def dead(world: World) -> list[str]:
    with world.database.read() as conn:
        gone = conn.exec_driver_sql("SELECT external_id FROM listings WHERE deleted ORDER BY external_id")
        return [id for (id,) in gone]


def held_ids(world: World) -> set[str]:
    with world.database.read() as conn:
        return set(conn.exec_driver_sql("SELECT external_id FROM listings WHERE NOT deleted").scalars())


def failing(world: World, kind: Kind = PRODUCT) -> dict[str, str]:
    with world.database.read() as conn:
        return {item.external_id: item.error for item in failed_items.page(conn, SHOP) if item.kind == kind}


def drifted(world: World, run_id: int) -> list[tuple[str, str, str]]:
    with world.database.read() as conn:
        return [(one.item, one.change, one.cause) for one in drift.of_run(conn, run_id, 1000)]


def agreement(ended: Run, kind: Kind = PRODUCT) -> object:
    return ended.counts[kind].agreement


def reading(world: World, change: Callable[[Kind, int, Page], Page | None]) -> None:
    """Every page of a complete read passes through ``change`` (kind, its number, the page): ``None`` leaves it out."""
    source, full = world.source, type(world.source).full

    def changed(kind: Kind, resume: str | None = None) -> Iterator[Page]:
        for number, one in enumerate(full(source, kind, resume)):
            page = change(kind, number, one)
            if page is not None:
                yield page

    source.full = changed  # type: ignore[method-assign]


def dying_at(page: int) -> Callable[[Kind, int, Page], Page]:
    def die(kind: Kind, number: int, one: Page) -> Page:
        if number == page:
            raise Killed
        return one

    return die


def losing_place(world: World, then: Callable[[Kind, int, Page], Page] = lambda kind, number, one: one) -> None:
    """The source has forgotten every place where a read stopped."""
    reading(world, then)
    remembering = world.source.full

    def forgetful(kind: Kind, resume: str | None = None) -> Iterator[Page]:
        if resume is not None:
            raise ResumeLost("the cursor is too old")
        yield from remembering(kind, None)

    world.source.full = forgetful  # type: ignore[method-assign]


def killed(world: World, run_id: int) -> None:
    with pytest.raises(Killed):
        run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    world.clock.pass_(60)


# --- resumed reads ---


def test_what_was_deleted_before_the_place_was_lost_is_found(world: World) -> None:
    loaded(world)
    run_id = open_run(world)
    reading(world, dying_at(2))
    killed(world, run_id)
    del world.source.listings["P003"]
    losing_place(world)
    carry_out(world, run_id)
    assert dead(world) == ["P003"]


def test_what_was_created_between_two_resumed_reads_stays(world: World) -> None:
    loaded(world)
    run_id = open_run(world)
    reading(world, dying_at(2))
    killed(world, run_id)
    losing_place(world, dying_at(3))
    killed(world, run_id)
    apply(world, listing("NEW", version=9))  # a webhook's, after the page on which the read would have shown it
    world.clock.pass_(60)
    reading(world, lambda kind, number, one: one)
    carry_out(world, run_id)
    assert "NEW" in held_ids(world)


def apply(world: World, *records: Any) -> None:
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, records, read_at=world.clock(), now=world.clock())


def test_a_second_look_keeps_its_own_beginning_through_a_kill(world: World) -> None:
    loaded(world)
    run_id = open_run(world)
    hidden = dict(list(world.source.listings.items())[:10])  # just the first page
    everything, world.source.listings = world.source.listings, hidden
    looks: list[int] = []

    def second_look_dies(kind: Kind, number: int, one: Page) -> Page:
        looks.append(number)
        if looks.count(0) == 2:
            world.source.listings = everything
        if looks.count(0) == 2 and number == 1:
            raise Killed
        return one

    reading(world, second_look_dies)
    killed(world, run_id)
    apply(world, listing("NEW", version=9))
    world.clock.pass_(60)
    world.source.listings = everything
    reading(world, lambda kind, number, one: one)
    carry_out(world, run_id)
    assert "NEW" in held_ids(world)


def test_a_read_without_places_that_starts_over_forgets_what_it_showed(world: World) -> None:
    loaded(world, 5)
    world.source.page_size = None
    failed: list[int] = []

    def fails_once(kind: Kind, number: int, one: Page) -> Page:
        if number == 1 and not failed:
            failed.append(number)
            del world.source.listings["P003"]
            raise Unavailable("the line dropped")
        return one

    reading(world, fails_once)
    complete(world)
    assert dead(world) == ["P003"]


def test_a_source_that_loses_its_place_for_ever_fails_the_run(world: World) -> None:
    loaded(world, 5)
    world.source.page_size = None

    def fails(kind: Kind, number: int, one: Page) -> Page:
        if number == 1:
            raise Unavailable("the line dropped")
        return one

    reading(world, fails)
    run_id = open_run(world)
    for _ in range(MOST_SILENCES):
        carry_out(world, run_id)
    with pytest.raises(Unavailable, match="the line dropped"):
        carry_out(world, run_id)


def test_a_run_killed_after_a_kind_was_written_tombstones_nothing(world: World) -> None:
    loaded(world)
    run_id = open_run(world)
    enqueue = world.queue.enqueue

    def die(keys: Sequence[Any]) -> None:
        world.queue.enqueue = enqueue  # type: ignore[method-assign]
        raise Killed

    world.queue.enqueue = die  # type: ignore[method-assign]
    killed(world, run_id)
    carry_out(world, run_id)
    assert dead(world) == []


# --- what is reported ---


def test_a_row_that_is_newer_than_the_read_is_a_late_difference(world: World) -> None:
    loaded(world, 40)
    run_id = open_run(world)
    apply(world, listing("P001", version=50, name="newer"))
    world.clock.pass_(-5)
    ended = carry_out(world, run_id)
    assert (agreement(ended), drifted(world, run_id)) == (1 - 1 / 40, [("P001", "differs", "late")])


def test_a_row_of_a_newer_version_read_before_is_an_unknown_difference(world: World) -> None:
    loaded(world, 40)
    apply(world, listing("P001", version=50, name="newer"))
    world.clock.pass_(10)
    run_id = open_run(world)
    ended = carry_out(world, run_id)
    assert (agreement(ended), drifted(world, run_id)) == (1 - 1 / 40, [("P001", "differs", "unknown")])


def test_a_row_that_the_read_did_not_show_and_that_was_read_later_is_a_late_difference(world: World) -> None:
    loaded(world, 39)
    run_id = open_run(world)
    apply(world, listing("NEW", version=9))
    world.clock.pass_(-5)
    ended = carry_out(world, run_id)
    assert (agreement(ended), drifted(world, run_id)) == (1 - 1 / 40, [("NEW", "vanished", "late")])


def test_a_row_that_a_live_writer_made_newer_between_read_and_write_is_a_difference(world: World) -> None:
    loaded(world, 40)
    world.source.put(listing("P001", version=20, name="read"))
    run_id = open_run(world)

    def overtaken(kind: Kind, number: int, one: Page) -> Page:
        if number == 4:
            world.clock.pass_(1)
            apply(world, listing("P001", version=30, name="live"))
        return one

    reading(world, overtaken)
    ended = carry_out(world, run_id)
    assert (agreement(ended), drifted(world, run_id)) == (1 - 1 / 40, [("P001", "differs", "late")])


def test_a_deletion_concluded_during_the_read_is_not_undone_by_it(world: World) -> None:
    loaded(world, 40)
    world.source.put(listing("P001", version=20, name="read"))

    def deleted_meanwhile(kind: Kind, number: int, one: Page) -> Page:
        if number == 4:
            world.clock.pass_(1)
            with world.database.begin() as conn:
                now = world.clock()
                catalog.tombstone(conn, SHOP, [Ref(PRODUCT, "P001")], read_at=now, now=now)
        return one

    reading(world, deleted_meanwhile)
    ended = complete(world)
    assert (dead(world), agreement(ended)) == (["P001"], 1 - 1 / 40)


def test_a_tombstone_found_at_the_start_is_lifted_only_by_a_read_that_began_later(world: World) -> None:
    loaded(world, 40)
    world.clock.pass_(50)
    with world.database.begin() as conn:
        catalog.tombstone(conn, SHOP, [Ref(PRODUCT, "P001")], read_at=world.clock(), now=world.clock())
    world.source.put(listing("P001", version=20, name="newer version"))
    world.clock.pass_(-50)
    ended = carry_out(world, open_run(world))
    assert (dead(world), agreement(ended)) == (["P001"], 1 - 1 / 40)
    complete(world)
    assert dead(world) == []


def test_a_dry_run_reports_how_much_agrees_now(world: World) -> None:
    loaded(world, 40)
    world.source.put(listing("P001", version=20, name="new"))
    assert agreement(complete(world, dry_run=True)) == 1 - 1 / 40


def test_a_list_that_comes_back_after_most_rows_were_deleted_agrees_between_0_and_1(world: World) -> None:
    loaded(world, 10)
    with world.database.begin() as conn:
        conn.exec_driver_sql("UPDATE listings SET deleted = true, row_hash = 0 WHERE external_id < 'P008'")
    assert agreement(complete(world, force=True)) == 1.0


# --- wrong clocks ---


def test_rows_of_a_clock_400_days_ahead_are_repaired_by_the_next_complete_read(world: World) -> None:
    world.source.put(count("A", 5, version=1))
    wrong = world.clock() + timedelta(days=400)
    with world.database.begin() as conn:
        frozen = replaced(count("A", 8), version=int(wrong.timestamp() * 1_000_000))
        catalog.apply(conn, SHOP, [frozen], read_at=wrong, now=wrong)
    run_id = open_run(world, Strategy.INVENTORY)
    carry_out(world, run_id)
    assert row(world, "A", STOCK)["quantity"] == 5


def replaced(record: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(record, **fields)


def test_a_row_written_four_seconds_ahead_is_no_agreement(world: World) -> None:
    loaded(world, 5)
    world.source.put(*(count(f"P{number:03d}", 3, version=1) for number in range(4)))
    complete(world, Strategy.INVENTORY)
    ahead = world.clock() + timedelta(seconds=4)
    with world.database.begin() as conn:
        wrong = replaced(count("P001", 8), version=int(ahead.timestamp() * 1_000_000))
        catalog.apply(conn, SHOP, [wrong], read_at=ahead, now=ahead)
    ended = carry_out(world, open_run(world, Strategy.INVENTORY))
    assert agreement(ended, STOCK) == 0.75


def test_a_record_dated_in_the_future_does_not_freeze_what_comes_after_it(world: World) -> None:
    loaded(world, 5)
    future = int((world.clock() + timedelta(days=2000)).timestamp())
    world.source.put(replaced(listing("P001", name="2031"), version=future * 1_000_000))
    complete(world)
    now = int(world.clock().timestamp()) + 50
    world.source.put(replaced(listing("P001", name="true"), version=now * 1_000_000))
    complete(world)
    assert row(world, "P001")["name"] == "true"


# --- bad records ---


def with_bad(*ids: str, kind: Kind = PRODUCT) -> Callable[[Kind, int, Page], Page]:
    """These items are shown on the page where they stand, but cannot be read."""

    def change(of: Kind, number: int, one: Page) -> Page:
        if of is not kind or not one.records:
            return one
        key = "external_id" if kind is PRODUCT else "listing_id"
        good = [record for record in one.records if getattr(record, key) not in ids]
        bad = [BadRecord(kind, id, f"{kind} {id}: price is 'x'; a number was expected") for id in ids]
        shown = [one for one in bad if number == 0]
        return msgspec.structs.replace(one, records=good, failed=shown)

    return change


def test_a_record_that_cannot_be_read_is_a_failed_item_and_the_run_completes(world: World) -> None:
    loaded(world)
    world.source.put(count("P001", 3))
    world.source.put(listing("P002", 20, name="new"))
    reading(world, with_bad("P003"))
    ended = complete(world, Strategy.FULL)
    assert (ended.status, ended.progress.failed, ended.counts[PRODUCT].failed) == ("completed", 1, 1)
    assert failing(world) == {"P003": "product P003: price is 'x'; a number was expected"}
    assert (row(world, "P002")["name"], row(world, "P001", STOCK)["quantity"]) == ("new", 3)


def test_a_record_that_is_shown_but_cannot_be_read_has_not_vanished(world: World) -> None:
    loaded(world)
    reading(world, with_bad("P003"))
    ended = complete(world)
    assert (dead(world), agreement(ended)) == ([], round(1 - 1 / 45, 6))


def test_variations_of_an_item_that_cannot_be_read_have_not_vanished(world: World) -> None:
    fill(world, 20)
    world.source.put(listing("V1", parent_id="ITEM"), listing("V2", parent_id="ITEM"))
    complete(world)
    del world.source.listings["V1"], world.source.listings["V2"]
    reading(world, with_bad("ITEM"))
    complete(world)
    assert dead(world) == []


def test_with_a_bad_record_that_has_no_id_nothing_is_taken_for_deleted(world: World) -> None:
    loaded(world)
    del world.source.listings["P010"]
    reading(world, with_bad(""))
    ended = complete(world)
    assert (dead(world), "1 unreadable" in str(ended.counts[PRODUCT].incomplete)) == ([], True)


def test_a_resumed_read_still_knows_what_it_could_not_read(world: World) -> None:
    loaded(world)
    run_id = open_run(world)
    bad = with_bad("P003")
    reading(world, lambda kind, number, one: dying_at(2)(kind, number, bad(kind, number, one)))
    killed(world, run_id)
    reading(world, lambda kind, number, one: one)
    ended = carry_out(world, run_id)
    assert (dead(world), sorted(failing(world)), ended.progress.failed) == ([], ["P003"], 1)


def test_a_record_that_is_good_again_heals(world: World) -> None:
    loaded(world)
    reading(world, with_bad("P003"))
    complete(world)
    reading(world, lambda kind, number, one: one)
    complete(world)
    assert failing(world) == {}


def test_a_failed_record_that_the_source_has_no_more_is_no_failed_item_any_more(world: World) -> None:
    loaded(world)
    reading(world, with_bad("P003"))
    complete(world)
    del world.source.listings["P003"]
    reading(world, lambda kind, number, one: one)
    complete(world)
    assert failing(world) == {}


def test_a_dry_run_counts_bad_records_and_notes_none(world: World) -> None:
    loaded(world)
    reading(world, with_bad("P003"))
    ended = complete(world, dry_run=True)
    assert (ended.progress.failed, failing(world)) == (1, {})


BAD_VALUES = {
    "price": {"price_minor": 99999999999999999999},
    "price of 64 bits and one": {"price_minor": 2**63},
    "lone surrogate": {"name": "cup \ud800"},
}


@pytest.mark.parametrize("fields", BAD_VALUES.values(), ids=BAD_VALUES)
@pytest.mark.parametrize("strategy", [Strategy.CATALOG, Strategy.ACTIVE, Strategy.INCREMENTAL, Strategy.CATEGORY])
def test_a_record_that_cannot_be_stored_harms_only_itself(
    world: World, strategy: Strategy, fields: dict[str, Any]
) -> None:
    world.source._batch = 10
    world.source.put(*(listing(f"P{number:03d}", 10_000_000, category="Bowls") for number in range(45)))
    complete(world)
    news = {
        f"P{number:03d}": listing(f"P{number:03d}", 10_000_001, category="Bowls", name="new") for number in range(45)
    }
    world.source.put(*news.values(), listing("P007", 10_000_001, category="Bowls", **fields))
    options = {"category": "Bowls"} if strategy is Strategy.CATEGORY else {}
    ended = complete(world, strategy, force=True, **options)
    with world.database.read() as conn:
        right = conn.exec_driver_sql("SELECT count(*) FROM listings WHERE name = 'new'").scalar()
    name = next(iter(fields))
    assert (ended.status, right, list(failing(world))) == ("completed", 44, ["P007"])
    assert f"product P007 cannot be stored: {name} is " in failing(world)["P007"]


@pytest.mark.parametrize("strategy", [Strategy.CATALOG, Strategy.ACTIVE, Strategy.INCREMENTAL])
def test_an_id_that_no_index_holds_is_a_failed_item_until_it_is_gone(world: World, strategy: Strategy) -> None:
    world.source.put(*(listing(f"P{number:03d}", 10_000_000) for number in range(15)))
    complete(world)
    long = "".join(f"{number:x}" for number in range(2_000))
    world.source.put(listing(long, 10_000_001), listing("P001", 10_000_001, name="new"))
    for _ in range(2):
        ended = complete(world, strategy)
        ((id, error),) = failing(world).items()
        assert (ended.status, row(world, "P001")["name"], id[:20]) == ("completed", "new", long[:20])
        assert (
            error
            == f"product {long[:80]} cannot be stored: its key has {len(long)} characters; at most 600 were expected"
        )
    del world.source.listings[long]
    complete(world)
    assert failing(world) == {}


def test_a_variation_that_is_gone_is_found_though_its_sister_cannot_be_stored(world: World) -> None:
    sisters = [listing(f"V{number}", 10, parent_id="ITEM") for number in range(3)]
    world.source.put(*(listing(f"P{number:03d}", 10) for number in range(45)), *sisters)
    complete(world)
    del world.source.listings["V0"]
    world.source.put(listing("V1", 11, parent_id="ITEM", price_minor=10**30))
    complete(world)
    with world.database.read() as conn:
        gone = {row[0] for row in conn.exec_driver_sql("SELECT external_id FROM listings WHERE deleted IS TRUE")}
    assert (gone, list(failing(world))) == ({"V0"}, ["ITEM"])


def test_a_nul_in_a_name_harms_only_its_record_on_postgresql(postgres_url: str) -> None:
    with closing(open_database(postgres_url)) as database:
        world = World(database, FakeSource(page_size=PAGE))
        loaded(world)
        fresh = [listing(f"P{number:03d}", 20, name="new") for number in range(45)]
        world.source.put(*fresh, listing("P007", 20, name="cup\x00"))
        complete(world, force=True)
        assert list(failing(world)) == ["P007"]
        assert "text without NUL" in failing(world)["P007"]


def test_a_kind_that_fails_as_a_whole_does_not_keep_the_others_from_being_read(world: World) -> None:
    loaded(world)
    world.source.put(count("P001", 3))

    def undecodable(kind: Kind, number: int, one: Page) -> Page:
        if kind is PRODUCT:
            raise Unmappable("the list is no list")
        return one

    reading(world, undecodable)
    run_id = open_run(world, Strategy.FULL)
    with pytest.raises(Permanent, match="the list is no list"):
        carry_out(world, run_id)
    ended = stored_run(world, run_id)
    assert row(world, "P001", STOCK)["quantity"] == 3
    assert (ended.status, ended.error) == ("failed", "product: Unmappable: the list is no list")


def test_a_run_whose_kind_failed_reads_it_when_it_is_resumed(world: World) -> None:
    fill(world, 5)
    world.source.refuses[PRODUCT] = Unmappable("the list is no list")
    run_id = open_run(world, Strategy.FULL)
    with pytest.raises(Permanent):
        carry_out(world, run_id)
    world.source.refuses.clear()
    resume_run(world.deps, SHOP, run_id)
    ended = carry_out(world, run_id)
    assert (ended.status, len(held_ids(world)), ended.counts[PRODUCT].error is not None) == ("completed", 5, False)


def test_a_failed_kind_is_remembered_through_a_kill(world: World) -> None:
    fill(world, 5)
    world.source.put(count("P001", 3))
    world.source.refuses[PRODUCT] = Unmappable("the list is no list")
    reading(world, dying_at(1))
    run_id = open_run(world, Strategy.FULL)
    killed(world, run_id)
    reading(world, lambda kind, number, one: one)
    with pytest.raises(Permanent):
        carry_out(world, run_id)
    assert "the list is no list" in str(stored_run(world, run_id).error)


# --- the database's faults ---


class Faulty(Database):
    """A database that is in trouble at some of its write transactions, counted from 0."""

    def __init__(self, inner: Database, at: Callable[[int], bool]) -> None:
        self.__dict__.update(inner.__dict__)
        self._at, self._begun = at, -1
        self.lost: tuple[float, float] | None = None
        self.dies_at: Callable[[Database], bool] = lambda database: False

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._begun += 1
        if self.dies_at(self):
            raise Killed
        if self._at(self._begun):
            raise DatabaseFault("the connection is lost")
        with super().begin() as conn:
            yield conn

    def trouble(self) -> tuple[float, float] | None:
        return self.lost


@pytest.mark.parametrize("at", range(14))
def test_a_run_goes_on_after_a_fault_of_the_database_at_any_commit(world: World, at: int) -> None:
    fill(world, 45)
    run_id = open_run(world)
    faulty = Faulty(world.database, lambda number: number == at)
    keeper = LeaseKeeper(world.database)
    run(replace(world.deps, database=faulty), keeper, run_id, patience=0.0)
    world.clock.pass_(LEASE + 1)
    ended = carry_out(world, run_id)
    assert (ended.status, ended.kills, len(held_ids(world))) == ("completed", 0, 45)


def test_a_database_fault_makes_no_failed_item_of_a_batch(world: World) -> None:
    world.source.put(*(listing(f"P{number}", category="Bowls") for number in range(6)))
    complete(world)
    run_id = open_run(world, Strategy.CATEGORY, category="Bowls")
    faulty = Faulty(world.database, lambda number: number >= 1)
    run(replace(world.deps, database=faulty), LeaseKeeper(world.database), run_id, patience=0.0)
    assert (failing(world), stored_run(world, run_id).status) == ({}, "idle")


def test_a_lease_that_ran_out_while_the_database_was_away_is_no_kill(world: World) -> None:
    run_id = open_run(world)
    start_and_die(world, run_id)
    with world.database.begin() as conn:
        row = runs.start(conn, run_id, "second", LEASE, world.clock(), world.clock() - timedelta(seconds=60))
    assert row is not None
    assert row.kills == 0


def start_and_die(world: World, run_id: int) -> None:
    with world.database.begin() as conn:
        assert runs.start(conn, run_id, "dead worker", LEASE, world.clock())
    world.clock.pass_(LEASE + 1)


def test_a_run_is_not_stuck_while_the_database_was_away(world: World) -> None:
    run_id = open_run(world)
    start_and_die(world, run_id)
    world.clock.pass_(STUCK_AFTER + 1)
    faulty = Faulty(world.database, lambda number: False)
    faulty.lost = (60.0, 1.0)
    assert check_stuck(replace(world.deps, database=faulty)) == []
    faulty.lost = (600.0, STUCK_AFTER + 1)
    assert check_stuck(replace(world.deps, database=faulty)) == [run_id]


def test_a_clock_that_has_just_begun_fails_no_run(world: World) -> None:
    run_id = open_run(world)
    start_and_die(world, run_id)
    world.clock.pass_(STUCK_AFTER + 1)
    began = world.clock() - timedelta(seconds=5)
    assert check_stuck(world.deps, alive_since=began) == []
    world.clock.pass_(STUCK_AFTER)
    assert check_stuck(world.deps, alive_since=began) == [run_id]


# --- outages and refusals ---


def test_a_kind_that_may_not_be_read_is_left_out_and_the_run_completes(world: World) -> None:
    world.source.put(listing("P001"), count("P001", 3))
    world.source.refuses[PRODUCT] = VendorForbidden("403 INSUFFICIENT_SCOPES: ITEMS_READ")
    ended = complete(world, Strategy.FULL)
    assert (ended.status, row(world, "P001", STOCK)["quantity"]) == ("completed", 3)
    assert "ITEMS_READ" in str(ended.counts[PRODUCT].forbidden)


def test_a_forbidden_kind_is_not_asked_for_by_the_next_run(world: World) -> None:
    world.source.refuses[PRODUCT] = VendorForbidden("403 INSUFFICIENT_SCOPES: ITEMS_READ")
    complete(world, Strategy.FULL)
    world.source.requests.clear()
    ended = complete(world, Strategy.FULL)
    assert world.source.requests == [("full stock",)]
    assert "ITEMS_READ" in str(ended.counts[PRODUCT].forbidden)


def test_a_run_of_which_nothing_may_be_read_fails_without_a_letter(world: World) -> None:
    world.source.refuses[PRODUCT] = VendorForbidden("403 INSUFFICIENT_SCOPES: ITEMS_READ")
    ended = complete(world)
    assert ended.status == "failed"
    assert "ITEMS_READ" in str(ended.error)


def test_a_scheduled_run_of_which_nothing_may_be_read_completes_with_nothing(world: World) -> None:
    world.source.refuses[PRODUCT] = VendorForbidden("403 INSUFFICIENT_SCOPES: ITEMS_READ")
    run_id = request_run(world.deps, SHOP, Strategy.CATALOG, Options(), cause="schedule")
    ended = carry_out(world, run_id)
    assert (ended.status, ended.error) == ("completed", None)
    assert "ITEMS_READ" in str(ended.counts[PRODUCT].forbidden)


def test_a_kind_that_was_left_out_was_not_read(world: World) -> None:
    world.source.refuses[PRODUCT] = VendorForbidden("403 INSUFFICIENT_SCOPES: ITEMS_READ")
    complete(world, Strategy.FULL)
    with world.database.read() as conn:
        assert list(last_reads(runs.completed(conn, SHOP))) == [STOCK]


@pytest.mark.parametrize("error", [Unavailable("no answer"), AuthRejected("401 token expired")], ids=["down", "401"])
@pytest.mark.parametrize("strategy", [Strategy.CATALOG, Strategy.ACTIVE, Strategy.INCREMENTAL, Strategy.CATEGORY])
def test_a_run_waits_while_the_connection_is_down_and_then_goes_on(
    world: World, strategy: Strategy, error: Exception
) -> None:
    world.source.put(*(listing(f"P{number:03d}", 10_000_000, category="Bowls") for number in range(200)))
    world.source._batch = 100
    complete(world)
    options = {"category": "Bowls"} if strategy is Strategy.CATEGORY else {}
    run_id = open_run(world, strategy, **options)
    world.source.down = error
    before = world.source.calls()
    ended = carry_out(world, run_id)
    assert (ended.status, failing(world)) == ("idle", {})
    assert world.source.calls() - before <= 3


def test_a_run_by_ids_under_an_outage_keeps_its_place(world: World) -> None:
    world.source.put(*(listing(f"P{number:03d}", category="Bowls") for number in range(20)))
    world.source._batch = 10
    complete(world)
    run_id = open_run(world, Strategy.CATEGORY, category="Bowls")
    world.source.on_call = lambda: fall(world) if len(world.source.requests) > 1 else None
    world.source.requests.clear()
    ended = carry_out(world, run_id)
    assert (ended.checkpoint.after, ended.progress.processed) == ("P009", 10)


def fall(world: World) -> None:
    world.source.down = Unavailable("no answer")


def test_a_batch_is_not_split_while_the_kind_is_not_answered(world: World) -> None:
    world.source.put(*(listing(f"P{number:03d}", category="Bowls") for number in range(20)))
    world.source._batch = 10
    complete(world)
    world.source.refuses[PRODUCT] = Unavailable("503")
    run_id = open_run(world, Strategy.CATEGORY, category="Bowls")
    world.source.requests.clear()
    carry_out(world, run_id)
    assert len(world.source.requests) == 5  # the batch three times, and two others by themselves


# --- graceful stops ---


def stopping_at(keeper: LeaseKeeper, at: int) -> Callable[[int], None]:
    return lambda number: keeper.begin_stopping() if number == at else None


@pytest.mark.parametrize("strategy", [Strategy.CATALOG, Strategy.ACTIVE])
def test_three_deploys_during_one_run_do_not_fail_it(world: World, strategy: Strategy) -> None:
    world.source.put(*(listing(f"P{number:03d}", 10_000_000) for number in range(95)))
    run_id = open_run(world, strategy)
    for at in (1, 3, 5):
        keeper = LeaseKeeper(world.database)
        world.source.on_page = stopping_at(keeper, at)
        given_back = carry_out(world, run_id, keeper)
        assert (given_back.status, given_back.kills) == ("idle", 0)
    world.source.on_page = lambda number: None
    ended = carry_out(world, run_id)
    assert (ended.status, ended.kills, len(held_ids(world))) == ("completed", 0, 95)


def test_a_run_by_ids_is_given_back_between_two_batches(world: World) -> None:
    world.source.put(*(listing(f"P{number}", category="Bowls") for number in range(6)))
    complete(world)
    keeper = LeaseKeeper(world.database)
    run_id = open_run(world, Strategy.CATEGORY, category="Bowls")
    world.source.meanwhile = keeper.begin_stopping
    ended = carry_out(world, run_id, keeper)
    assert (ended.status, ended.checkpoint.after) == ("idle", "P0")


def test_a_stop_leaves_no_kind_locked(world: World) -> None:
    fill(world, 25)
    keeper = LeaseKeeper(world.database)
    world.source.on_page = stopping_at(keeper, 1)
    carry_out(world, open_run(world), keeper)
    with world.database.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM owed_items WHERE token IS NOT NULL").scalar() == 0


# --- no transaction while the vendor is asked ---


def test_order_ids_are_listed_without_a_transaction(world: World) -> None:
    world.source.kinds = (*world.source.kinds, Kind.ORDER)
    opened: list[int] = []

    class Watched(Database):
        def __init__(self, inner: Database) -> None:
            self.__dict__.update(inner.__dict__)

        @contextmanager
        def read(self) -> Iterator[Connection]:
            opened.append(1)
            with super().read() as conn:
                yield conn
            opened.pop()

    during: list[int] = []
    source = world.source
    listed = source.order_ids
    source.order_ids = lambda first, last: during.append(len(opened)) or listed(first, last)  # type: ignore
    run_id = request_run(
        world.deps, SHOP, Strategy.ORDERS, Options(first=date(2026, 1, 1), last=date(2026, 1, 2)), cause="person"
    )
    run(replace(world.deps, database=Watched(world.database)), LeaseKeeper(world.database), run_id, patience=0.0)
    assert during == [0]


def test_a_run_of_a_paused_connection_is_not_stuck(world: World) -> None:
    run_id = open_run(world)
    start_and_die(world, run_id)
    pause(world.deps, SHOP)
    world.clock.pass_(STUCK_AFTER + 1)
    assert (check_stuck(world.deps), stored_run(world, run_id).status) == ([], "running")


def test_a_run_is_not_stuck_in_the_moment_in_which_its_connection_is_asked_again(world: World) -> None:
    run_id = open_run(world)
    start_and_die(world, run_id)
    pause(world.deps, SHOP)
    world.clock.pass_(STUCK_AFTER + LEASE + 1)
    resume(world.deps, SHOP)
    assert (check_stuck(world.deps), stored_run(world, run_id).status) == ([], "running")
    world.clock.pass_(STUCK_AFTER + 1)
    assert check_stuck(world.deps) == [run_id]


def test_a_run_that_goes_on_after_a_crash_writes_each_difference_once(world: World) -> None:
    loaded(world)
    world.source.put(*(listing(f"P{number:03d}", version=90, name="new") for number in range(5)))
    run_id = open_run(world)
    faulty = Faulty(world.database, lambda number: False)
    faulty.dies_at = lambda work: drift_rows(world, run_id) == 5
    with pytest.raises(Killed):
        run(replace(world.deps, database=faulty), LeaseKeeper(world.database), run_id, patience=0.0)
    world.clock.pass_(LEASE + 1)
    carry_out(world, run_id)
    assert drift_rows(world, run_id) == 5


def drift_rows(world: World, run_id: int) -> int:
    with world.database.read() as conn:
        return int(conn.exec_driver_sql(f"SELECT count(*) FROM drift WHERE run_id = {run_id}").scalar() or 0)


# --- a person's pause, and a vendor that limits us, while a run is under way ---


@pytest.mark.parametrize("strategy", [Strategy.CATALOG, Strategy.INCREMENTAL, Strategy.ORDERS])
def test_a_run_under_way_asks_nothing_more_once_a_person_pauses_the_connection(
    world: World, strategy: Strategy
) -> None:
    fill(world, 45)
    if strategy is Strategy.INCREMENTAL:
        complete(world)
    world.source.kinds = (PRODUCT, Kind.ORDER)
    world.source.order_days = [(date(2026, 6, 1), f"P{number}") for number in range(9)]
    run_id = open_run(world, strategy)

    def stop() -> None:
        if not blocked(world.deps, SHOP):
            pause(world.deps, SHOP)
            forget(world.deps)

    world.source.on_call = stop
    before = len(world.source.requests)
    run_row = carry_out(world, run_id)
    requests = world.source.requests[before:]
    assert (run_row.status, len(requests) <= 2, len(world.source.pages_read) % 5 <= 1) == ("idle", True, True), (
        requests
    )


def test_a_run_by_ids_that_the_vendor_limits_notes_no_failed_item(world: World) -> None:
    world.source.kinds = (Kind.ORDER,)
    world.source.order_days = [(date(2026, 6, 1), f"O{number}") for number in range(9)]
    run_id = open_run(world, Strategy.ORDERS)
    world.source.refuses[Kind.ORDER] = RateLimited("429")
    run_row = carry_out(world, run_id)
    assert (run_row.status, run_row.progress.failed) == ("idle", 0)


def test_a_run_that_the_vendor_limits_goes_on_later(world: World) -> None:
    fill(world, 5)
    run_id = open_run(world)
    world.source.refuses[PRODUCT] = RateLimited("429")
    assert carry_out(world, run_id).status == "idle"
    world.source.refuses.clear()
    assert carry_out(world, run_id).status == "completed"


def test_a_run_that_is_limited_for_an_hour_goes_on_later(world: World) -> None:
    fill(world, 5)
    run_id = open_run(world)
    world.source.refuses[PRODUCT] = RateLimited("429")
    for _ in range(60):
        assert carry_out(world, run_id).status == "idle"
        world.clock.pass_(60)
    world.source.refuses.clear()
    assert carry_out(world, run_id).status == "completed"


def test_a_run_that_is_limited_for_half_a_day_fails_and_can_be_resumed(world: World) -> None:
    fill(world, 5)
    run_id = open_run(world)
    world.source.refuses[PRODUCT] = RateLimited("429")
    assert carry_out(world, run_id).status == "idle"
    world.clock.pass_(12 * 3600)
    with pytest.raises(RateLimited):
        carry_out(world, run_id)
    resume_run(world.deps, SHOP, run_id)
    assert carry_out(world, run_id).status == "idle"


class Unresumable(FakeSource):
    """A shop whose reads always begin at the beginning."""

    def _pages(self, records: Sequence[Listing | StockCount], resume: str | None) -> Iterator[Page]:
        yield from (msgspec.structs.replace(page, resume=None) for page in super()._pages(records, None))


def test_a_run_that_is_limited_again_before_it_gets_further_than_ever_fails_in_the_end(database: Database) -> None:
    world = World(database, Unresumable(page_size=10))
    fill(world, 45)
    run_id, page = open_run(world, Strategy.ACTIVE), [0]

    def limit(number: int) -> None:
        if number == page[0]:
            raise RateLimited("429")

    world.source.on_page = limit
    for hour in range(20):
        page[0] = 2 + hour % 2
        world.clock.pass_(3600)
        with suppress(RateLimited):
            carry_out(world, run_id)
    assert stored_run(world, run_id).status == "failed"


def test_a_read_that_gets_further_each_time_it_begins_again_is_done(database: Database) -> None:
    world = World(database, Unresumable(page_size=10))
    fill(world, 95)
    failing_page = [1]

    def hang(number: int) -> None:
        if number == failing_page[0]:
            failing_page[0] += 1
            raise Unavailable("the line dropped")

    world.source.on_page = hang
    assert (complete(world).status, len(held_ids(world))) == ("completed", 95)


def test_a_run_of_a_connection_that_was_removed_fails_and_says_so(world: World) -> None:
    run_id = open_run(world)
    world.deps = replace(world.deps, sources={}, bulk_sources={})
    ended = carry_out(world, run_id)
    assert (ended.status, ended.error) == ("failed", f"the connection {SHOP} is not configured any more")
