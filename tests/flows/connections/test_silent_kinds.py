"""A kind that does not answer while the account does pauses alone; one item that never answers harms only itself."""

from dataclasses import replace
from typing import Any

import pytest

from app.domain import Cause, Change, ConnectionState, Kind, Options, Strategy
from app.errors import BadAnswer, DatabaseFault, Unavailable, Unmappable
from app.flows.connections.connections import show_connection
from app.flows.connections.health import Fault, blocked, judge
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.request_run import request_run
from app.flows.runs.run import MOST_SILENCES, run
from app.flows.upkeep import alerts
from app.flows.upkeep.connection_alerts import watch_connections
from app.stores import catalog, connections, owed
from app.stores.connections import StateRow
from app.stores.runs import runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from app.stores.upkeep import alerts as stored_alerts
from tests.fakes import SHOP, FakeSource, World, count, listing
from tests.flows.inbox.test_outages import attempts, change, letters, owes, products, work

SILENT = Unavailable("GET /v2/catalog: 500 Internal Server Error")
HTML = BadAnswer("HTML instead of JSON")
IDS = [f"P{number}" for number in range(6)]


@pytest.fixture
def world(database: Database) -> World:
    """A shop that we hold."""
    world = World(database)
    change(world, *IDS)
    work(world, 10)
    assert owes(world) == 0
    world.source.requests.clear()
    return world


def of_kinds(world: World) -> list[StateRow]:
    with world.database.read() as conn:
        return [row for row in connections.rows(conn) if row.kind is not None]


def failing(world: World, kind: Kind = Kind.PRODUCT) -> list[str]:
    with world.database.read() as conn:
        return [row["external_id"] for row in stored_failed(conn) if row["kind"] == kind]


def stored_failed(conn: Any) -> list[dict[str, Any]]:
    rows = conn.exec_driver_sql("SELECT kind, external_id FROM failed_items WHERE resolved_at IS NULL")
    return [dict(row) for row in rows.mappings()]


def carry_out(world: World, run_id: int, *, times: int = 1) -> Run:
    keeper = LeaseKeeper(world.database, world.clock)
    for _ in range(times):
        run(world.deps, keeper, run_id, patience=0.0)
        world.clock.pass_(10)
    with world.database.read() as conn:
        row = runs.get(conn, run_id)
    assert row is not None
    return row


@pytest.mark.parametrize("error", [SILENT, HTML])
def test_silence_is_the_kinds_when_other_items_of_it_are_not_answered_either(world: World, error: Exception) -> None:
    world.source.refuses[Kind.PRODUCT] = error
    assert judge(world.deps, SHOP, Kind.PRODUCT, error, ["P0"]) is Fault.KIND
    assert [(row.kind, row.state) for row in of_kinds(world)] == [(Kind.PRODUCT, ConnectionState.UNANSWERED)]


def test_silence_is_the_items_when_another_item_is_answered(world: World) -> None:
    world.source.poison["P0"] = SILENT
    assert judge(world.deps, SHOP, Kind.PRODUCT, SILENT, ["P0"]) is Fault.ITEM
    assert of_kinds(world) == []


def test_a_list_of_a_kind_that_holds_nothing_yet_is_the_kind(world: World) -> None:
    world.source.refuses[Kind.STOCK] = SILENT
    assert judge(world.deps, SHOP, Kind.STOCK, SILENT, []) is Fault.KIND


def test_silence_of_the_only_item_we_know_is_its_own(world: World) -> None:
    world.source.refuses[Kind.STOCK] = SILENT
    assert judge(world.deps, SHOP, Kind.STOCK, SILENT, ["P0"]) is Fault.ITEM


def test_other_items_are_asked_for_once_for_many_failures(world: World) -> None:
    world.source.poison["P0"] = SILENT
    for _ in range(5):
        judge(world.deps, SHOP, Kind.PRODUCT, SILENT, ["P0"])
    assert len(world.source.requests) == 1


def test_a_database_fault_while_others_are_asked_for_is_raised(world: World) -> None:
    world.source.refuses[Kind.PRODUCT] = DatabaseFault("the connection is lost")
    with pytest.raises(DatabaseFault):
        judge(world.deps, SHOP, Kind.PRODUCT, SILENT, ["P0"])


@pytest.mark.parametrize("error", [SILENT, HTML])
def test_a_kind_that_is_silent_for_an_hour_counts_no_attempt_and_drains(world: World, error: Exception) -> None:
    world.source.refuses[Kind.PRODUCT] = error
    for number in range(6):
        change(world, f"A{number}", f"P{number}")
        work(world, 600, step=5)
    assert (attempts(world), letters(world), owes(world)) == (0, [], 12)
    world.source.refuses.clear()
    work(world, 310, step=5)
    assert (owes(world), letters(world), products(world)) == (0, [], 12)


def test_a_silent_kind_costs_few_calls(world: World) -> None:
    world.source.refuses[Kind.PRODUCT] = SILENT
    change(world, *IDS)
    work(world, 3_600, step=5)
    assert len(world.source.requests) < 120


def test_a_silent_kind_leaves_the_others_alone(world: World) -> None:
    world.source.refuses[Kind.PRODUCT] = SILENT
    change(world, *IDS)
    work(world, 20)
    world.source.put(count("P1", 7))
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.STOCK, "P1")], Cause.WEBHOOK, world.clock())
    work(world, 10)
    with world.database.read() as conn:
        assert catalog.counts(conn, SHOP)[Kind.STOCK][0] == 1


