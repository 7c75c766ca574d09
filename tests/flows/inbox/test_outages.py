"""A connection or a kind that does not work harms only itself: its items stay owed, and are worked off afterwards."""

from contextlib import suppress
from dataclasses import replace

import pytest

from app.domain import Cause, Change, ItemKey, Kind, Options, Strategy
from app.errors import AuthRejected, BadAnswer, Unavailable, VendorForbidden, VendorRefused
from app.flows.connections import connections as people
from app.flows.connections.probes import probe
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sweep import REQUEUE_AFTER, sweep
from app.flows.items.sync_item import sync_item
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.flows.upkeep import alerts
from app.flows.upkeep.tick import tick
from app.stores import catalog, owed
from app.stores.letters import letter_search
from app.stores.letters.rows import ListedLetter
from app.stores.runs import runs, schedules
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, ListQueue, World, count, listing

EXPIRED = AuthRejected("401 ACCESS_TOKEN_EXPIRED")
NO_RIGHT = VendorForbidden("403 INSUFFICIENT_SCOPES: the access token lacks VENDOR_READ")


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    with database.begin() as conn:
        schedules.ensure(conn, SHOP, "poll", "*/5 * * * *", "UTC")
    tick(world.deps)
    return world


def change(world: World, *ids: str) -> None:
    """The shop changes these products, and says so."""
    world.source.put(*(listing(id) for id in ids))
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, id) for id in ids], Cause.WEBHOOK, world.clock())


def work(world: World, seconds: int, *, step: int = 1) -> None:
    """What clocks and workers do in these seconds, once a step."""
    keeper = LeaseKeeper(world.database, world.clock)
    for _ in range(0, seconds, step):
        world.clock.pass_(step)
        probe(world.deps)
        tick(world.deps)
        sweep(world.deps)
        for key in _taken(world.queue):
            sync_item(world.deps, keeper, key)  # what it raises would become a letter


def _taken(queue: ListQueue) -> list[ItemKey]:
    keys, queue.enqueued = queue.enqueued, []
    return keys


def attempts(world: World) -> int:
    with world.database.read() as conn:
        return int(conn.exec_driver_sql("SELECT coalesce(sum(attempts), 0) FROM owed_items").scalar_one())


def owes(world: World) -> int:
    with world.database.read() as conn:
        return owed.count(conn)


def products(world: World) -> int:
    with world.database.read() as conn:
        return catalog.counts(conn, SHOP)[Kind.PRODUCT][0]


def letters(world: World) -> list[ListedLetter]:
    with world.database.read() as conn:
        return letter_search.page(conn, [], {})


@pytest.mark.parametrize(
    "error", [EXPIRED, Unavailable("no"), BadAnswer("HTML"), VendorRefused("402 payment required")]
)
def test_an_outage_of_ten_minutes_counts_no_attempt_and_drains(world: World, error: Exception) -> None:
    world.source.down = error
    for number in range(10):
        change(world, f"A{number}", f"B{number}")
        work(world, 60)
    assert (attempts(world), letters(world), owes(world)) == (0, [], 20)
    world.source.down = None
    work(world, 320)
    assert (owes(world), products(world), letters(world)) == (0, 20, [])


def test_an_account_whose_cheap_call_is_refused_for_ever_is_read_all_the_same(world: World) -> None:
    change(world, "A")
    work(world, 10)
    world.source.check_failures.extend(VendorRefused("400 no such call") for _ in range(1000))
    world.source.poison["BAD"] = VendorRefused("400 no such product")
    change(world, "BAD")
    with suppress(VendorRefused):
        work(world, 10)
    change(world, "B")
    with suppress(VendorRefused):
        work(world, 10)
    assert products(world) == 2


def test_an_account_that_was_refused_comes_back_though_its_cheap_call_is_refused_for_ever(world: World) -> None:
    change(world, "A")
    work(world, 10)
    world.source.check_failures.extend(VendorRefused("400 no such call") for _ in range(1000))
    world.source.down = EXPIRED
    change(world, "B")
    work(world, 30)
    assert products(world) == 1
    world.source.down = None
    work(world, 320)
    assert (products(world), letters(world)) == (2, [])


def test_an_outage_costs_few_calls(world: World) -> None:
    world.source.down = EXPIRED
    for number in range(10):
        change(world, *(f"A{number}-{item}" for item in range(10)))
        work(world, 60)
    assert len(world.source.requests) + world.source.checks < 20


