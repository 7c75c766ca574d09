"""The nightly run: what it repairs, what it says of it, and who may carry it out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from app.domain import Cause, Change, ItemKey, Kind, Page
from app.errors import KilledWorker, Unavailable, Unmappable, VendorRefused
from app.flows.items.dead_letter import record_dead_letter
from app.flows.items.leases import LEASE, LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.runs.run import StagesFailed
from app.flows.runs.run import run as reconcile
from app.rules.runs.kind_counts import KindCounts
from app.stores import owed
from app.stores.catalog import watermarks
from app.stores.guard import holds
from app.stores.runs import drift, runs
from app.stores.runs.drift import Difference
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.asking import request_reconcile
from tests.fakes import EPOCH, SHOP, FakeSource, World, count, listing
from tests.nightly import forty_products
from tests.nightly import night as run
from tests.rows import row_of

PRODUCT = Kind.PRODUCT


@pytest.fixture
def world(database: Database) -> World:
    """A shop of forty products that we hold as it was a minute ago."""
    return forty_products(database, ago=60)


def owe(world: World, *external_ids: str) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(PRODUCT, item) for item in external_ids], Cause.WEBHOOK, world.clock())


def sync(world: World, external_id: str) -> None:
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, external_id))


def edit(world: World, sql: str) -> None:
    """Somebody else writes into our tables."""
    with world.database.begin() as conn:
        conn.exec_driver_sql(sql)


def drift_of(world: World, run_id: int) -> list[Difference]:
    with world.database.read() as conn:
        return drift.of_run(conn, run_id)


def drift_lines(world: World, run_id: int) -> list[tuple[str, str, str]]:
    return [(row.item, row.change, row.cause) for row in drift_of(world, run_id)]


def row(world: World, external_id: str) -> dict[str, Any]:
    with world.database.read() as conn:
        result = row_of(conn, SHOP, PRODUCT, (external_id,))
    assert result is not None
    return result


def record_of(world: World, run_id: int) -> Run:
    with world.database.read() as conn:
        result = runs.get(conn, run_id)
    assert result is not None
    return result


def counts_of(world: World, run_id: int) -> KindCounts:
    return record_of(world, run_id).counts[PRODUCT]


# --- what it finds and why ---


def test_a_first_load_is_no_drift(world: World) -> None:
    with world.database.read() as conn:
        first = runs.latest(conn)[0].id
    assert drift_of(world, first) == []


def test_a_run_over_equal_tables_finds_nothing(world: World) -> None:
    assert drift_lines(world, run(world)) == []


def test_a_change_nobody_told_us_of_was_missed(world: World) -> None:
    world.source.put(listing("P01", version=90, name="New"))
    assert drift_lines(world, run(world)) == [("P01", "differs", "missed")]


def test_a_row_nobody_told_us_of_is_missing(world: World) -> None:
    world.source.put(listing("Q", version=90))
    assert drift_lines(world, run(world)) == [("Q", "missing", "missed")]


def test_a_change_that_is_owed_but_not_settled_is_late(world: World) -> None:
    world.source.put(listing("P01", version=90, name="New"))
    owe(world, "P01")
    assert drift_lines(world, run(world)) == [("P01", "differs", "late")]


def test_a_change_owed_by_sku_is_late_too(world: World) -> None:
    world.source.put(listing("P01", version=90, name="New"))
    owe(world, "sku:SKU-P01")
    assert drift_lines(world, run(world)) == [("P01", "differs", "late")]


def test_a_change_that_fails_again_and_again_has_failed(world: World) -> None:
    world.source.put(listing("P01", version=90, name="New"))
    world.source.poison["P01"] = Unavailable("down")
    owe(world, "P01")
    sync(world, "P01")
    assert drift_lines(world, run(world)) == [("P01", "differs", "failed")]


def test_a_change_that_lies_in_a_dead_letter_has_failed(world: World) -> None:
    world.source.put(listing("P01", version=90, name="New"))
    owe(world, "P01")
    args = (SHOP, "product", "P01")
    record_dead_letter(world.deps, message_id="m", actor="sync_item", queue="live", args=args, error=Unmappable("no"))
    assert drift_lines(world, run(world)) == [("P01", "differs", "failed")]


def test_a_row_edited_by_plain_sql_is_a_local_difference(world: World) -> None:
    edit(world, "UPDATE listings SET name = 'mine' WHERE external_id = 'P01'")
    assert drift_lines(world, run(world)) == [("P01", "differs", "local")]


def test_a_row_edited_by_plain_sql_is_repaired(world: World) -> None:
    edit(world, "UPDATE listings SET name = 'mine' WHERE external_id = 'P01'")
    run(world)
    assert row(world, "P01")["name"] == "Product P01"


def test_a_repaired_row_is_no_difference_any_more(world: World) -> None:
    edit(world, "UPDATE listings SET name = 'mine' WHERE external_id = 'P01'")
    run(world)
    world.clock.pass_(60)
    assert drift_lines(world, run(world)) == []


def test_a_row_deleted_by_plain_sql_comes_back(world: World) -> None:
    edit(world, "DELETE FROM listings WHERE external_id = 'P01'")
    run(world)
    assert row(world, "P01")["name"] == "Product P01"


def test_a_difference_is_shown_field_by_field(world: World) -> None:
    world.source.put(listing("P01", version=90, name="New"))
    assert drift_of(world, run(world))[0].fields == {"name": ["Product P01", "New"]}


def test_a_difference_shows_since_when(world: World) -> None:
    world.source.put(listing("P01", version=90, name="New"))
    assert drift_of(world, run(world))[0].since == EPOCH + timedelta(seconds=90)


def test_a_row_the_vendor_no_longer_has_has_vanished(world: World) -> None:
    del world.source.listings["P01"]
    assert drift_lines(world, run(world)) == [("P01", "vanished", "missed")]


def test_a_vanished_row_becomes_a_tombstone(world: World) -> None:
    del world.source.listings["P01"]
    run(world)
    assert row(world, "P01")["deleted"]


def test_a_tombstone_vanishes_only_once(world: World) -> None:
    del world.source.listings["P01"]
    run(world)
    world.clock.pass_(60)
    assert drift_lines(world, run(world)) == []


def test_a_live_sync_that_was_faster_than_the_run_is_no_difference(world: World) -> None:
    world.source.put(listing("P01", version=90, name="New"))
    read = world.source.full

    def slow(kind: Kind, resume: str | None = None) -> Iterator[Page]:
        yield from read(kind, resume)
        if kind is PRODUCT:
            world.clock.pass_(1)
            owe(world, "P01")
            sync(world, "P01")

    world.source.full = slow  # type: ignore[method-assign]
    assert drift_lines(world, run(world)) == []


def test_a_read_that_began_before_a_rows_last_write_does_not_overwrite_it(world: World) -> None:
    read = world.source.full

    def overtaken(kind: Kind, resume: str | None = None) -> Iterator[Page]:
        yield from read(kind, resume)
        if kind is PRODUCT:
            world.clock.pass_(1)
            world.source.put(listing("P01", version=90, name="Newer"))
            owe(world, "P01")
            sync(world, "P01")

    world.source.full = overtaken  # type: ignore[method-assign]
    run(world)
    assert row(world, "P01")["name"] == "Newer"


# --- what it reports ---


def test_agreement_is_the_share_of_rows_that_are_right_after_the_write(world: World) -> None:
    world.source.put(listing("P01", version=90, name="New"))
    assert counts_of(world, run(world)).agreement == 1.0


def test_agreement_is_one_when_nothing_differs(world: World) -> None:
    assert counts_of(world, run(world)).agreement == 1.0


@pytest.mark.parametrize("dry_run", [False, True])
def test_agreement_is_unknown_while_rows_that_were_only_named_are_still_to_be_asked_for(
    world: World, *, dry_run: bool
) -> None:
    whole = world.source.full

    def names_one(kind: Kind, resume: str | None = None) -> Iterator[Page]:
        yield Page(changes=[Change(kind, "P01", listing("P01", version=90).version)] if kind is PRODUCT else [])
        yield from whole(kind, resume)

    world.source.full = names_one  # type: ignore[method-assign]
    assert counts_of(world, run(world, dry_run=dry_run)).agreement is None


def test_a_run_counts_what_it_wrote(world: World) -> None:
    world.source.put(listing("P01", version=90, name="New"), listing("Q", version=90))
    del world.source.listings["P02"]
    counts = counts_of(world, run(world))
    assert [getattr(counts, name) for name in ("read", "created", "updated", "unchanged", "deleted")] == [
        40,
        1,
        1,
        38,
        1,
    ]


def test_a_run_counts_its_calls(world: World) -> None:
    assert record_of(world, run(world)).calls == len(world.source.kinds)


def test_a_first_run_leaves_a_watermark(world: World) -> None:
    with world.database.read() as conn:
        assert watermarks.get(conn, SHOP, PRODUCT) == "5000000"


def test_a_later_run_leaves_the_watermark_to_the_pulls(world: World) -> None:
    world.source.put(listing("P01", version=90))
    run(world)
    with world.database.read() as conn:
        assert watermarks.get(conn, SHOP, PRODUCT) == "5000000"


# --- plausibility ---


def hold_the_shop(world: World) -> int:
    """A run that reads a shop without most of its products; returns the run."""
    for n in range(10, 40):
        del world.source.listings[f"P{n}"]
    return run(world)


def test_an_implausible_run_keeps_the_rows(world: World) -> None:
    hold_the_shop(world)
    assert not row(world, "P11")["deleted"]


def test_an_implausible_run_says_that_it_was_held(world: World) -> None:
    assert counts_of(world, hold_the_shop(world)).held == "would delete 30 of 40 rows (75%)"


def test_an_implausible_run_writes_no_drift(world: World) -> None:
    assert drift_lines(world, hold_the_shop(world)) == []


def test_an_implausible_read_is_repeated_before_it_is_held(world: World) -> None:
    before = world.source.calls()
    hold_the_shop(world)
    assert world.source.calls() == before + 3, "products twice, stock once"


def test_a_released_hold_lets_the_next_run_pass(world: World) -> None:
    hold_the_shop(world)
    release(world)
    run(world)
    assert row(world, "P11")["deleted"]


def test_a_release_is_used_up_by_one_run(world: World) -> None:
    hold_the_shop(world)
    release(world)
    run(world)
    for grown in (20, 40):
        world.clock.pass_(60)
        world.source.put(*(listing(f"P{n:02}", version=100) for n in range(grown)))
        run(world)
    world.clock.pass_(60)
    assert counts_of(world, hold_the_shop(world)).held is not None


def release(world: World) -> None:
    with world.database.begin() as conn:
        holds.close(conn, holds.open_(conn)[0].id, holds.RELEASED)
    world.clock.pass_(60)


# --- stock ---


def test_a_count_that_a_complete_read_no_longer_shows_is_drift(world: World) -> None:
    world.source.put(count("P01", 5), count("P02", 3))
    run(world)
    world.clock.pass_(60)
    del world.source.counts["P02"]
    assert drift_lines(world, run(world)) == [("P02/L1/on_hand", "vanished", "missed")]


def test_a_changed_count_is_shown_with_both_quantities(world: World) -> None:
    world.source.put(count("P01", 5))
    run(world)
    world.clock.pass_(60)
    world.source.put(count("P01", 7, version=9))
    fields = drift_of(world, run(world))[0].fields["quantity"]
    assert [float(value) for value in fields] == [5, 7]


# --- who carries it out ---


def test_a_second_message_of_a_finished_run_does_nothing(world: World) -> None:
    run_id = run(world)
    before = world.source.calls(), record_of(world, run_id)
    reconcile(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    assert (world.source.calls(), record_of(world, run_id)) == before


def test_a_message_of_a_run_that_never_was_does_nothing(world: World) -> None:
    before = world.source.calls()
    reconcile(world.deps, LeaseKeeper(world.database), 987_654)
    assert world.source.calls() == before


def start_and_die(world: World, run_id: int) -> None:
    """A worker takes the run and is never heard of again."""
    with world.database.begin() as conn:
        assert runs.start(conn, run_id, "dead worker", LEASE, world.clock())


def test_a_run_that_somebody_works_on_is_left_alone(world: World) -> None:
    run_id = request_reconcile(world.deps, SHOP)
    start_and_die(world, run_id)
    before = world.source.calls()
    reconcile(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    assert world.source.calls() == before


def test_a_run_whose_worker_died_is_taken_over(world: World) -> None:
    run_id = request_reconcile(world.deps, SHOP)
    start_and_die(world, run_id)
    world.clock.pass_(LEASE + 1)
    reconcile(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    assert record_of(world, run_id).status == "completed"


def test_a_run_that_killed_three_workers_fails(world: World) -> None:
    run_id = request_reconcile(world.deps, SHOP)
    for _ in range(3):
        start_and_die(world, run_id)
        world.clock.pass_(LEASE + 1)
    with pytest.raises(KilledWorker):
        reconcile(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    assert record_of(world, run_id).status == "failed"


def test_a_failed_run_names_its_error(world: World) -> None:
    world.source.failures.append(VendorRefused("no such list"))
    run_id = request_reconcile(world.deps, SHOP)
    with pytest.raises(StagesFailed):
        reconcile(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    assert record_of(world, run_id).error == "product: VendorRefused: no such list"


def test_a_failed_run_does_not_bar_the_next(world: World) -> None:
    world.source.failures.append(VendorRefused("no such list"))
    with pytest.raises(StagesFailed):
        run(world)
    assert record_of(world, run(world)).status == "completed"


def test_of_twenty_requests_at_once_one_opens_a_run(world: World) -> None:
    def open_one(_: int) -> int | None:
        with world.database.begin() as conn:
            return runs.open_run(conn, connection=SHOP, strategy="full", cause="person", slot=None, now=world.clock())

    with ThreadPoolExecutor(20) as pool:
        opened = list(pool.map(open_one, range(20)))
    assert len([run_id for run_id in opened if run_id is not None]) == 1


def test_of_twenty_messages_of_one_run_one_carries_it_out(world: World) -> None:
    run_id = request_reconcile(world.deps, SHOP)
    before = world.source.calls()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: reconcile(world.deps, LeaseKeeper(world.database), run_id), range(20)))
    assert world.source.calls() == before + len(world.source.kinds)


def test_a_cancelled_run_stays_cancelled(world: World) -> None:
    run_id = request_reconcile(world.deps, SHOP)
    with world.database.begin() as conn:
        runs.cancel(conn, run_id, world.clock())
    reconcile(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    assert record_of(world, run_id).status == "cancelled"


def test_items_a_run_only_heard_of_are_owed(database: Database) -> None:
    class Hinting(FakeSource):
        def full(self, kind: Kind, resume: str | None = None) -> Iterator[Page]:
            yield Page(changes=[Change(kind, "H")] if kind is PRODUCT else [])

    world = World(database, Hinting())
    run(world)
    assert world.queue.enqueued == [ItemKey(SHOP, PRODUCT, "H")]
