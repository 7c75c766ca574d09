"""The clock: every slot once, however many clocks there are and however long they stood still."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest

from app.domain import WHOLE, ItemKey, Kind
from app.errors import Refused
from app.flows.tick import first_load, plan, request_reconcile, tick
from app.stores import owed, runs, schedules, watermarks
from app.stores.engine import Database
from tests.fakes import SHOP, FakeSource, ListQueue, World

POLL, NIGHT = (SHOP, "poll"), (SHOP, "reconcile")
FIVE_MINUTES, DAY = 300, 86_400
EVERYTHING = [ItemKey(SHOP, Kind.PRODUCT, WHOLE), ItemKey(SHOP, Kind.STOCK, WHOLE)]


@pytest.fixture
def world(database: Database) -> World:
    """A shop polled every five minutes and reconciled at three; the clock has begun to count at noon."""
    world = World(database)
    plan(world.deps, poll="*/5 * * * *", reconcile="0 3 * * *", timezone="UTC")
    tick(world.deps)
    return world


def reschedule(world: World, job: str, cron: str, *, enabled: bool = True, timezone: str = "UTC") -> None:
    with world.database.begin() as conn:
        schedules.put(conn, SHOP, job, cron, timezone, enabled)


def scheduled_runs(world: World) -> list[dict[str, Any]]:
    with world.database.read() as conn:
        return runs.latest(conn, SHOP)


def whole_revs(world: World) -> list[tuple[str, int]]:
    with world.database.read() as conn:
        return [tuple(row) for row in conn.exec_driver_sql("SELECT kind, rev FROM owed_items ORDER BY kind")]


def test_a_new_schedule_does_not_fire_for_the_past(world: World) -> None:
    assert tick(world.deps) == []


def test_nothing_fires_before_its_slot(world: World) -> None:
    world.clock.pass_(FIVE_MINUTES - 1)
    assert tick(world.deps) == []


def test_a_poll_fires_in_its_slot(world: World) -> None:
    world.clock.pass_(FIVE_MINUTES)
    assert tick(world.deps) == [POLL]


def test_a_slot_fires_once(world: World) -> None:
    world.clock.pass_(FIVE_MINUTES)
    tick(world.deps)
    world.clock.pass_(1)
    assert tick(world.deps) == []


def test_missed_slots_fire_once(world: World) -> None:
    world.clock.pass_(20 * FIVE_MINUTES)
    assert tick(world.deps) == [POLL]
    assert whole_revs(world) == [("product", 1), ("stock", 1)]


def test_a_slot_after_missed_ones_fires_in_time(world: World) -> None:
    world.clock.pass_(20 * FIVE_MINUTES + 17)
    tick(world.deps)
    world.clock.pass_(FIVE_MINUTES - 17)
    assert tick(world.deps) == [POLL]


def test_a_poll_owes_every_kind(world: World) -> None:
    world.clock.pass_(FIVE_MINUTES)
    tick(world.deps)
    assert whole_revs(world) == [("product", 1), ("stock", 1)]


def test_a_poll_wakes_the_workers(world: World) -> None:
    world.clock.pass_(FIVE_MINUTES)
    tick(world.deps)
    assert world.queue.woken == EVERYTHING


def test_a_poll_that_is_still_owed_is_not_sent_again(world: World) -> None:
    for _ in range(2):
        world.clock.pass_(FIVE_MINUTES)
        tick(world.deps)
    assert world.queue.woken == EVERYTHING


def test_the_nightly_slot_opens_one_full_run(world: World) -> None:
    world.clock.pass_(DAY)
    tick(world.deps)
    assert [(run["strategy"], run["cause"], run["status"]) for run in scheduled_runs(world)] == [
        ("full", "schedule", "idle")
    ]


def test_the_nightly_run_is_known_by_its_slot(world: World) -> None:
    world.clock.pass_(DAY)
    tick(world.deps)
    assert scheduled_runs(world)[0]["slot"] == datetime(2026, 6, 2, 3, tzinfo=UTC)


def test_the_nightly_run_gets_a_message(world: World) -> None:
    world.clock.pass_(DAY)
    tick(world.deps)
    assert world.queue.runs == [scheduled_runs(world)[0]["id"]]


def test_a_night_whose_run_is_still_active_opens_no_second(world: World) -> None:
    world.clock.pass_(DAY)
    tick(world.deps)
    world.clock.pass_(DAY)
    tick(world.deps)
    assert len(scheduled_runs(world)) == 1


def test_a_slot_is_counted_in_the_schedules_time_zone(world: World) -> None:
    reschedule(world, "reconcile", "0 14 * * *", timezone="Europe/Berlin")  # noon in UTC in June
    world.clock.pass_(DAY - 1)
    assert NIGHT not in tick(world.deps)
    world.clock.pass_(1)
    assert NIGHT in tick(world.deps)


@pytest.mark.parametrize("job", ["poll", "reconcile"])
def test_a_disabled_schedule_does_not_fire(world: World, job: str) -> None:
    reschedule(world, job, "* * * * *", enabled=False)
    world.clock.pass_(DAY)
    assert (SHOP, job) not in tick(world.deps)


def test_a_schedule_of_a_connection_that_is_gone_does_not_fire(world: World) -> None:
    world.clock.pass_(DAY)
    assert tick(replace(world.deps, sources={})) == []


def test_an_edited_schedule_survives_a_restart(world: World) -> None:
    reschedule(world, "poll", "*/7 * * * *")
    plan(world.deps, poll="*/5 * * * *", reconcile="0 3 * * *", timezone="UTC")
    with world.database.read() as conn:
        assert [one["cron"] for one in schedules.all_(conn) if one["job"] == "poll"] == ["*/7 * * * *"]


def test_a_clock_that_starts_again_fires_what_it_missed(world: World) -> None:
    world.clock.pass_(10 * FIVE_MINUTES)
    plan(world.deps, poll="*/5 * * * *", reconcile="0 3 * * *", timezone="UTC")
    assert tick(world.deps) == [POLL]


def test_three_clocks_at_once_fire_each_slot_once(world: World) -> None:
    together = Barrier(3)
    fired: list[tuple[str, str]] = []

    def clock(_: int) -> None:
        for _slot in range(5):
            if together.wait(20) == 0:
                world.clock.pass_(DAY)
            together.wait(20)
            fired.extend(tick(world.deps))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(clock, range(3)))
    assert sorted(fired) == [POLL] * 5 + [NIGHT] * 5


@pytest.mark.parametrize(("cron", "timezone"), [("99 * * * *", "UTC"), ("* * * * *", "Mars/Base"), ("", "UTC")])
def test_one_unreadable_schedule_does_not_stop_the_others(world: World, cron: str, timezone: str) -> None:
    reschedule(world, "poll", cron, timezone=timezone)
    world.clock.pass_(DAY)
    assert tick(world.deps) == [NIGHT]


# --- first loads and people ---


def test_a_connection_never_read_owes_everything(database: Database) -> None:
    world = World(database)
    first_load(world.deps)
    assert world.queue.woken == EVERYTHING


def test_a_first_load_owes_only_the_kinds_never_read(database: Database) -> None:
    world = World(database)
    with database.begin() as conn:
        watermarks.put(conn, SHOP, Kind.PRODUCT, "1", world.clock())
    first_load(world.deps)
    assert world.queue.woken == EVERYTHING[1:]


def test_a_connection_read_before_owes_nothing_at_the_start(database: Database) -> None:
    world = World(database)
    with database.begin() as conn:
        for kind in world.source.kinds:
            watermarks.put(conn, SHOP, kind, "1", world.clock())
    first_load(world.deps)
    with database.read() as conn:
        assert owed.count(conn) == 0


def test_every_connection_is_loaded(database: Database) -> None:
    world = World(database)
    sources = {SHOP: world.source, "shop-eu": FakeSource()}
    first_load(replace(world.deps, sources=sources))
    assert {key.connection for key in world.queue.woken} == set(sources)


def test_a_run_requested_by_a_person_gets_a_message(world: World) -> None:
    run_id = request_reconcile(world.deps, SHOP)
    assert world.queue.runs == [run_id]


def test_a_second_request_is_refused_while_a_run_is_active(world: World) -> None:
    request_reconcile(world.deps, SHOP)
    with pytest.raises(Refused, match="active already"):
        request_reconcile(world.deps, SHOP)


def test_a_request_for_an_unknown_connection_names_those_there_are(world: World) -> None:
    with pytest.raises(Refused, match=SHOP):
        request_reconcile(world.deps, "nobody")


def test_a_slot_is_recorded_with_its_work_even_if_the_queue_is_dead(world: World) -> None:
    class Dead(ListQueue):
        def wake(self, keys: Any) -> None:
            raise RuntimeError("killed between commit and message")

    world.clock.pass_(FIVE_MINUTES)
    with pytest.raises(RuntimeError):
        tick(replace(world.deps, queue=Dead()))
    assert whole_revs(world) == [("product", 1), ("stock", 1)]
