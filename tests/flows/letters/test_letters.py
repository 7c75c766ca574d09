"""Finding dead letters: every key of the filter, groups, moot ones, who may see them, pages without gaps."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from app.domain import Cause, Change, ItemKey, Kind, Options, Principal, Role, Strategy
from app.errors import RateLimited, Refused, Unmappable
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.letters import letters
from app.flows.letters.letters import Totals
from app.rules.filters import FilterError
from app.stores import catalog, owed
from app.stores.runs import runs
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, listing
from tests.letters import die, die_without_item


@pytest.fixture
def world(database: Database) -> World:
    """Three products died: A and B of the same cause, C of another, an hour later; and a message without item."""
    world = World(database)
    with database.begin() as conn:
        catalog.apply(conn, SHOP, [listing("A", sku="RED-1")], read_at=world.clock(), now=world.clock())
    die(world, "A", RateLimited("GET /x/A1: 429 too many requests"))
    die(world, "B", RateLimited("GET /x/B2: 429 too many requests"))
    world.clock.pass_(3600)
    die(world, "C", Unmappable("price: expected a number"), kind=Kind.STOCK)
    die_without_item(world)
    world.clock.pass_(60)
    return world


def found(world: World, text: str) -> list[str | None]:
    return [row.external_id for row in reversed(letters.find(world.deps, text).rows)]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", ["A", "B", "C", None]),
        ("connection:shop", ["A", "B", "C"]),
        ("connection:elsewhere", []),
        ("kind:stock", ["C"]),
        ("item:A", ["A"]),
        ("item:RED-1", ["A"]),
        ("item:RED*", ["A"]),
        ("item:A,B", ["A", "B"]),
        ("-item:A", ["B", "C", None]),
        ("cause:RateLimited", ["A", "B"]),
        ("cause:Rate*", ["A", "B"]),
        ("-cause:RateLimited", ["C", None]),
        ("state:dead", ["A", "B", "C", None]),
        ("state:replayed,discarded", []),
        ("since:30m", ["C", None]),
        ("until:30m", ["A", "B"]),
        ("since:2h until:30m", ["A", "B"]),
        ("error:EXPECTED", ["C"]),
        ("actor:mystery", [None]),
        ("moot:no", ["A", "B", "C", None]),
        ("moot:yes", []),
        ("replay:7", []),
        ("replay:outage", []),
    ],
)
def test_a_filter_finds(world: World, text: str, items: list[str | None]) -> None:
    assert found(world, text) == items


@pytest.mark.parametrize("key", ["connection", "item", "cause", "error", "actor", "replay"])
def test_no_value_of_a_filter_is_ever_sql(world: World, key: str) -> None:
    assert found(world, f"{key}:\"x' OR 1=1 OR '1'='\"") == []


def first(world: World) -> int:
    """The number of A's letter."""
    return min(row.id for row in letters.find(world.deps, "item:A").rows)


def test_a_letter_is_found_by_its_number(world: World) -> None:
    assert found(world, f"id:{first(world)}") == ["A"]


def test_a_fingerprint_is_a_cause(world: World) -> None:
    cause = letters.find(world.deps, "item:A").rows[0].fingerprint
    assert found(world, f"cause:{cause}") == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("itme:A", "did you mean 'item'"),
        ("state:dea", "did you mean 'dead'"),
        ("kind:products", "did you mean 'product'"),
        ("since:soon", "is not a moment"),
        ("id:x", "is not a number"),
        ("moot:perhaps", "use one of: yes, no"),
    ],
)
def test_a_wrong_filter_is_refused_with_what_would_be_right(world: World, text: str, told: str) -> None:
    with pytest.raises(FilterError, match=told):
        letters.find(world.deps, text)


def test_totals_count_letters_causes_and_items(world: World) -> None:
    assert letters.find(world.deps, "").totals == Totals(letters=4, causes=3, items=3, moot=0)


def test_totals_are_told_in_a_sentence() -> None:
    assert letters.sentence(Totals(letters=412, causes=3, items=37, moot=5)) == (
        "412 letters, 3 causes, 37 items; 5 moot"
    )


