"""Options of a run: each is heeded or refused, and means what it says."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from app.domain import Category, Kind, Options, Strategy
from app.errors import Refused
from app.flows.items.leases import LeaseKeeper
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.rules.runs.strategies import ReadMode, stages
from app.stores import catalog
from app.stores.runs import runs
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, listing

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEAR: dict[str, Any] = {"filter_year": 2025}
SINCE: dict[str, Any] = {"modified_since": datetime(2026, 1, 1, tzinfo=UTC)}
ACTIVE: dict[str, Any] = {"active_only": True}
FORCE: dict[str, Any] = {"force": True}
DEEP: dict[str, Any] = {"deep": True}
DAYS: dict[str, Any] = {"first": date(2026, 1, 1)}
BOWLS: dict[str, Any] = {"category": "Bowls"}

IGNORED: list[tuple[Strategy, dict[str, Any]]] = [
    *((Strategy.INVENTORY, options) for options in (BOWLS, DAYS, DEEP, ACTIVE, YEAR, SINCE)),
    *((Strategy.ORDERS, options) for options in (ACTIVE, DEEP, BOWLS)),
    *((Strategy.CRITICAL, options) for options in (SINCE, YEAR, ACTIVE, DEEP, DAYS)),
    *((Strategy.RETRY, options) for options in (SINCE, YEAR, ACTIVE, DEEP, DAYS)),
    *((Strategy.SMART, options) for options in (SINCE, YEAR, ACTIVE, DEEP, DAYS, BOWLS)),
    *((Strategy.VENDORS, options) for options in (SINCE, YEAR, ACTIVE)),
    *((Strategy.LOCATIONS, options) for options in (SINCE, YEAR, ACTIVE)),
    (Strategy.CATEGORIES, ACTIVE),
    (Strategy.CATEGORIES, YEAR),
    (Strategy.INCREMENTAL, ACTIVE),
    (Strategy.CATEGORY, BOWLS | YEAR),
    (Strategy.CATEGORY, BOWLS | ACTIVE),
    (Strategy.CATALOG, DAYS),
]


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.source.kinds = tuple(Kind)
    return world


def open_run(world: World, strategy: Strategy, **options: Any) -> int:
    return request_run(world.deps, SHOP, strategy, Options(**options), cause="person")


@pytest.mark.parametrize(("strategy", "options"), IGNORED, ids=str)
def test_an_option_that_the_strategy_would_ignore_is_refused(
    world: World, strategy: Strategy, options: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match=f"not for {strategy}$"):
        open_run(world, strategy, **options)


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (Strategy.ORDERS, DAYS),
        (Strategy.DAILY, DAYS | {"limit": 3}),
        (Strategy.FULL, YEAR),
        (Strategy.INCREMENTAL, {}),
        (Strategy.CRITICAL, {}),
        (Strategy.RETRY, {}),
        (Strategy.SMART, {}),
    ],
    ids=str,
)
def test_force_is_taken_where_it_means_something(world: World, strategy: Strategy, options: dict[str, Any]) -> None:
    assert open_run(world, strategy, **FORCE, **options)


@pytest.mark.parametrize("others", [YEAR, SINCE, ACTIVE, {"limit": 3}], ids=str)
def test_deep_is_refused_with_options_that_leave_out_what_it_would_confirm(
    world: World, others: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match='"deep" confirms deletions'):
        open_run(world, Strategy.FULL, deep=True, **others)


@pytest.mark.parametrize("others", [YEAR, SINCE], ids=str)
@pytest.mark.parametrize("strategy", [Strategy.ORDERS, Strategy.DAILY])
def test_business_days_and_times_of_change_are_not_mixed(
    world: World, strategy: Strategy, others: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match="business days"):
        open_run(world, strategy, **DAYS, **others)


def test_a_moment_after_the_year_asked_for_is_refused(world: World) -> None:
    """Nothing is both of that year and changed since: the run would read nothing and say that it completed."""
    with pytest.raises(Refused, match='"modifiedSince" is after "filterYear" 2025'):
        open_run(world, Strategy.ORDERS, **YEAR, modified_since=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("strategy", [Strategy.ORDERS, Strategy.ACTIVE])
def test_modified_since_is_not_cut_short_by_the_strategys_own_span(strategy: Strategy) -> None:
    since = datetime(2024, 1, 1, tzinfo=UTC)
    (stage,) = stages(strategy, Options(modified_since=since), list(Kind), NOW)
    assert stage.since == since


def test_a_limited_delta_does_not_begin_in_the_first_year_of_the_account() -> None:
    assert {stage.mode for stage in stages(Strategy.INCREMENTAL, Options(limit=5), list(Kind), NOW)} == {
        ReadMode.DELTA
    }


def test_every_strategy_takes_a_dry_run_with_a_limit(world: World) -> None:
    world.source.put(listing("A", category="Bowls"))
    read(world)
    for strategy in Strategy:
        run_id = open_run(
            world, strategy, dry_run=True, limit=1, category="Bowls" if strategy is Strategy.CATEGORY else None
        )
        with world.database.begin() as conn:
            runs.cancel(conn, run_id, world.clock())


# --- categories ---


def read(world: World) -> None:
    world.source.kinds = (Kind.PRODUCT, Kind.STOCK)
    run(world.deps, LeaseKeeper(world.database), open_run(world, Strategy.FULL), patience=0.0)
    world.source.kinds = tuple(Kind)


def test_a_category_that_we_do_not_hold_is_refused_with_the_nearest_ones(world: World) -> None:
    world.source.put(listing("A", category="Bowls"), listing("B", category="Cups"))
    read(world)
    with pytest.raises(Refused, match="no category 'bowl'; did you mean 'Bowls'"):
        open_run(world, Strategy.CATEGORY, category="bowl")


def test_a_category_in_other_letters_is_refused_with_its_right_spelling(world: World) -> None:
    world.source.put(listing("A", category="BOWLS AND PLATES"))
    read(world)
    with pytest.raises(Refused, match="did you mean 'BOWLS AND PLATES'"):
        open_run(world, Strategy.CATEGORY, category="bowls and plates")


def test_a_category_is_refused_while_there_is_none(world: World) -> None:
    with pytest.raises(Refused, match="no category 'Bowls'; none is known yet"):
        open_run(world, Strategy.CATEGORY, category="Bowls")


def test_a_category_without_products_may_be_read(world: World) -> None:
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, [Category("C1", name="Empty")], read_at=NOW, now=NOW)
    open_run(world, Strategy.CATEGORY, category="Empty")


@pytest.mark.parametrize(
    ("asked", "meant"), [("tea", "Teapots and infusers"), ("Garden", "Garden & Outdoor Furniture"), ("bowl", "Bowls")]
)
def test_a_part_of_a_longer_name_is_near_it(world: World, asked: str, meant: str) -> None:
    names = ("Teapots and infusers", "Garden & Outdoor Furniture", "Bowls", "Kitchen")
    world.source.put(*(listing(f"P{number}", category=name) for number, name in enumerate(names)))
    read(world)
    with pytest.raises(Refused, match=f"did you mean '{meant}'"):
        open_run(world, Strategy.CATEGORY, category=asked)


def test_names_that_differ_only_in_their_letters_are_both_near(world: World) -> None:
    world.source.put(listing("A", category="BOWLS"), listing("B", category="Bowls"))
    read(world)
    with pytest.raises(Refused, match="did you mean 'BOWLS' or 'Bowls'"):
        open_run(world, Strategy.CATEGORY, category="bowls")
