"""Replays and connections that cannot be tried: what is gone is skipped and said, what is paused waits."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from app.domain import ItemKey, Kind, Options, Strategy
from app.errors import Refused, VendorForbidden
from app.flows.connections.health import judge
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.letters.drive_replay import PATIENCE, drive_replay
from app.flows.letters.replay import ReplayView, replay_items, replay_letter, replay_letters, show_replay
from app.flows.runs.request_run import request_run
from app.stores import replays
from app.stores.access import audit
from app.stores.replays import Skipped
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World, listing
from tests.letters import all_letters, die, die_without_item

TILL = "till"


@pytest.fixture
def world(database: Database) -> World:
    """Two shops."""
    world = World(database)
    sources = {SHOP: world.source, TILL: FakeSource()}
    world.deps = replace(world.deps, sources=sources, bulk_sources=sources)
    for source in sources.values():
        source.put(*(listing(f"P{number}") for number in range(30)))
    return world


def without(world: World, connection: str) -> World:
    """As if the connection had been taken out of the settings."""
    left = {name: source for name, source in world.deps.sources.items() if name != connection}
    world.deps = replace(world.deps, sources=left, bulk_sources=left)
    return world


def dead(world: World, **counts: int) -> None:
    for connection, count in counts.items():
        for number in range(count):
            die(world, f"P{number}", connection=connection)
    world.clock.pass_(60)


def go_on(world: World, replay_id: int, *, paused: frozenset[str] = frozenset(), rounds: int = 30) -> ReplayView:
    """Step and work off what was enqueued; items of paused connections stay owed."""
    for _ in range(rounds):
        drive_replay(world.deps, replay_id, slice_=0.0, paused=lambda deps: paused)
        enqueued, world.queue.enqueued = world.queue.enqueued, []
        for key in enqueued:
            if key.connection not in paused:
                sync_item(world.deps, LeaseKeeper(world.database), key)
        world.clock.pass_(1)
    return show_replay(world.deps, replay_id)


def states(world: World) -> Mapping[str, list[str]]:
    """The letters' states by connection."""
    letters = all_letters(world.database)
    return {name: [one.state for one in letters if one.connection == name] for name in (SHOP, TILL)}


# --- gone ---


def test_letters_of_a_connection_that_is_gone_are_skipped_and_the_others_replayed(world: World) -> None:
    dead(world, till=1, shop=3)
    without(world, TILL)
    told = go_on(world, replay_letters(world.deps, "", "outage", canary=False))
    assert (told.status, told.progress.done, told.progress.skipped) == ("completed", 3, 1)
    assert states(world) == {SHOP: ["replayed"] * 3, TILL: ["dead"]}


def test_a_replay_says_what_it_skipped_and_why(world: World) -> None:
    dead(world, till=2, shop=1)
    without(world, TILL)
    replay_id = replay_letters(world.deps, "", "outage")
    why = "there is no connection 'till'"
    assert show_replay(world.deps, replay_id).skipped == [Skipped(connection=TILL, items=2, why=why)]
    assert go_on(world, replay_id).reason == f"2 skipped: {why}"


def test_a_connection_that_goes_while_a_replay_waits_is_skipped_too(world: World) -> None:
    dead(world, till=1, shop=2)
    replay_id = replay_letters(world.deps, "", "outage")
    told = go_on(without(world, TILL), replay_id)
    assert (told.status, told.progress.done, told.progress.skipped) == ("completed", 2, 1)
    assert states(world)[TILL] == ["dead"]


def test_a_replay_of_nothing_but_skipped_letters_is_over_at_once(world: World) -> None:
    dead(world, till=2)
    without(world, TILL)
    told = go_on(world, replay_letters(world.deps, "", "outage"), rounds=1)
    assert (told.status, told.progress.skipped, told.still_dead) == ("completed", 2, 2)


def test_events_about_a_connection_that_is_gone_are_skipped(world: World) -> None:
    without(world, TILL)
    keys = [ItemKey(connection, Kind.PRODUCT, "P1") for connection in (TILL, SHOP)]
    told = go_on(world, replay_items(world.deps, keys, "again", filter="", canary=False))
    assert (told.status, told.progress.done, told.progress.skipped) == ("completed", 1, 1)


def test_the_audit_log_has_how_many_were_skipped(world: World) -> None:
    dead(world, till=2, shop=1)
    without(world, TILL)
    replay_letters(world.deps, "", "outage")
    with world.database.read() as conn:
        assert audit.entries(conn, limit=1)[0].after["skipped"] == 2