def test_letters_of_one_cause_are_one_group(world: World) -> None:
    groups = letters.groups_by_cause(world.deps, "").rows
    assert (groups[0].error_type, groups[0].letters, groups[0].items) == ("RateLimited", 2, 2)


def test_the_same_error_in_two_connections_is_two_groups_that_name_them(database: Database) -> None:
    world = World(database)
    for connection in (SHOP, "till"):
        for item in ("A", "B"):
            die(world, item, RateLimited("GET /x: 429 slow down"), connection=connection)
    rows = letters.groups_by_cause(world.deps, "").rows
    assert {(row.connection, row.letters) for row in rows} == {(SHOP, 2), ("till", 2)}


def test_letters_of_one_item_are_one_group(world: World) -> None:
    die(world, "A", Unmappable("again"))
    groups = letters.groups_by_item(world.deps, "kind:product").rows
    assert [(group.external_id, group.letters, group.causes) for group in groups] == [
        ("A", 2, 2),
        ("B", 1, 1),
    ]


def settle(world: World, item: str) -> None:
    """The item changed again, and this time all went well."""
    world.source.put(listing(item, version=9, reorder_point=Decimal(1)))
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, item)], Cause.WEBHOOK, world.clock())
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, Kind.PRODUCT, item))


def test_a_letter_is_moot_when_its_item_was_settled_since(world: World) -> None:
    settle(world, "A")
    assert found(world, "moot:yes") == ["A"]


def test_a_letter_that_died_after_the_last_settlement_is_not_moot(world: World) -> None:
    settle(world, "A")
    world.clock.pass_(60)
    die(world, "A", Unmappable("new trouble"))
    assert found(world, "moot:no item:A") == ["A"]


def full_run(world: World, options: Options) -> None:
    with world.database.begin() as conn:
        run_id = runs.open_run(
            conn,
            connection=SHOP,
            strategy=Strategy.FULL,
            cause="person",
            slot=None,
            now=world.clock(),
            options=options,
        )
        assert run_id is not None
        runs.start(conn, run_id, "t", 60, world.clock())
        runs.finish(conn, run_id, "t", "completed", None, world.clock())


@pytest.mark.parametrize(
    ("options", "items"),
    [
        (Options(), ["A", "B", "C"]),
        (Options(deep=True), ["A", "B", "C"]),
        (Options(limit=5), []),
        (Options(dry_run=True), []),
    ],
)
def test_a_full_run_since_makes_letters_moot_if_it_read_everything(
    world: World, options: Options, items: list[str]
) -> None:
    full_run(world, options)
    assert found(world, "moot:yes") == items


def test_a_caller_sees_the_letters_of_its_connections_only(world: World) -> None:
    elsewhere = replace(world.deps, principal=Principal("token x", Role.VIEWER, frozenset({"elsewhere"})))
    assert letters.find(elsewhere, "").totals.letters == 0
    with pytest.raises(Refused, match="there is no dead letter"):
        letters.show(elsewhere, first(world))


def test_pages_have_no_gaps_and_no_doubles_while_letters_arrive(world: World) -> None:
    for number in range(10):
        die(world, f"X{number}")  # all at one moment
    seen: list[int] = []
    before = None
    while rows := letters.find(world.deps, "item:X*", limit=3, before_id=before).rows:
        seen += [row.id for row in rows]
        before = seen[-1]
        world.clock.pass_(1)
        die(world, f"X-late-{before}")
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 10


def test_a_letter_tells_what_came_of_its_item(world: World) -> None:
    settle(world, "A")
    die(world, "A", Unmappable("again"))
    told = letters.show(world.deps, first(world)).since
    assert told is not None
    assert (told.owed, [one.outcome for one in told.settled], len(told.letters)) == (
        False,
        ["dead", "applied", "dead"],
        1,
    )


def test_a_letter_says_what_to_do(world: World) -> None:
    assert "fewer calls" in letters.show(world.deps, first(world)).advice


def test_the_latest_dead_come_first(world: World) -> None:
    newest = letters.find(world.deps, "kind:product,stock", limit=1).rows[0]
    assert newest.external_id == "C"
    assert world.clock() - newest.died_at == timedelta(seconds=60)
