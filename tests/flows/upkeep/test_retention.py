"""Retention: what is old goes, a little at a time, and what somebody may still ask for stays."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.flows.access.audit import verify
from app.flows.letters.letter_actions import discard
from app.flows.letters.replay import replay_letters
from app.flows.upkeep.retention import prune
from app.stores.access import audit
from app.stores.reports import settled
from app.stores.sql.engine import Database
from app.stores.upkeep.pruning import BATCH_SIZE
from tests.fakes import SHOP, FakeSource, World
from tests.letters import all_letters, die

DAY = 86_400.0


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def insert(world: World, sql: str, rows: list[dict[str, Any]]) -> None:
    with world.database.begin() as conn:
        conn.execute(text(sql), rows)


def receive(world: World, *ids: str, connection: str = SHOP, ago: float = 0.0) -> None:
    """Inbox events received so many days ago."""
    at = stored(world, world.clock() - timedelta(days=ago))
    insert(
        world,
        """
        INSERT INTO inbox_events (connection, event_id, type, received_at, verdict, items, headers, body)
        VALUES (:connection, :id, 'changed', :at, 'accepted', '[]', '{}', :body)
        """,
        [{"connection": connection, "id": id, "at": at, "body": b"{}"} for id in ids],
    )


def settle(world: World, *items: str, ago: float = 0.0) -> None:
    """Items settled so many days ago."""
    at = stored(world, world.clock() - timedelta(days=ago))
    insert(
        world,
        """
        INSERT INTO settlements (connection, kind, external_id, cause, outcome, changes, attempts, first_seen_at,
                                 settled_at)
        VALUES (:connection, 'product', :item, 'webhook', 'applied', 1, 0, :at, :at)
        """,
        [{"connection": SHOP, "item": item, "at": at} for item in items],
    )


def sum_all(world: World) -> None:
    while settled.sum_slots(world.database, world.clock()):
        pass


def stored(world: World, moment: datetime) -> Any:
    return moment.isoformat(" ", "microseconds")[:26] if world.database.dialect == "sqlite" else moment


def column(world: World, sql: str) -> list[Any]:
    with world.database.read() as conn:
        return list(conn.execute(text(sql)).scalars())


def events(world: World) -> list[str]:
    return column(world, "SELECT event_id FROM inbox_events ORDER BY id")


def settlements(world: World) -> list[str]:
    return column(world, "SELECT external_id FROM settlements ORDER BY id")


def prune_after(world: World, *, letters: int = 0, inbox: int = 0) -> dict[str, int]:
    return prune(world.deps, letters_days=letters, inbox_days=inbox)


def test_only_events_older_than_the_retention_go(world: World) -> None:
    receive(world, "old", ago=91)
    receive(world, "young", ago=89)
    assert prune_after(world, inbox=90)["events"] == 1
    assert events(world) == ["young"]


def test_zero_days_keep_everything(world: World) -> None:
    die(world)
    receive(world, "1", "2", ago=5_000)
    settle(world, "X", "Y", ago=5_000)
    sum_all(world)
    world.clock.pass_(5_000 * DAY)
    assert prune_after(world) == {"letters": 0, "events": 0, "settlements": 0}
    assert len(events(world)) == 2


def test_a_connections_last_event_stays_so_that_its_silence_can_be_measured(database: Database) -> None:
    world = World(database)
    world.deps.sources["quiet"] = FakeSource()  # type: ignore[index]
    receive(world, "q1", "q2", connection="quiet", ago=200)
    receive(world, "busy", ago=1)
    prune_after(world, inbox=90)
    assert events(world) == ["q2", "busy"]


def test_what_settlements_came_to_is_still_shown_after_they_are_gone(world: World) -> None:
    settle(world, *"ABC", ago=100)
    settle(world, "D")
    sum_all(world)
    since = world.clock() - timedelta(days=120)
    with world.database.read() as conn:
        before = settled.totals(conn, since, world.clock())
    assert prune_after(world, inbox=90)["settlements"] == 3
    assert settlements(world) == ["D"]
    with world.database.read() as conn:
        assert settled.totals(conn, since, world.clock()) == before
    assert [one.items for one in before] == [4]


def test_settlements_that_nobody_summed_stay(world: World) -> None:
    settle(world, *"ABC", ago=100)
    assert prune_after(world, inbox=90)["settlements"] == 0
    assert settlements(world) == ["A", "B", "C"]


def test_settlements_of_an_item_with_a_letter_stay_because_they_show_whether_it_is_moot(world: World) -> None:
    die(world, "A")
    world.clock.pass_(60)
    settle(world, "A", "B")
    world.clock.pass_(100 * DAY)
    settle(world, "C")
    sum_all(world)
    prune_after(world, inbox=90)
    assert set(settlements(world)) == {"A", "C"}


def test_the_newest_row_stays_so_that_its_number_is_never_given_twice(world: World) -> None:
    receive(world, "1", "2", ago=200, connection="gone")
    die(world)
    world.clock.pass_(100 * DAY)
    prune_after(world, letters=1, inbox=90)
    assert events(world) == ["2"]
    assert len(all_letters(world.database)) == 1


def test_a_letter_goes_when_nothing_happened_in_it_for_so_long(world: World) -> None:
    first, second, newest = die(world, "A"), die(world, "B"), die(world, "C")
    world.clock.pass_(20 * DAY)
    discard(world.deps, f"id:{second}", "a typing error")
    world.clock.pass_(11 * DAY)
    assert prune_after(world, letters=30)["letters"] == 1
    assert [letter.id for letter in all_letters(world.database)] == [second, newest]
    assert first not in (second, newest)


def test_a_letter_whose_replay_has_not_come_to_it_yet_stays(world: World) -> None:
    queued = die(world, "A")
    die(world, "B")
    replay_letters(world.deps, f"id:{queued}", "incident", rate=1, canary=False)
    world.clock.pass_(1_000 * DAY)
    assert prune_after(world, letters=30)["letters"] == 0
    assert all_letters(world.database)[0].state == "queued"


def test_removed_letters_are_an_entry_of_the_audit_log_by_tallyhook_itself(world: World) -> None:
    for item in "ABC":
        die(world, item)
    world.clock.pass_(31 * DAY)
    prune_after(world, letters=30)
    with world.database.read() as conn:
        newest = audit.entries(conn, limit=1)[0]
    assert (newest.who, newest.action) == (world.deps.principal.name, "letters.expire")
    assert newest.after == {"removed": 2, "older_than_days": 30}
    assert verify(world.deps).broken is None


def test_nothing_removed_leaves_no_entry(world: World) -> None:
    die(world)
    prune_after(world, letters=30, inbox=90)
    with world.database.read() as conn:
        assert audit.head(conn).number == 0


def test_more_than_a_transaction_takes_goes_in_one_call(world: World) -> None:
    many = 2 * BATCH_SIZE + 7
    receive(world, *(f"e{number}" for number in range(many)), ago=100)
    receive(world, "young")
    assert prune_after(world, inbox=90)["events"] == many
    assert events(world) == ["young"]


def test_two_clocks_that_prune_at_once_remove_each_row_once(world: World) -> None:
    many = 3 * BATCH_SIZE
    receive(world, *(f"e{number}" for number in range(many)), ago=100)
    settle(world, *(f"P{number}" for number in range(many)), ago=100)
    receive(world, "young")
    settle(world, "Young")
    sum_all(world)
    with ThreadPoolExecutor(2) as clocks:
        both = list(clocks.map(lambda _: prune_after(world, inbox=90), range(2)))
    rest = prune_after(world, inbox=90)  # what one clock had locked when the other passed by
    assert [sum(one[what] for one in [*both, rest]) for what in ("events", "settlements")] == [many, many]
    assert (events(world), settlements(world)) == (["young"], ["Young"])
