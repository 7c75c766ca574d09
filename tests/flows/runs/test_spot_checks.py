"""Spot checks between complete reads: what is looked at, what is told of it, and what is left alone."""

import threading
from typing import Any

import pytest
from sqlalchemy import text

from app import sources
from app.config import Settings
from app.domain import Cause, Change, ItemKey, Kind, Listing, Strategy
from app.errors import BudgetSpent, Unavailable, VendorForbidden
from app.flows.connections.checks import record_kind
from app.flows.connections.connections import pause
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.reports.metrics import metrics
from app.flows.reports.status import overview
from app.flows.runs.spot_checks import EVERY, Turn, spot_check, spot_check_in_thread, take_turn
from app.flows.runs.true_now import TrueNow
from app.rules.calls.lanes import Lane, current_lane
from app.stores import catalog, owed
from app.stores.catalog import stored_rows
from app.stores.runs import drift
from app.stores.runs.history import drift_page
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, count, listing
from tests.flows.shops import shop
from tests.nightly import forty_products, night
from workers.schedule import rounds_of

PRODUCT, STOCK = Kind.PRODUCT, Kind.STOCK
ALL = 40


@pytest.fixture
def world(database: Database) -> World:
    return forty_products(database, ago=6 * 3600)


def check(world: World, kind: Kind = PRODUCT, rows: int = ALL) -> int:
    looked = spot_check(world.deps, Turn(SHOP, kind), rows)
    world.clock.pass_(1)
    return looked


def drift_rows(world: World) -> list[tuple[str, str, str, Any]]:
    with world.database.read() as conn:
        rows = drift_page(conn, SHOP)
    return [(row.item, row.change, row.cause, row.fields) for row in rows if row.run_id is None]


def owed_items(world: World) -> int:
    with world.database.read() as conn:
        return owed.count(conn, SHOP)


def now(world: World, kind: Kind = PRODUCT) -> TrueNow:
    return overview(world.deps).connections[SHOP].agreement[kind]


def by_hand(world: World, sql: str) -> None:
    with world.database.begin() as conn:
        conn.execute(text(sql))


def name_of(world: World, id: str) -> str:
    (row,) = stored_rows(world.database, SHOP, PRODUCT, [(id,)]).values()
    assert isinstance(row.record, Listing)
    return str(row.record.name)


def edit(world: World, id: str) -> None:
    world.source.put(listing(id, version=9_000, name="edited"))


# --- what is told ---


def test_of_equal_rows_the_interval_is_shown_and_nothing_is_owed(world: World) -> None:
    assert check(world) == ALL
    told = now(world)
    assert (told.checked, told.equal, told.low, told.high) == (40, 40, 0.912378, 1.0)
    assert (drift_rows(world), owed_items(world)) == ([], 0)


def test_a_row_that_differs_is_shown_with_its_fields_and_its_reason(world: World) -> None:
    edit(world, "P01")
    check(world)
    assert drift_rows(world) == [("P01", "differs", "missed", {"name": ["Product P01", "edited"]})]
    assert (now(world).checked, now(world).equal) == (40, 39)


def test_a_row_that_differs_is_repaired_by_the_item_path_only(world: World) -> None:
    edit(world, "P01")
    check(world)
    assert name_of(world, "P01") == "Product P01"
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, "P01"))
    assert name_of(world, "P01") == "edited"


def test_a_row_that_vanished_is_shown_as_vanished(world: World) -> None:
    del world.source.listings["P01"]
    check(world)
    assert drift_rows(world) == [("P01", "vanished", "missed", {"deleted": [False, True]})]


def test_a_row_whose_event_is_still_owed_is_late(world: World) -> None:
    edit(world, "P01")
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(PRODUCT, "P01")], Cause.WEBHOOK, world.clock())
    check(world)
    assert [row[2] for row in drift_rows(world)] == ["late"]


@pytest.mark.parametrize(
    "moved", ["name = 'mine'", "name = 'mine', row_hash = 5", "name = 'mine', version = 99999999999"]
)
def test_a_row_that_was_edited_by_hand_is_local_and_repaired(world: World, moved: str) -> None:
    by_hand(world, f"UPDATE listings SET {moved} WHERE external_id = 'P01'")
    check(world)
    assert [row[:3] for row in drift_rows(world)] == [("P01", "differs", "local")]
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, "P01"))
    assert name_of(world, "P01") == "Product P01"


def test_a_record_that_cannot_be_read_counts_as_failed(world: World) -> None:
    world.source.unreadable["P01"] = "price is x"
    check(world)
    assert [row[:3] for row in drift_rows(world)] == [("P01", "differs", "failed")]


def test_a_reason_is_corrected_like_any_other(world: World) -> None:
    edit(world, "P01")
    check(world)
    with world.database.read() as conn:
        (row,) = drift.with_causes_since(conn, SHOP, ["missed"], world.clock() - EVERY, 0, 10)
    assert row.item == "P01"


