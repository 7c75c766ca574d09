"""Every write carries its fence: who lost the lease, read too early or knows less writes nothing."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from app.domain import ALL_ITEMS, Answer, BadRecord, Cause, Change, ItemKey, Kind, Listing, Ref, Scope, StockCount
from app.errors import Unavailable, Unmappable
from app.flows.items.bulk_read import BulkRead
from app.flows.items.dead_letter import record_dead_letter
from app.flows.items.fetched import read_of
from app.flows.items.held_items import HeldItems, split
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.rules.letters.retry import ITEM_ASKS, VERSION_ASKS
from app.stores import catalog, owed
from app.stores.owed import Claim
from app.stores.runs import failed_items, runs
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, count, listing
from tests.letters import all_letters
from tests.rows import row_of

KEY = ItemKey(SHOP, Kind.PRODUCT, "A")
WRONG = Unmappable("product A: price is 'x', expected a number")


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def owe(world: World, *ids: str, version: int = 0) -> None:
    changes = [Change(Kind.PRODUCT, id, version) for id in ids or ("A",)]
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, changes, Cause.WEBHOOK, world.clock())


def sync(world: World, key: ItemKey = KEY) -> None:
    sync_item(world.deps, LeaseKeeper(world.database, world.clock), key)


def sync_and_bury(world: World, message_id: str = "m1") -> None:
    """What a worker does with a message that may die."""
    try:
        sync(world)
    except Unmappable as error:
        record_dead_letter(world.deps, message_id=message_id, actor="sync_item", queue="live", args=KEY, error=error)


def take_over(world: World) -> list[Claim]:
    """The lease has run out, and another worker takes the item."""
    world.clock.pass_(LEASE + 1)
    with world.database.begin() as conn:
        claims = owed.claim(conn, KEY, more=0, lease=LEASE, now=world.clock())
    assert claims
    return claims


def row(world: World, id: str = "A") -> dict[str, Any] | None:
    with world.database.read() as conn:
        return row_of(conn, SHOP, Kind.PRODUCT, (id,))


def is_live(world: World, id: str = "A") -> bool:
    result = row(world, id)
    return result is not None and not result["deleted"]


def is_owed(world: World, key: ItemKey = KEY) -> bool:
    with world.database.read() as conn:
        return owed.is_owed(conn, key)


def once(*work: Callable[[], object]) -> Callable[[], None]:
    """Runs each piece of work in its own call, then nothing."""
    left = list(work)
    return lambda: None if not left else (left.pop(0)(), None)[1]


def outcomes(world: World) -> list[tuple[str, int]]:
    with world.database.read() as conn:
        rows = conn.exec_driver_sql("SELECT outcome, changes FROM settlements ORDER BY id")
        return [(outcome, changes) for outcome, changes in rows]


# --- burials (A1, A2) ---


def test_a_change_that_came_during_a_fatal_fetch_stays_owed(world: World) -> None:
    world.source.poison["A"] = WRONG
    owe(world)
    world.source.meanwhile = once(lambda: owe(world))
    sync_and_bury(world)
    assert is_owed(world)


def test_the_correction_that_came_during_a_fatal_fetch_is_written(world: World) -> None:
    world.source.poison["A"] = WRONG
    owe(world)
    world.source.meanwhile = once(lambda: owe(world))
    sync_and_bury(world)
    world.source.poison.clear()
    world.source.put(listing("A", name="corrected"))
    world.clock.pass_(1)
    sync(world)
    assert (row(world) or {})["name"] == "corrected"


def test_recording_a_dead_letter_settles_only_the_changes_that_its_claim_covered(world: World) -> None:
    world.source.poison["A"] = WRONG
    owe(world)
    world.source.meanwhile = once(lambda: owe(world))
    sync_and_bury(world)
    assert outcomes(world) == [("dead", 1)]


def test_recording_a_dead_letter_leaves_the_lease_of_another_worker_alone(world: World) -> None:
    world.source.poison["A"] = WRONG
    owe(world)
    taken: list[Claim] = []
    world.source.meanwhile = once(lambda: taken.extend(take_over(world)))
    sync_and_bury(world)
    with world.database.begin() as conn:
        assert owed.still_held(conn, taken) == {KEY}


def test_a_worker_that_lost_its_lease_writes_no_letter(world: World) -> None:
    world.source.poison["A"] = WRONG
    owe(world)
    world.source.meanwhile = once(lambda: take_over(world))
    sync_and_bury(world)
    assert all_letters(world.database) == []


def test_the_same_failure_of_an_item_is_the_same_letter(world: World) -> None:
    world.source.poison["A"] = WRONG
    for number in range(3):
        owe(world)
        sync_and_bury(world, f"m{number}")
        world.clock.pass_(60)
    (letter,) = all_letters(world.database)
    assert len(letter.attempts) == 3


def test_another_failure_of_an_item_is_another_letter(world: World) -> None:
    for number, error in enumerate((WRONG, Unmappable("product A: name is 7, expected a text"))):
        world.source.poison["A"] = error
        owe(world)
        sync_and_bury(world, f"m{number}")
    assert len(all_letters(world.database)) == 2


# --- lost leases (A2, A3) ---


def test_a_worker_whose_lease_was_taken_over_writes_no_row(world: World) -> None:
    world.source.put(listing("A"))
    owe(world)
    world.source.meanwhile = once(lambda: take_over(world))
    sync(world)
    assert row(world) is None


def test_a_worker_whose_lease_was_taken_over_counts_no_attempt(world: World) -> None:
    world.source.failures.append(Unavailable("down"))
    owe(world)
    world.source.on_call = once(lambda: take_over(world))
    sync(world)
    with world.database.read() as conn:
        assert conn.exec_driver_sql("SELECT attempts FROM owed_items").scalar() == 0
        assert conn.exec_driver_sql("SELECT count(*) FROM attempts").scalar() == 0


def test_of_a_batch_the_items_that_are_still_ours_are_fetched_again(database: Database) -> None:
    world = World(database, FakeSource(batch=10))
    world.source.put(listing("A"), listing("B"))
    owe(world, "A", "B")

    def lose_a() -> None:
        with database.begin() as conn:
            conn.exec_driver_sql("UPDATE owed_items SET token = 'another' WHERE external_id = 'A'")

    world.source.meanwhile = once(lose_a)
    sync(world)
    assert row(world, "B") is None, "an answer is written as a whole or not at all"
    sync(world, ItemKey(SHOP, Kind.PRODUCT, "B"))
    assert is_live(world, "B")


# --- deletions (A3, A4) ---


def paused_read(world: World, records: list[Listing], *, meanwhile: Callable[[], object]) -> catalog.Applied:
    """A read that began, and is written only after something else has happened."""
    began = world.clock()
    world.clock.pass_(1)
    meanwhile()
    world.clock.pass_(1)
    with world.database.begin() as conn:
        return catalog.apply(conn, SHOP, records, read_at=began, now=world.clock())


def test_an_older_read_with_a_higher_version_does_not_lift_a_tombstone(world: World) -> None:
    world.source.put(listing("A", version=4))
    owe(world)
    sync(world)

    def delete() -> None:
        world.source.listings.clear()
        owe(world)
        sync(world)

    paused_read(world, [listing("A", version=5)], meanwhile=delete)
    assert not is_live(world)


def test_the_deletion_of_an_item_we_never_held_is_a_fence(world: World) -> None:
    def delete() -> None:
        owe(world)
        sync(world)

    paused_read(world, [listing("A", version=5)], meanwhile=delete)
    assert not is_live(world)


def test_what_a_fence_refused_is_named(world: World) -> None:
    def delete() -> None:
        owe(world)
        sync(world)

    applied = paused_read(world, [listing("A", version=5), listing("B")], meanwhile=delete)
    assert applied.refused == [(Kind.PRODUCT, ("A",))]


def test_an_item_created_again_at_the_source_lives_again(world: World) -> None:
    owe(world)
    sync(world)
    world.clock.pass_(1)
    world.source.put(listing("A", version=1, name="back"))
    owe(world)
    sync(world)
    assert is_live(world)


def test_a_deletion_that_is_concluded_again_fences_from_then_on(world: World) -> None:
    owe(world)
    sync(world)

    def delete_again() -> None:
        owe(world)
        sync(world)

    world.clock.pass_(1)
    paused_read(world, [listing("A", version=5)], meanwhile=delete_again)
    assert not is_live(world)


def test_parts_of_an_item_that_is_gone_are_fenced_though_we_never_held_them(world: World) -> None:
    part = listing("A-1", version=5, parent_id="A")

    def delete() -> None:
        answer = Answer(covers=[Scope(Kind.PRODUCT, "parent_id", "A")])
        read = catalog.Read(answer.records, world.clock(), answer.covers)
        world.clock.pass_(0.1)
        with world.database.begin() as conn:
            catalog.apply_reads(conn, SHOP, [read], now=world.clock())

    paused_read(world, [part], meanwhile=delete)
    assert not is_live(world, "A-1")


def test_a_later_read_shows_parts_of_an_item_that_was_gone(world: World) -> None:
    with world.database.begin() as conn:
        read = catalog.Read((), world.clock(), [Scope(Kind.PRODUCT, "parent_id", "A")])
        catalog.apply_reads(conn, SHOP, [read], now=world.clock())
    world.clock.pass_(1)
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, [listing("A-1", parent_id="A")], read_at=world.clock(), now=world.clock())
    assert is_live(world, "A-1")


def test_a_deletion_leaves_a_row_alone_that_was_read_later(world: World) -> None:
    began = world.clock()
    world.clock.pass_(1)
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, [listing("A")], read_at=world.clock(), now=world.clock())
        catalog.tombstone(conn, SHOP, [Ref(Kind.PRODUCT, "A")], read_at=began, now=world.clock())
    assert is_live(world)


# --- replicas that lag (A7) ---


def hinted(version: int) -> int:
    """The version of a listing that was changed so many seconds after the shop opened."""
    return version * 1_000_000


def test_an_item_is_asked_for_again_while_the_source_shows_an_older_version_than_its_hint(world: World) -> None:
    world.source.put(listing("A", version=5))
    owe(world, version=hinted(9))
    sync(world)
    assert is_owed(world)


def test_what_a_lagging_source_shows_is_written_all_the_same(world: World) -> None:
    world.source.put(listing("A", version=5))
    owe(world, version=hinted(9))
    sync(world)
    assert (row(world) or {})["version"] == hinted(5)


def test_the_hinted_version_is_written_once_the_source_shows_it(world: World) -> None:
    world.source.put(listing("A", version=5))
    owe(world, version=hinted(9))
    sync(world)
    world.source.put(listing("A", version=9))
    world.clock.pass_(2)
    sync(world)
    assert ((row(world) or {})["version"], is_owed(world)) == (hinted(9), False)


def test_asking_again_counts_no_attempt(world: World) -> None:
    world.source.put(listing("A", version=5))
    owe(world, version=hinted(9))
    sync(world)
    with world.database.read() as conn:
        assert conn.exec_driver_sql("SELECT attempts FROM owed_items").scalar() == 0


def test_a_version_that_is_never_shown_is_left_to_the_poll_in_the_end(world: World) -> None:
    world.source.put(listing("A", version=5))
    owe(world, version=hinted(9))
    for _ in range(VERSION_ASKS + 1):
        sync(world)
        world.clock.pass_(60)
    assert (is_owed(world), outcomes(world), world.source.calls()) == (False, [("stale", 1)], VERSION_ASKS + 1)


def test_a_version_that_another_read_has_brought_already_is_not_asked_for(world: World) -> None:
    world.source.put(listing("A", version=5))
    owe(world, version=hinted(9))
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, [listing("A", version=9)], read_at=world.clock(), now=world.clock())
    sync(world)
    assert not is_owed(world)


def test_an_item_that_the_source_announced_and_never_shows_is_settled_without_a_letter(world: World) -> None:
    world.source.not_yet.add("A")
    owe(world)
    for _ in range(ITEM_ASKS + 1):
        sync_and_bury(world)
        world.clock.pass_(600)
    assert (is_owed(world), outcomes(world), all_letters(world.database)) == (False, [("gone", 1)], [])


def test_an_item_that_we_hold_and_the_source_never_shows_stays_until_a_complete_read(world: World) -> None:
    world.source.put(listing("A"))
    owe(world)
    sync(world)
    world.source.not_yet.add("A")
    owe(world)
    for _ in range(ITEM_ASKS + 1):
        sync_and_bury(world)
        world.clock.pass_(600)
    assert (is_live(world), is_owed(world), outcomes(world)) == (True, False, [("applied", 1), ("stale", 1)])


# --- records that could not be read, and heal ---


def test_an_item_that_failed_in_a_run_heals_when_it_is_fetched_well(world: World) -> None:
    with world.database.begin() as conn:
        failed_items.record(conn, 1, SHOP, Ref(Kind.PRODUCT, "A"), category="mapping", error=WRONG, now=world.clock())
    world.source.put(listing("A"))
    owe(world)
    sync(world)
    with world.database.read() as conn:
        assert failed_items.open_refs(conn, SHOP) == []


def test_a_bad_record_of_a_batch_harms_only_itself(database: Database) -> None:
    world = World(database, FakeSource(batch=10))
    world.source.put(listing("A"), listing("B"))
    world.source.unreadable["A"] = "product A: price is 'x', expected a number"
    owe(world, "A", "B")
    with pytest.raises(Unmappable, match="price is 'x'"):
        sync(world)
    assert (is_live(world, "B"), is_live(world, "A")) == (True, False)


def test_a_bad_record_of_the_batch_is_not_taken_for_deleted(database: Database) -> None:
    world = World(database, FakeSource(batch=10))
    world.source.put(listing("A"))
    owe(world)
    sync(world)
    world.source.unreadable["A"] = "product A: price is 'x', expected a number"
    owe(world)
    with pytest.raises(Unmappable):
        sync(world)
    assert is_live(world)


class Counts(FakeSource):
    """A shop with counts at several places."""

    places: tuple[StockCount, ...] = ()
    covers: tuple[Scope, ...] = ()

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        self.meanwhile()
        return Answer(records=self.places, covers=self.covers)


@pytest.mark.parametrize(("covers", "asked_again"), [((), True), ((Scope(Kind.STOCK, "listing_id", "A"),), False)])
def test_an_item_is_asked_for_again_where_the_source_says_nothing_of_it(
    database: Database, covers: tuple[Scope, ...], asked_again: bool
) -> None:
    source = Counts()
    source.covers = covers
    world = World(database, source)
    with database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.STOCK, "A", hinted(9))], Cause.WEBHOOK, world.clock())
    sync(world, KEY._replace(kind=Kind.STOCK))
    with database.read() as conn:
        assert bool(owed.count(conn, SHOP)) == asked_again


def test_of_an_item_with_a_record_that_cannot_be_stored_the_others_are_written(database: Database) -> None:
    source = Counts()
    world = World(database, source)
    good = count("A", 7)
    source.places = (good, replace(good, location_id="L2", quantity=Decimal(10) ** 20))
    key = KEY._replace(kind=Kind.STOCK)
    with database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.STOCK, "A")], Cause.WEBHOOK, world.clock())
    with pytest.raises(Unmappable, match="stock A/L2/on_hand cannot be stored"):
        sync(world, key)
    with database.read() as conn:
        assert row_of(conn, SHOP, Kind.STOCK, ("A", "L1", "on_hand")) is not None


# --- parts of an item that are gone while a bulk read is under way ---


@pytest.mark.parametrize("under_way", [True, False])
def test_a_part_deleted_during_a_bulk_read_stays_deleted_though_we_never_held_it(
    world: World, under_way: bool
) -> None:
    living, deleted = listing("A-2", parent_id="A"), listing("A-1", parent_id="A")

    def read_the_item() -> None:
        scope = Scope(Kind.PRODUCT, "parent_id", "A")
        read = catalog.Read([living], world.clock(), [scope])
        with world.database.begin() as conn:
            catalog.apply_reads(conn, SHOP, [read], now=world.clock(), beside_bulk=under_way)

    paused_read(world, [living, deleted], meanwhile=read_the_item)
    assert (is_live(world, "A-2"), is_live(world, "A-1")) == (True, not under_way)


BOTH = [Scope(Kind.PRODUCT, "parent_id", "A"), Scope(Kind.PRODUCT, "parent_id", "B")]


def read_while_all_is_read(world: World, answer: Answer) -> None:
    """An answer about items comes while a read of the whole kind, which began before it, still shows a part of each."""

    def apply() -> None:
        with world.database.begin() as conn:
            catalog.apply_reads(conn, SHOP, [read_of(answer, world.clock())], now=world.clock())

    paused_read(world, [listing("A-1", parent_id="A"), listing("B-1", parent_id="B")], meanwhile=apply)


def test_an_item_that_is_gone_stays_gone_though_another_of_the_same_answer_cannot_be_read(world: World) -> None:
    read_while_all_is_read(world, Answer(covers=BOTH, failed=[BadRecord(Kind.PRODUCT, "B-1", "no name", "B")]))
    assert (is_live(world, "A-1"), is_live(world, "B-1")) == (False, True)


def test_no_item_is_gone_of_an_answer_with_a_record_whose_very_id_cannot_be_read(world: World) -> None:
    read_while_all_is_read(world, Answer(covers=BOTH, failed=[BadRecord(Kind.PRODUCT, "", "no id")]))
    assert (is_live(world, "A-1"), is_live(world, "B-1")) == (True, True)


def test_an_item_that_is_gone_stays_gone_though_rows_of_another_wait_for_a_person(world: World) -> None:
    held = HeldItems(Kind.PRODUCT, {("B-1",)}, frozenset({"B", "B-1"}), set(), "it is implausible", {"B-1": "B"})
    beyond, _ = split(Answer(covers=BOTH), held)
    read_while_all_is_read(world, beyond)
    assert (is_live(world, "A-1"), is_live(world, "B-1")) == (False, True)


class Variations(FakeSource):
    """A shop whose items are read with all their variations."""

    def fetch(self, refs: Sequence[Ref]) -> Answer:
        answer = super().fetch(refs)
        covers = [Scope(Kind.PRODUCT, "parent_id", ref.external_id) for ref in refs]
        parts = [one for one in self.listings.values() if one.parent_id in {ref.external_id for ref in refs}]
        return Answer(records=[*answer.records, *parts], covers=covers)


@pytest.mark.parametrize("whole_kind_leased", [True, False])
def test_items_read_while_their_kind_is_read_in_bulk_are_fenced(database: Database, whole_kind_leased: bool) -> None:
    world = World(database, Variations())
    world.source.put(listing("A-2", parent_id="A"))
    whole = ItemKey(SHOP, Kind.PRODUCT, ALL_ITEMS)
    with database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, ALL_ITEMS)], Cause.POLL, world.clock())
        if whole_kind_leased:
            assert owed.claim(conn, whole, more=0, lease=LEASE, now=world.clock())

    def read_the_item() -> None:
        owe(world)
        sync(world)

    paused_read(world, [listing("A-1", parent_id="A")], meanwhile=read_the_item)
    assert is_live(world, "A-1") is not whole_kind_leased


@pytest.mark.parametrize("run_active", [True, False])
def test_items_read_while_a_run_reads_pages_are_fenced(database: Database, run_active: bool) -> None:
    world = World(database, Variations())
    world.source.put(listing("A-2", parent_id="A"))
    if run_active:
        with database.begin() as conn:
            runs.open_run(conn, connection=SHOP, strategy="incremental", cause="person", slot=None, now=world.clock())

    def read_the_item() -> None:
        owe(world)
        sync(world)

    paused_read(world, [listing("A-1", parent_id="A")], meanwhile=read_the_item)
    assert is_live(world, "A-1") is not run_active


# --- an item found gone while it was fetched ---


def test_an_item_that_another_read_found_gone_during_its_fetch_is_looked_at_again(world: World) -> None:
    world.source.put(listing("A"))
    owe(world)
    sync(world)

    def conclude() -> None:
        world.clock.pass_(1)
        with world.database.begin() as conn:
            catalog.tombstone(conn, SHOP, [Ref(Kind.PRODUCT, "A")], read_at=world.clock(), now=world.clock())
        world.clock.pass_(1)

    world.source.meanwhile = once(conclude)
    owe(world)
    sync(world)
    assert (is_live(world), is_owed(world)) == (False, True)
    world.clock.pass_(60)
    sync(world)
    assert (is_live(world), is_owed(world)) == (True, False)


def test_an_item_that_a_whole_read_did_not_show_during_its_fetch_is_looked_at_again(world: World) -> None:
    world.source.put(listing("A"), listing("B"))
    owe(world)
    fetch = world.source.fetch

    def hanging(refs: Sequence[Ref]) -> Answer:
        answer = fetch(refs)
        del world.source.listings["A"]
        world.clock.pass_(30)
        BulkRead(world.deps, SHOP, Kind.PRODUCT, lambda: world.source.full(Kind.PRODUCT), "run 1").reconcile()
        return answer

    world.source.fetch = hanging  # type: ignore[method-assign]
    sync(world)
    world.source.fetch = fetch  # type: ignore[method-assign]
    world.clock.pass_(5)
    sync(world)
    assert (is_live(world), is_live(world, "B"), is_owed(world)) == (False, True, False)