def test_an_outage_is_mailed_once_with_its_end(world: World) -> None:
    mails: list[str] = []
    world.deps = replace(world.deps, mail=lambda subject, text: mails.append(subject))
    world.source.down = EXPIRED
    for number in range(5):
        change(world, f"A{number}")
        work(world, 30)
        alerts.watch(world.deps)
        alerts.notify(world.deps)
    world.source.down = None
    work(world, 300)
    alerts.watch(world.deps)
    alerts.notify(world.deps)
    assert mails == [
        f"[tallyhook] {SHOP} refuses our credentials",
        f"[tallyhook] over: {SHOP} refuses our credentials",
    ]


def test_the_outage_of_one_connection_leaves_another_alone(world: World) -> None:
    elsewhere = FakeSource()
    elsewhere.put(listing("E"))
    world.deps = replace(world.deps, sources={SHOP: world.source, "elsewhere": elsewhere})
    world.source.down = EXPIRED
    change(world, "A")
    work(world, 10)
    with world.database.begin() as conn:
        owed.owe(conn, "elsewhere", [Change(Kind.PRODUCT, "E")], Cause.WEBHOOK, world.clock())
    work(world, int(REQUEUE_AFTER) + 1)
    with world.database.read() as conn:
        assert catalog.counts(conn, "elsewhere")[Kind.PRODUCT][0] == 1


def test_a_kind_that_may_not_be_read_leaves_the_others_alone(world: World) -> None:
    world.source.refuses[Kind.STOCK] = NO_RIGHT
    world.source.put(listing("A"), count("A", 3))
    work(world, 301)
    assert (products(world), letters(world), attempts(world)) == (1, [], 0)


def test_an_item_that_may_not_be_read_leaves_its_kind_alone(world: World) -> None:
    change(world, "held")
    work(world, 10)
    world.source.poison["A"] = NO_RIGHT
    change(world, "A", "B", "C")
    for _ in range(5):
        with suppress(VendorForbidden):  # it becomes a letter
            work(world, 10)
    assert products(world) == 3


def test_a_right_that_comes_back_while_we_ask_whose_fault_it_is_makes_no_letter(world: World) -> None:
    change(world, "held")
    work(world, 10)
    world.source.poison["A"] = NO_RIGHT
    change(world, "A")
    work(world, 1)  # refused, while another item is answered
    del world.source.poison["A"]
    work(world, 10)
    assert (products(world), letters(world)) == (2, [])


def test_a_kind_that_may_not_be_read_is_tried_once_an_hour(world: World) -> None:
    world.source.refuses[Kind.STOCK] = NO_RIGHT
    work(world, 7260, step=30)
    stock_calls = [call for call in world.source.requests if "stock" in call[0]]
    assert len(stock_calls) == 2


def test_a_kind_is_read_again_when_it_may_be(world: World) -> None:
    world.source.refuses[Kind.STOCK] = NO_RIGHT
    world.source.put(listing("A"), count("A", 3))
    work(world, 301)
    world.source.refuses.clear()
    work(world, 3900, step=30)
    alerts.watch(world.deps)
    with world.database.read() as conn:
        assert catalog.counts(conn, SHOP)[Kind.STOCK][0] == 1
    assert people.show_connection(world.deps, SHOP).forbidden == []


def test_a_paused_connection_asks_nothing_and_goes_on_when_it_is_resumed(world: World) -> None:
    people.pause(world.deps, SHOP)
    change(world, "A")
    work(world, 600)
    assert (world.source.requests, world.source.checks, owes(world)) == ([], 0, 1)
    people.resume(world.deps, SHOP)
    work(world, 10)
    assert (owes(world), products(world)) == (0, 1)


@pytest.mark.parametrize("strategy", [Strategy.FULL, Strategy.INCREMENTAL])
def test_a_run_leaves_out_the_kind_that_may_not_be_read_and_completes(world: World, strategy: Strategy) -> None:
    world.source.kinds = (Kind.STOCK, Kind.PRODUCT)  # the forbidden kind comes first
    world.source.refuses[Kind.STOCK] = NO_RIGHT
    world.source.put(listing("A"))
    row = carried_out(world, request_run(world.deps, SHOP, strategy, Options(), cause=Cause.PERSON))
    assert (row.status, products(world)) == ("completed", 1)
    assert "VENDOR_READ" in str(row.counts["stock"])


def test_a_run_of_a_refused_connection_goes_on_when_it_is_well(world: World) -> None:
    world.source.put(listing("A"))
    world.source.down = EXPIRED
    run_id = request_run(world.deps, SHOP, Strategy.FULL, Options(), cause=Cause.PERSON)
    assert carried_out(world, run_id).status not in ("failed", "completed")
    world.source.down = None
    work(world, 10)
    assert carried_out(world, run_id).status == "completed"


def carried_out(world: World, run_id: int) -> Run:
    run(world.deps, LeaseKeeper(world.database, world.clock), run_id, patience=0.0)
    with world.database.read() as conn:
        row = runs.get(conn, run_id)
    assert row is not None
    return row