def test_a_complete_read_begins_a_new_sample(world: World) -> None:
    check(world)
    night(world)
    assert (now(world).checked, now(world).low, now(world).high) == (0, None, None)


def test_the_interval_is_part_of_a_connections_figures(world: World) -> None:
    check(world, rows=4)
    assert metrics(world.deps, SHOP).agreement["product"].low == 0.510109


# --- what says nothing ---


def test_a_row_that_was_written_meanwhile_is_not_counted(world: World) -> None:
    edit(world, "P01")
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(PRODUCT, "P01")], Cause.WEBHOOK, world.clock())

    def live() -> None:
        world.source.meanwhile = lambda: None
        world.clock.pass_(1)
        sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, "P01"))

    by_hand(world, "DELETE FROM listings WHERE external_id <> 'P01'")
    world.source.meanwhile = live
    assert (check(world), name_of(world, "P01"), drift_rows(world)) == (0, "edited", [])


def test_an_answer_that_is_older_than_what_we_hold_is_not_counted(world: World) -> None:
    edit(world, "P01")
    night(world)
    world.clock.pass_(60)
    world.source.put(listing("P01", version=5))
    assert (check(world), drift_rows(world)) == (ALL - 1, [])


def test_a_tombstone_is_not_looked_at(world: World) -> None:
    del world.source.listings["P01"]
    night(world)
    world.clock.pass_(60)
    assert check(world) == ALL - 1


def test_no_count_is_as_good_as_a_count_of_none(world: World) -> None:
    world.source.put(count("P01", 5), count("P02", 0))
    night(world)
    world.clock.pass_(60)
    del world.source.counts["P02"]
    assert (check(world, STOCK), drift_rows(world)) == (1, [])


def test_what_a_person_is_to_decide_on_is_left_alone(world: World) -> None:
    world.source.put(*(listing(f"P{n:02}", version=9_000, sku=f"SKU-P{(n + 1) % 40:02}") for n in range(40)))
    night(world)
    world.clock.pass_(60)
    assert (check(world), owed_items(world)) == (0, 0)


@pytest.mark.parametrize("vendor", sources.names())
def test_of_a_vendor_that_was_just_read_no_kind_differs(database: Database, vendor: str) -> None:
    with shop(vendor, database) as held:
        held.run(Strategy.FULL)
        looked = {kind: spot_check(held.deps, Turn(SHOP, kind), 10) for kind in held.source.kinds}
        with database.read() as conn:
            rows = {kind: live for kind, (live, _) in catalog.counts(conn, SHOP).items()}
            wrong = drift_page(conn, SHOP)
    assert (looked, wrong) == ({kind: min(10, rows.get(kind, 0)) for kind in held.source.kinds}, [])


# --- whose turn it is, and with which calls ---


def test_a_kind_has_its_turn_once_an_hour(world: World) -> None:
    assert {take_turn(world.deps), take_turn(world.deps)} == {Turn(SHOP, PRODUCT), Turn(SHOP, STOCK)}
    assert take_turn(world.deps) is None
    world.clock.pass_(EVERY.total_seconds())
    assert take_turn(world.deps) is not None


def test_a_kind_that_was_never_read_whole_has_no_turn(database: Database) -> None:
    assert take_turn(World(database).deps) is None


def test_a_paused_connection_is_left_out(world: World) -> None:
    pause(world.deps, SHOP)
    assert take_turn(world.deps) is None


def test_a_kind_that_may_not_be_read_is_left_out(world: World) -> None:
    record_kind(world.deps, SHOP, PRODUCT, VendorForbidden("403: no right"))
    assert [take_turn(world.deps), take_turn(world.deps)] == [Turn(SHOP, STOCK), None]


def test_calls_are_made_in_the_lane_that_comes_last(world: World) -> None:
    lanes: list[Lane] = []
    world.source.meanwhile = lambda: lanes.append(current_lane())
    check(world, rows=2)
    assert lanes == [Lane.SPARE, Lane.SPARE]


@pytest.mark.parametrize("error", [BudgetSpent("no calls left", retry_after=60.0), Unavailable("503")])
def test_where_no_call_is_left_the_rest_is_left_alone(world: World, error: Exception) -> None:
    world.source.failures.append(error)
    assert (check(world), len(world.source.requests) > 0, drift_rows(world)) == (0, True, [])


def test_none_an_hour_takes_no_turn(world: World) -> None:
    spot_check_in_thread(world.deps, 0)
    assert take_turn(world.deps) is not None


def test_a_clock_has_as_many_rows_looked_at_as_are_set(world: World) -> None:
    _, work = rounds_of(Settings(spot_checks=3))["spot checks"]
    before = set(threading.enumerate())
    work(world.deps)
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert now(world).checked == 3