def test_a_silent_kind_is_one_alert_that_ends_when_an_item_of_it_is_read(world: World) -> None:
    mails: list[str] = []
    world.deps = replace(world.deps, mail=lambda subject, text: mails.append(subject))
    world.source.refuses[Kind.PRODUCT] = SILENT
    for number in range(10):
        change(world, f"A{number}")
        work(world, 60, step=5)
        alerts.watch(world.deps)
        alerts.notify(world.deps)
    world.source.refuses.clear()
    work(world, 310, step=5)
    alerts.watch(world.deps)
    alerts.notify(world.deps)
    title = f"{SHOP}: no answer for {Kind.PRODUCT}"
    assert mails == [f"[tallyhook] {title}", f"[tallyhook] over: {title}"]


def test_a_silent_kind_is_shown_with_its_connection(world: World) -> None:
    world.source.refuses[Kind.PRODUCT] = SILENT
    judge(world.deps, SHOP, Kind.PRODUCT, SILENT, ["P0"])
    (kind,) = show_connection(world.deps, SHOP).forbidden
    assert (kind.kind, kind.state, kind.reason) == ("product", "unanswered", str(SILENT))


def test_a_silent_kind_says_since_when_and_why(world: World) -> None:
    world.source.refuses[Kind.PRODUCT] = SILENT
    judge(world.deps, SHOP, Kind.PRODUCT, SILENT, ["P0"])
    said = blocked(world.deps, SHOP, Kind.PRODUCT)
    assert said is not None
    assert said.startswith(f"{SHOP} has not answered for product since ")
    assert "500 Internal Server Error" in said


def test_one_item_that_never_answers_is_a_letter_and_its_neighbours_arrive(world: World) -> None:
    world.source.poison["P3"] = SILENT
    for id in IDS:
        world.source.listings[id] = listing(id, 2)
    change(world, *IDS)
    raised: list[Exception] = []
    try:
        work(world, 4 * 3_600, step=20)
    except Unavailable as error:
        raised.append(error)
    assert (owes(world), [str(error) for error in raised]) == (1, [str(SILENT)])


def test_one_item_that_never_answers_is_found_in_a_batch_by_halving(database: Database) -> None:
    world = World(database, FakeSource(batch=64))
    change(world, *(f"P{number:02d}" for number in range(64)))
    work(world, 5)
    change(world, *(f"P{number:02d}" for number in range(64)))
    world.source.poison["P40"] = SILENT
    world.source.requests.clear()
    work(world, 10)
    assert (owes(world), attempts(world) > 0) == (1, True)
    assert len(world.source.requests) < 25


def test_one_item_that_never_answers_is_one_failed_item_of_a_run_by_ids(database: Database) -> None:
    world = World(database, FakeSource(batch=3))
    world.source.put(*(listing(id, category="Bowls") for id in IDS))
    carry_out(world, request_run(world.deps, SHOP, Strategy.CATALOG, Options(), cause="a person"))
    world.source.poison["P3"] = SILENT
    run_id = request_run(world.deps, SHOP, Strategy.CATEGORY, Options(category="Bowls"), cause="a person")
    ended = carry_out(world, run_id)
    assert (ended.status, ended.counts["product"].failed, failing(world)) == ("completed", 1, ["P3"])


def test_a_run_waits_for_a_silent_kind_and_goes_on(world: World) -> None:
    world.source.refuses[Kind.PRODUCT] = SILENT
    run_id = request_run(world.deps, SHOP, Strategy.FULL, Options(), cause="a person")
    assert carry_out(world, run_id).status == "idle"
    world.source.refuses.clear()
    world.clock.pass_(300)
    ended = carry_out(world, run_id)
    assert (ended.status, ended.counts["product"].read) == ("completed", 6)


def test_a_run_leaves_a_kind_out_that_stays_silent_and_completes(world: World) -> None:
    world.source.put(count("P1", 7))
    world.source.refuses[Kind.PRODUCT] = SILENT
    run_id = request_run(world.deps, SHOP, Strategy.FULL, Options(), cause="a person")
    ended = carry_out(world, run_id, times=MOST_SILENCES + 1)
    assert (ended.status, ended.counts["stock"].created) == ("completed", 1)
    assert "500 Internal Server Error" in str(ended.counts["product"].forbidden)
    assert failing(world) == []


def test_a_list_that_stays_silent_while_its_items_answer_fails_only_its_kind(world: World) -> None:
    world.source.put(count("P1", 7))
    world.source.on_call = lambda: _silent_list(world)
    run_id = request_run(world.deps, SHOP, Strategy.FULL, Options(), cause="a person")
    with pytest.raises(Exception, match="500 Internal Server Error"):
        carry_out(world, run_id, times=MOST_SILENCES + 1)
    with world.database.read() as conn:
        row = runs.get(conn, run_id)
    assert row is not None
    assert row.counts["stock"].created == 1


def _silent_list(world: World) -> None:
    if world.source.requests[-1] == ("full product",):
        raise SILENT


def test_an_unmappable_item_asks_for_no_other(world: World) -> None:
    judge(world.deps, SHOP, Kind.PRODUCT, Unmappable("no id"), ["P0"])
    assert world.source.requests == []


def test_a_kind_that_was_forbidden_and_is_silent_now_says_so(world: World) -> None:
    world.source.refuses[Kind.PRODUCT] = SILENT
    judge(world.deps, SHOP, Kind.PRODUCT, SILENT, ["P0"])
    world.clock.pass_(3_601)
    watch_connections(world.deps)
    with world.database.read() as conn:
        assert stored_alerts.open_keys(conn, "forbidden:") == []
