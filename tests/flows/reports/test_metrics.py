"""Every figure is of what happened, and of nothing there is no figure."""

import msgspec
import pytest
from sqlalchemy import insert
from sqlmodel import SQLModel

from app.domain import Cause, Change, Kind
from app.errors import Refused
from app.flows.reports.metrics import Freshness, metrics, share
from app.sources.base import Limit
from app.stores import owed
from app.stores.runs.budgets import SharedBudget
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World
from tests.stores.test_metrics import add_run, settle


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_an_empty_installation_has_no_rates(world: World) -> None:
    told = metrics(world.deps, SHOP)
    runs = told.runs
    rates = [runs.success_rate, runs.p50_seconds, runs.p95_seconds, runs.items_per_second]
    assert [*rates, told.items.success_rate] == [None] * 5


def test_a_kind_nothing_was_settled_of_has_no_freshness(world: World) -> None:
    nothing = Freshness(
        settled=0, within_5s=None, within_60s=None, mean_seconds=None, owed=0, oldest_owed_seconds=None
    )
    assert metrics(world.deps, SHOP).freshness[Kind.PRODUCT] == nothing


def test_a_kind_that_was_never_read_whole_has_no_agreement(world: World) -> None:
    assert metrics(world.deps, SHOP).agreement == {}


def test_the_success_rate_is_of_runs_that_ended_by_themselves(world: World) -> None:
    for status in ("completed", "completed", "completed", "failed", "cancelled", "running"):
        add_run(world.database, status=status)
    runs = metrics(world.deps, SHOP).runs
    assert (runs.total, runs.success_rate) == (6, 0.75)


def test_speed_is_items_over_the_time_they_took(world: World) -> None:
    add_run(world.database, 10, progress='{"processed":100}')
    add_run(world.database, 30, progress='{"processed":300,"failed":1}', strategy="inventory", calls=8)
    told = metrics(world.deps, SHOP)
    assert told.runs.items_per_second == 10.0
    assert told.runs.by_strategy["inventory"].items_failed == 1
    assert told.api_calls.runs == 8


def test_durations_are_shown_for_all_runs_and_by_strategy(world: World) -> None:
    add_run(world.database, 10)
    add_run(world.database, 30, strategy="inventory")
    runs = metrics(world.deps, SHOP).runs
    assert (runs.p50_seconds, runs.p95_seconds) == (10.0, 30.0)
    assert runs.by_strategy["full"].p95_seconds == 10.0


def test_freshness_is_the_share_that_was_visible_in_time(world: World) -> None:
    for waited in (1, 2, 30, 90):
        settle(world.database, 60, waited)
    told = metrics(world.deps, SHOP).freshness[Kind.PRODUCT]
    assert (told.within_5s, told.within_60s, told.mean_seconds) == (0.5, 0.75, 30.75)


@pytest.mark.parametrize("outcome", ["dead", "held"])
def test_what_never_became_visible_was_not_fresh(world: World, outcome: str) -> None:
    settle(world.database, 60, 1)
    settle(world.database, 60, 1, outcome=outcome)
    assert metrics(world.deps, SHOP).freshness[Kind.PRODUCT].within_60s == 0.5


def test_items_succeed_or_die(world: World) -> None:
    for outcome in ("applied", "unchanged", "gone", "dead", "held"):
        settle(world.database, 60, outcome=outcome)
    told = metrics(world.deps, SHOP).items
    assert (told.settled, told.succeeded, told.failed, told.success_rate) == (5, 3, 1, 0.75)


def test_the_worst_now_is_the_oldest_owed_items_age(world: World) -> None:
    with world.database.begin() as conn:
        for item in ("A", "B"):
            owed.owe(conn, SHOP, [Change(Kind.STOCK, item)], Cause.POLL, world.clock())
            world.clock.pass_(40)
    told = metrics(world.deps, SHOP).freshness[Kind.STOCK]
    assert (told.owed, told.oldest_owed_seconds) == (2, 80.0)


def test_agreement_is_the_latest_of_each_kind(world: World) -> None:
    add_run(world.database, counts='{"product":{"agreement":0.25}}', ago=7200)
    add_run(world.database, counts='{"product":{"agreement":0.999}}')
    assert metrics(world.deps, SHOP).agreement["product"].share == 0.999


def test_failing_items_are_counted_by_category(world: World) -> None:
    row = {"run_id": 1, "connection": SHOP, "kind": "product", "error_type": "X", "error": "x", "traceback": ""}
    failing = [
        {**row, "external_id": str(id), "category": name} for id, name in enumerate(("auth", "mapping", "auth"))
    ]
    with world.database.begin() as conn:
        for one in failing:
            conn.execute(insert(SQLModel.metadata.tables["failed_items"]), {**one, "failed_at": world.clock()})
    assert metrics(world.deps, SHOP).failed_items == {"auth": 2, "mapping": 1}


def test_the_budgets_use_is_shown(world: World) -> None:
    world.source.limits = [Limit("day", 100, 86_400.0)]
    SharedBudget(world.database, SHOP, lambda: world.clock().timestamp()).take(world.source.limits)
    [window] = metrics(world.deps, SHOP).budget
    assert (window.name, window.used, window.left) == ("day", 1, 99)


def test_what_others_did_does_not_count(world: World) -> None:
    before = metrics(world.deps, SHOP)
    settle(world.database, 60, connection="other")
    add_run(world.database, connection="other", counts='{"product":{"agreement":0.5}}')
    with world.database.begin() as conn:
        owed.owe(conn, "other", [Change(Kind.STOCK, "A")], Cause.POLL, world.clock())
    assert metrics(world.deps, SHOP) == before


def test_only_the_days_asked_for_count(world: World) -> None:
    settle(world.database, 86_400 * 2)
    add_run(world.database, ago=86_400 * 2)
    told = [metrics(world.deps, SHOP, days) for days in (1, 3)]
    assert [(one.runs.total, one.items.settled) for one in told] == [(0, 0), (1, 1)]


def test_the_figures_can_be_written_as_json(world: World) -> None:
    add_run(world.database, counts='{"product":{"agreement":0.5}}')
    settle(world.database, 60)
    assert msgspec.json.decode(msgspec.json.encode(metrics(world.deps, SHOP)))["runs"]["total"] == 1


@pytest.mark.parametrize("days", [0, -1, 367])
def test_a_number_of_days_that_makes_no_sense_is_refused(world: World, days: int) -> None:
    with pytest.raises(Refused, match="1 to 366"):
        metrics(world.deps, SHOP, days)


def test_an_unknown_connection_is_refused_with_the_known_ones(world: World) -> None:
    with pytest.raises(Refused, match=SHOP):
        metrics(world.deps, "nowhere")


def test_only_all_of_it_is_the_whole() -> None:
    assert (share(9_999_999, 10_000_000), share(10, 10), share(0, 0)) == (0.999999, 1.0, None)
