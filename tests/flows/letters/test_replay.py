"""Replays: opened in one transaction, sent step by step, canary first, stopped at the first new failure."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.channels.queue import NullQueue
from app.domain import Cause, Change, ItemKey, Kind, Principal, Role
from app.errors import Refused, Unavailable, Unmappable
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.letters.drive_replay import PATIENCE, drive_replay
from app.flows.letters.replay import (
    ReplayView,
    abort_replay,
    list_replays,
    replay_items,
    replay_letter,
    replay_letters,
    show_replay,
)
from app.stores import owed, replays
from app.stores.access import audit
from app.stores.reports import settled
from app.stores.runs import runs
from app.stores.sql.engine import Database, open_database
from tests.asking import request_reconcile
from tests.fakes import SHOP, World, listing
from tests.letters import all_letters, die, die_without_item, letter

NO_SLICE = 0.0
"""One step only."""


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    for number in range(30):
        world.source.put(listing(f"P{number}"))
    return world


def dead(world: World, count: int) -> None:
    for number in range(count):
        die(world, f"P{number}")
    world.clock.pass_(60)


def step(world: World, replay_id: int) -> None:
    drive_replay(world.deps, replay_id, slice_=NO_SLICE)


def work(world: World) -> None:
    """What workers do with the items they were enqueued for; a fatal failure is buried."""
    keeper = LeaseKeeper(world.database)
    enqueued, world.queue.enqueued = world.queue.enqueued, []
    for key in enqueued:
        try:
            sync_item(world.deps, keeper, key)
        except Unmappable as error:
            die(world, key.external_id, error, message_id=f"again {key} {world.clock()}")


def finish(world: World, replay_id: int, after_step: Callable[[], None] = lambda: None) -> ReplayView:
    """Step and work until the replay is over."""
    for _ in range(200):
        step(world, replay_id)
        work(world)
        world.clock.pass_(1)
        after_step()
        told = show_replay(world.deps, replay_id)
        if told.status not in ("idle", "running"):
            return told
    raise AssertionError(f"not over: {told}")


def states(world: World) -> list[str]:
    return [one.state for one in all_letters(world.database)]


# --- opening ---


def test_a_replayed_letter_waits_in_line_until_it_is_its_turn(world: World) -> None:
    dead(world, 3)
    replay_letters(world.deps, "item:P0,P1", "outage")
    assert states(world) == ["queued", "queued", "dead"]


def test_letters_of_one_item_are_one_member(world: World) -> None:
    dead(world, 2)
    die(world, "P0", Unmappable("name: expected a text"), message_id="a second one")
    told = show_replay(world.deps, replay_letters(world.deps, "", "outage"))
    assert (told.letters, told.items) == (3, 2)


def test_a_filter_without_match_is_refused(world: World) -> None:
    dead(world, 1)
    with pytest.raises(Refused, match="no dead letter matches"):
        replay_letters(world.deps, "item:elsewhere", "outage")
    with world.database.read() as conn:
        assert replays.latest(conn) == []


@pytest.mark.parametrize("text", ["state:replayed", "state:dead,discarded", "-state:dead"])
def test_letters_that_are_not_dead_cannot_be_asked_for(world: World, text: str) -> None:
    dead(world, 1)
    with pytest.raises(Refused, match="only dead letters"):
        replay_letters(world.deps, text, "outage")


@pytest.mark.parametrize(("name", "rate"), [("  ", 5), ("x" * 201, 5), ("ok", -1), ("ok", 10**9)])
def test_a_replay_needs_a_name_and_a_rate_that_can_be(world: World, name: str, rate: int) -> None:
    dead(world, 1)
    with pytest.raises(Refused):
        replay_letters(world.deps, "", name, rate=rate)


def test_of_eight_people_who_replay_one_letter_at_once_one_succeeds(world: World) -> None:
    dead(world, 1)

    def click(_: int) -> bool:
        try:
            replay_letters(world.deps, "", "outage")
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(click, range(8))) == 1


def test_a_replay_is_in_the_audit_log(world: World) -> None:
    dead(world, 1)
    replay_letters(replace(world.deps, principal=Principal("user anna", Role.OPERATOR)), "", "outage")
    with world.database.read() as conn:
        (entry,) = audit.entries(conn)
    assert (entry.who, entry.action, entry.after["letters"], entry.why) == (
        "user anna",
        "letters.replay",
        1,
        "outage",
    )


def test_who_sees_one_connection_replays_its_letters_only(world: World) -> None:
    dead(world, 1)
    elsewhere = replace(world.deps, principal=Principal("token x", Role.OPERATOR, frozenset({"elsewhere"})))
    with pytest.raises(Refused, match="no dead letter matches"):
        replay_letters(elsewhere, "", "outage")


# --- driving ---


def test_a_replayed_item_reaches_its_row(world: World) -> None:
    dead(world, 1)
    told = finish(world, replay_letters(world.deps, "", "outage"))
    assert (told.status, told.progress.done, states(world)) == ("completed", 1, ["replayed"])


def test_a_letter_counts_its_replays(world: World) -> None:
    dead(world, 1)
    finish(world, replay_letters(world.deps, "", "outage"))
    assert all_letters(world.database)[0].replays == 1


def test_a_canary_goes_first_then_ten_then_the_rest(world: World) -> None:
    dead(world, 20)
    replay_id = replay_letters(world.deps, "", "outage", rate=0)
    sent = []
    for _ in range(3):
        step(world, replay_id)
        sent.append(len(world.queue.enqueued))
        step(world, replay_id)  # nothing more while the stage is under way
        work(world)
        world.clock.pass_(1)
    assert sent == [1, 10, 9]


def test_a_replay_stops_at_the_first_new_failure(world: World) -> None:
    dead(world, 20)
    world.source.poison["P0"] = Unmappable("still odd")
    told = finish(world, replay_letters(world.deps, "", "outage", rate=0))
    assert (told.status, told.progress.failed, told.progress.left) == ("stopped", 1, 19)
    assert told.reason is not None
    assert "P0 failed: Unmappable: still odd" in told.reason
    assert states(world) == ["dead"] * 20


def test_a_failure_that_waiting_may_cure_stops_it_too(world: World) -> None:
    dead(world, 20)
    world.source.failures.append(Unavailable("down"))
    told = finish(world, replay_letters(world.deps, "", "outage", rate=0))
    assert (told.status, told.reason) == ("stopped", "shop/product/P0 failed: Unavailable: down")


def test_an_item_that_dies_again_is_the_same_letter(world: World) -> None:
    dead(world, 1)
    world.source.poison["P0"] = Unmappable("still odd")
    finish(world, replay_letters(world.deps, "", "outage"))
    (again,) = all_letters(world.database)
    assert (again.state, again.replays, again.error, len(again.attempts)) == ("dead", 1, "still odd", 2)


def test_an_item_that_dies_after_it_went_well_is_another_letter(world: World) -> None:
    dead(world, 1)
    finish(world, replay_letters(world.deps, "", "outage"))
    die(world, "P0", Unmappable("months later"))
    assert states(world) == ["replayed", "dead"]


def test_a_replay_that_failed_can_be_asked_for_again(world: World) -> None:
    dead(world, 5)
    world.source.poison["P0"] = Unmappable("still odd")
    finish(world, replay_letters(world.deps, "", "first try", rate=0))
    world.source.poison.clear()
    told = finish(world, replay_letters(world.deps, "", "second try", rate=0))
    assert (told.status, sorted(one.replays for one in all_letters(world.database))) == (
        "completed",
        [1, 1, 1, 1, 2],
    )


def test_an_aborted_replay_leaves_the_rest_dead(world: World) -> None:
    dead(world, 5)
    replay_id = replay_letters(world.deps, "", "outage", rate=0)
    step(world, replay_id)
    abort_replay(world.deps, replay_id)
    step(world, replay_id)
    assert states(world) == ["replayed", "dead", "dead", "dead", "dead"]
    with pytest.raises(Refused, match="aborted already"):
        abort_replay(world.deps, replay_id)


def test_a_replay_goes_no_faster_than_its_rate(world: World) -> None:
    dead(world, 20)
    replay_id = replay_letters(world.deps, "", "outage", rate=5, canary=False)
    for _ in range(3):  # each step is a driver of its own, as after kills: none brings a burst along
        step(world, replay_id)
    assert len(world.queue.enqueued) == 3


def test_nobody_drives_what_another_drives(world: World) -> None:
    dead(world, 1)
    replay_id = replay_letters(world.deps, "", "outage")
    with world.database.begin() as conn:
        replays.start(conn, replay_id, "other", 5, world.clock())
    step(world, replay_id)
    assert world.queue.enqueued == []


def test_a_driver_that_is_gone_is_succeeded(world: World) -> None:
    dead(world, 1)
    replay_id = replay_letters(world.deps, "", "outage")
    with world.database.begin() as conn:
        replays.start(conn, replay_id, "other", 5, world.clock())
    world.clock.pass_(6)
    with world.database.begin() as conn:
        assert replays.overdue(conn, world.clock(), 5) == [replay_id]
    step(world, replay_id)
    assert len(world.queue.enqueued) == 1


def test_a_replay_stops_when_nothing_is_settled_for_long(world: World) -> None:
    dead(world, 1)
    replay_id = replay_letters(world.deps, "", "outage")

    def now() -> Any:
        world.clock.pass_(PATIENCE.total_seconds() / 2)
        return world.clock.moment

    step(world, replay_id)
    drive_replay(replace(world.deps, now=now), replay_id, lease=10**6, slice_=60)
    reason = show_replay(world.deps, replay_id).reason
    assert reason is not None
    assert "nothing was settled for 10 minutes" in reason


def test_an_item_that_changed_meanwhile_is_done_when_it_is_owed_no_longer(world: World) -> None:
    dead(world, 1)
    replay_id = replay_letters(world.deps, "", "outage")

    def change() -> None:
        with world.database.begin() as conn:
            owed.owe(conn, SHOP, [Change(Kind.PRODUCT, "P0")], Cause.WEBHOOK, world.clock())

    step(world, replay_id)
    world.source.meanwhile = change
    work(world)
    step(world, replay_id)
    assert show_replay(world.deps, replay_id).progress.sent == 1
    world.source.meanwhile = lambda: None
    world.queue.enqueued.append(ItemKey(SHOP, Kind.PRODUCT, "P0"))
    work(world)
    step(world, replay_id)
    assert show_replay(world.deps, replay_id).status == "completed"


def test_the_settlement_of_a_replayed_item_says_so(world: World) -> None:
    dead(world, 1)
    finish(world, replay_letters(world.deps, "", "outage"))
    with world.database.read() as conn:
        assert settled.latest(conn, ItemKey(SHOP, Kind.PRODUCT, "P0"), 1)[0].cause == "replay"


def test_items_of_events_are_replayed_the_same_way(world: World) -> None:
    keys = [ItemKey(SHOP, Kind.PRODUCT, "P1"), ItemKey(SHOP, Kind.PRODUCT, "P2")]
    told = finish(world, replay_items(world.deps, [*keys, keys[0]], "lost night", filter="since:8h"))
    assert (told.status, told.of, told.items, told.progress.done) == ("completed", "events", 2, 2)


def test_replays_are_listed_newest_first(world: World) -> None:
    dead(world, 2)
    for name in ("P0", "P1"):
        replay_letters(world.deps, f"item:{name}", name)
    assert [one.name for one in list_replays(world.deps)] == ["P1", "P0"]


# --- one letter ---


def test_one_letter_is_replayed_by_its_number(world: World) -> None:
    dead(world, 2)
    last = all_letters(world.database)[-1].id
    finish(world, replay_letter(world.deps, last))
    assert states(world) == ["dead", "replayed"]


def test_a_letter_that_never_was_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="no dead letter 987654"):
        replay_letter(world.deps, 987_654)


def test_a_replayed_letter_is_refused(world: World) -> None:
    dead(world, 1)
    id = all_letters(world.database)[0].id
    finish(world, replay_letter(world.deps, id))
    with pytest.raises(Refused, match="is replayed"):
        replay_letter(world.deps, id)


# --- letters that are no item ---


def test_a_letter_without_an_item_is_sent_again_as_it_was(world: World) -> None:
    id = die_without_item(world, "mystery", ["x"])
    told = finish(world, replay_letter(world.deps, id))
    assert (told.status, list(world.queue.resent[0])) == ("completed", ["mystery", "live", ["x"]])


def test_a_letter_that_could_not_be_sent_again_is_dead_still(world: World) -> None:
    id = die_without_item(world)
    replay_id = replay_letter(world.deps, id)
    drive_replay(replace(world.deps, queue=NullQueue()), replay_id, slice_=5)
    assert (letter(world, id).state, show_replay(world.deps, replay_id).status) == ("dead", "stopped")


def test_a_message_whose_sender_died_over_it_is_sent_by_the_next_driver(world: World) -> None:
    replay_id = replay_letter(world.deps, die_without_item(world))

    class Dying(NullQueue):
        def resend(self, *args: Any, **more: Any) -> None:
            raise KeyboardInterrupt  # as good as kill -9: nothing after it runs

    with pytest.raises(KeyboardInterrupt):
        drive_replay(replace(world.deps, queue=Dying()), replay_id, slice_=5)
    world.clock.pass_(60)
    told = finish(world, replay_id)
    assert (told.status, len(world.queue.resent)) == ("completed", 1)


def test_a_message_that_names_no_item_though_it_should_is_refused(world: World) -> None:
    id = die_without_item(world, "sync_item", ["shop"])
    with pytest.raises(Refused, match="edit its arguments"):
        replay_letter(world.deps, id)


def failed_run(world: World) -> int:
    run_id = request_reconcile(world.deps, SHOP)
    with world.database.begin() as conn:
        runs.start(conn, run_id, "t", 15, world.clock())
        runs.finish(conn, run_id, "t", "failed", "down", world.clock())
    world.queue.runs.clear()
    return run_id


def test_the_letter_of_a_failed_run_resumes_it(world: World) -> None:
    run_id = failed_run(world)
    finish(world, replay_letter(world.deps, die_without_item(world, "run", [run_id])))
    assert (world.queue.runs, world.queue.resent) == ([run_id], [])


def test_the_letter_of_a_run_that_cannot_go_on_now_is_dead_still(world: World) -> None:
    id = die_without_item(world, "run", [failed_run(world)])
    request_reconcile(world.deps, SHOP)
    told = finish(world, replay_letter(world.deps, id))
    assert (told.status, letter(world, id).state) == ("stopped", "dead")
    assert told.reason is not None
    assert "another run of its connection is active" in told.reason


def waits_for_a_lock(database: Database) -> bool:
    with database.read() as conn:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(conn.exec_driver_sql(waiting).scalar())


@pytest.mark.nests
def test_the_letter_of_a_run_that_another_overtakes_in_the_same_moment_is_dead_still(postgres_url: str) -> None:
    with closing(open_database(postgres_url)) as database, ThreadPoolExecutor(1) as pool:
        world = World(database)
        id = die_without_item(world, "run", [failed_run(world)])
        replay_id = replay_letter(world.deps, id)
        with database.begin() as conn:
            runs.open_run(conn, connection=SHOP, strategy="full", cause="person", slot=None, now=world.clock())
            driving = pool.submit(step, world, replay_id)
            while not waits_for_a_lock(database):
                assert not driving.done()
        driving.result(timeout=60)
        assert (finish(world, replay_id).status, letter(world, id).state) == ("stopped", "dead")


def test_a_replays_age_and_pace_are_told(world: World) -> None:
    dead(world, 12)
    replay_id = replay_letters(world.deps, "", "outage", rate=0)
    for _ in range(2):
        step(world, replay_id)
        work(world)
        world.clock.pass_(timedelta(seconds=10).total_seconds())
    step(world, replay_id)
    told = show_replay(world.deps, replay_id)
    assert (told.per_second, told.seconds_left) == (0.6, 2)