def test_one_letter_of_a_connection_that_is_gone_is_refused(world: World) -> None:
    dead(world, till=1)
    without(world, TILL)
    with pytest.raises(Refused, match="of 'till', and there is no such connection"):
        replay_letter(world.deps, all_letters(world.database)[0].id)


def test_the_letter_of_a_run_of_a_connection_that_is_gone_is_skipped(world: World) -> None:
    run_id = request_run(world.deps, TILL, Strategy.FULL, Options(), cause="person")
    die_without_item(world, "run", [run_id])
    dead(world, shop=1)
    without(world, TILL)
    told = go_on(world, replay_letters(world.deps, "", "outage", canary=False))
    assert (told.status, told.reason) == ("completed", "1 skipped: there is no connection 'till'")
    assert [one.state for one in all_letters(world.database)] == ["dead", "replayed"]


# --- paused ---


def test_items_of_a_paused_connection_wait_while_the_others_are_replayed(world: World) -> None:
    dead(world, till=2, shop=3)
    replay_id = replay_letters(world.deps, "", "outage")
    told = go_on(world, replay_id, paused=frozenset({TILL}))
    assert (told.status, told.progress.done, told.progress.waiting) == ("running", 3, 2)
    assert states(world) == {SHOP: ["replayed"] * 3, TILL: ["queued"] * 2}


def test_a_replay_goes_on_when_a_paused_connection_answers_again(world: World) -> None:
    dead(world, till=2, shop=3)
    replay_id = replay_letters(world.deps, "", "outage")
    go_on(world, replay_id, paused=frozenset({TILL}))
    told = go_on(world, replay_id)
    assert (told.status, told.progress.done) == ("completed", 5)


def test_a_replay_whose_canary_waits_for_a_paused_connection_does_not_stop(world: World) -> None:
    dead(world, till=1, shop=1)
    replay_id = replay_letters(world.deps, "", "outage")
    drive_replay(world.deps, replay_id, slice_=0.0)  # the canary is sent, and then its connection pauses

    def now() -> datetime:
        world.clock.pass_(PATIENCE.total_seconds() / 2)
        return world.clock()

    drive_replay(replace(world.deps, now=now), replay_id, slice_=0.5, paused=lambda deps: {TILL})
    assert show_replay(world.deps, replay_id).status == "running"


def test_a_replay_that_only_waits_holds_no_thread_and_is_looked_at_again(world: World) -> None:
    dead(world, till=1)
    replay_id = replay_letters(world.deps, "", "outage")
    world.queue.replays.clear()
    drive_replay(world.deps, replay_id, slice_=1_000.0, paused=lambda deps: {TILL})  # returns at once
    assert world.queue.replays == []
    with world.database.begin() as conn:
        assert replays.overdue(conn, world.clock(), 5) == [replay_id]


# --- a kind that may not be read ---


def forbid(world: World, connection: str) -> None:
    judge(world.deps, connection, Kind.PRODUCT, VendorForbidden("403 INSUFFICIENT_SCOPES"))


def test_items_of_a_forbidden_kind_wait_while_the_others_are_replayed(world: World) -> None:
    dead(world, till=2, shop=3)
    forbid(world, TILL)
    replay_id = replay_letters(world.deps, "", "outage")
    drive(world, replay_id)
    told = show_replay(world.deps, replay_id)
    assert (told.status, told.progress.done, told.progress.waiting, told.paused) == (
        "running",
        3,
        2,
        ["till/product"],
    )


def test_a_replay_whose_items_wait_for_a_forbidden_kind_does_not_stop(world: World) -> None:
    dead(world, shop=2)
    replay_id = replay_letters(world.deps, "", "outage", canary=False)
    drive_replay(world.deps, replay_id, slice_=0.0)  # they are sent, and then their kind is refused
    forbid(world, SHOP)

    def now() -> datetime:
        world.clock.pass_(PATIENCE.total_seconds() / 2)
        return world.clock()

    drive_replay(replace(world.deps, now=now), replay_id, slice_=0.5)
    assert show_replay(world.deps, replay_id).status == "running"


def drive(world: World, replay_id: int) -> None:
    """Step and work off what was enqueued, as ``health`` allows."""
    for _ in range(30):
        drive_replay(world.deps, replay_id, slice_=0.0)
        enqueued, world.queue.enqueued = world.queue.enqueued, []
        for key in enqueued:
            sync_item(world.deps, LeaseKeeper(world.database), key)
        world.clock.pass_(1)
