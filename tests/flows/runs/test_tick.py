"""The clock: every slot once, however many clocks there are and however long they stood still."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain import ALL_ITEMS, ItemKey, Kind, Options
from app.errors import VendorForbidden
from app.flows.connections import connections
from app.flows.connections.health import judge
from app.flows.upkeep.tick import first_load, plan, tick
from app.rules.runs.jobs import JOBS, Job
from app.stores.catalog import watermarks
from app.stores.runs import runs, schedules
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.asking import request_reconcile
from tests.fakes import SHOP, FakeSource, ListQueue, World

POLL, NIGHT = (SHOP, "poll"), (SHOP, "full")
FIVE_MINUTES, HOUR, DAY = 300, 3600, 86_400
EVERYTHING = [ItemKey(SHOP, Kind.PRODUCT, ALL_ITEMS), ItemKey(SHOP, Kind.STOCK, ALL_ITEMS)]


@pytest.fixture
def world(database: Database) -> World:
    """A shop polled every five minutes and reconciled at three; the clock has begun to count at noon."""
    world = World(database)
    with database.begin() as conn:
        schedules.ensure(conn, SHOP, "poll", "*/5 * * * *", "UTC")
        schedules.ensure(conn, SHOP, "full", "0 3 * * *", "UTC")
    tick(world.deps)
    return world


def reschedule(world: World, job: str, cron: str, *, enabled: bool = True, timezone: str = "UTC") -> None:
    with world.database.begin() as conn:
        schedules.put(conn, SHOP, job, cron, timezone, enabled)


def scheduled_runs(world: World) -> list[Run]:
    with world.database.read() as conn:
        return runs.latest(conn, SHOP)


def end_runs(world: World) -> None:
    with world.database.begin() as conn:
        for run in runs.latest(conn):
            runs.cancel(conn, run.id, world.clock())


def after_each_run(world: World, ticks: int) -> list[list[tuple[str, str]]]:
    """The runs that so many ticks start, when each ends before the next tick."""
    fired = []
    for _ in range(ticks):
        end_runs(world)
        fired.append([one for one in tick(world.deps) if one != POLL])
    return fired


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
    assert world.queue.enqueued == EVERYTHING


def test_a_poll_that_is_still_owed_is_not_sent_again(world: World) -> None:
    for _ in range(2):
        world.clock.pass_(FIVE_MINUTES)
        tick(world.deps)
    assert world.queue.enqueued == EVERYTHING


def test_the_nightly_slot_opens_one_full_run(world: World) -> None:
    world.clock.pass_(DAY)
    tick(world.deps)
    assert [(run.strategy, run.cause, run.status) for run in scheduled_runs(world)] == [("full", "schedule", "idle")]


def test_the_nightly_run_is_known_by_its_slot(world: World) -> None:
    world.clock.pass_(DAY)
    tick(world.deps)
    assert scheduled_runs(world)[0].slot == datetime(2026, 6, 2, 3, tzinfo=UTC)


def test_the_nightly_run_gets_a_message(world: World) -> None:
    world.clock.pass_(DAY)
    tick(world.deps)
    assert world.queue.runs == [scheduled_runs(world)[0].id]


def test_a_night_whose_run_is_still_active_opens_no_second(world: World) -> None:
    world.clock.pass_(DAY)
    tick(world.deps)
    world.clock.pass_(DAY)
    assert NIGHT not in tick(world.deps)


def test_a_slot_that_found_a_run_active_fires_when_that_is_over(world: World) -> None:
    request_reconcile(world.deps, SHOP)
    world.clock.pass_(DAY)
    tick(world.deps)
    end_runs(world)
    world.clock.pass_(1)
    assert tick(world.deps) == [NIGHT]


def test_a_slot_that_waited_keeps_its_time(world: World) -> None:
    request_reconcile(world.deps, SHOP)
    world.clock.pass_(DAY)
    tick(world.deps)
    end_runs(world)
    world.clock.pass_(HOUR)
    tick(world.deps)
    assert scheduled_runs(world)[0].slot == datetime(2026, 6, 2, 3, tzinfo=UTC)


def test_of_many_slots_of_a_job_that_waited_one_fires(world: World) -> None:
    request_reconcile(world.deps, SHOP)
    for _ in range(3):
        world.clock.pass_(DAY)
        tick(world.deps)
    assert after_each_run(world, 3) == [[NIGHT], [], []]


def test_a_run_of_one_connection_lets_another_ones_fire(world: World) -> None:
    request_reconcile(world.deps, SHOP)
    both = replace(world.deps, sources={SHOP: world.source, "other": FakeSource()})
    with world.database.begin() as conn:
        schedules.ensure(conn, "other", "full", "0 3 * * *", "UTC")
    tick(both)
    world.clock.pass_(DAY)
    assert [fired for fired in tick(both) if fired[1] == "full"] == [("other", "full")]


def test_jobs_of_one_time_run_one_after_the_other(world: World) -> None:
    for job in ("active", "daily", "critical"):
        reschedule(world, job, "0 2 * * *")
    reschedule(world, "full", "0 3 * * *", enabled=False)
    tick(world.deps)
    world.clock.pass_(14 * HOUR)
    assert after_each_run(world, 4) == [[(SHOP, "critical")], [(SHOP, "daily")], [(SHOP, "active")], []]


def test_who_waited_longest_goes_first(world: World) -> None:
    reschedule(world, "critical", "*/15 * * * *")
    tick(world.deps)
    request_reconcile(world.deps, SHOP)
    world.clock.pass_(DAY)
    assert after_each_run(world, 3) == [[NIGHT], [(SHOP, "critical")], []]


def test_a_deep_run_stands_for_the_full_one_of_its_slot(world: World) -> None:
    reschedule(world, "deep", "0 3 * * *")
    tick(world.deps)
    world.clock.pass_(DAY)
    assert after_each_run(world, 2) == [[(SHOP, "deep")], []]
    assert [run.options for run in scheduled_runs(world)] == [Options(deep=True)]


@pytest.mark.parametrize("job", [job for job in JOBS.values() if not job.owes])
def test_a_job_opens_a_run_of_its_strategy(world: World, job: Job) -> None:
    reschedule(world, "full", "0 3 * * *", enabled=False)
    reschedule(world, job.name, "0 4 * * *")
    tick(world.deps)
    world.clock.pass_(DAY)
    tick(world.deps)
    assert [run.strategy for run in scheduled_runs(world)] == [job.strategy]


def test_a_slot_is_counted_in_the_schedules_time_zone(world: World) -> None:
    reschedule(world, "full", "0 14 * * *", timezone="Europe/Berlin")  # noon in UTC in June
    world.clock.pass_(DAY - 1)
    assert NIGHT not in tick(world.deps)
    world.clock.pass_(1)
    assert NIGHT in tick(world.deps)


@pytest.mark.parametrize("job", ["poll", "full"])
def test_a_disabled_schedule_does_not_fire(world: World, job: str) -> None:
    reschedule(world, job, "* * * * *", enabled=False)
    world.clock.pass_(DAY)
    assert (SHOP, job) not in tick(world.deps)


def test_a_schedule_of_a_connection_that_is_gone_does_not_fire(world: World) -> None:
    world.clock.pass_(DAY)
    assert tick(replace(world.deps, sources={})) == []


def test_a_clock_that_starts_again_fires_what_it_missed(world: World) -> None:
    world.clock.pass_(10 * FIVE_MINUTES)
    plan(world.deps, poll="*/5 * * * *", reconcile="0 3 * * *", timezone="UTC")
    assert tick(world.deps) == [POLL]


def test_a_schedule_of_a_job_nobody_knows_stops_no_other(world: World) -> None:
    reschedule(world, "of a later version", "* * * * *")
    tick(world.deps)
    world.clock.pass_(DAY)
    assert tick(world.deps) == [NIGHT, POLL]


@pytest.mark.parametrize(("cron", "timezone"), [("99 * * * *", "UTC"), ("* * * * *", "Mars/Base"), ("", "UTC")])
def test_one_unreadable_schedule_does_not_stop_the_others(world: World, cron: str, timezone: str) -> None:
    reschedule(world, "poll", cron, timezone=timezone)
    world.clock.pass_(DAY)
    assert tick(world.deps) == [NIGHT]


def test_a_slot_is_recorded_with_its_work_even_if_the_queue_is_dead(world: World) -> None:
    class Dead(ListQueue):
        def enqueue(self, keys: Any) -> None:
            raise RuntimeError("killed between commit and message")

    world.clock.pass_(FIVE_MINUTES)
    with pytest.raises(RuntimeError):
        tick(replace(world.deps, queue=Dead()))
    assert whole_revs(world) == [("product", 1), ("stock", 1)]


# --- connections and kinds that are not to be asked ---


def test_a_paused_connection_owes_no_polls(world: World) -> None:
    connections.pause(world.deps, SHOP)
    world.clock.pass_(FIVE_MINUTES)
    assert tick(world.deps) == []


def test_a_paused_connection_starts_no_runs(world: World) -> None:
    connections.pause(world.deps, SHOP)
    world.clock.pass_(DAY)
    assert tick(world.deps) == []
    assert scheduled_runs(world) == []


def test_what_a_pause_has_kept_waiting_fires_once_after_it(world: World) -> None:
    connections.pause(world.deps, SHOP)
    world.clock.pass_(2 * DAY)
    tick(world.deps)
    connections.resume(world.deps, SHOP)
    assert sorted(tick(world.deps)) == sorted([POLL, NIGHT])
    assert tick(world.deps) == []


def test_the_pause_of_one_connection_leaves_another_alone(world: World) -> None:
    world.deps = replace(world.deps, sources={**world.deps.sources, "elsewhere": world.source})
    with world.database.begin() as conn:
        schedules.ensure(conn, "elsewhere", "poll", "*/5 * * * *", "UTC")
    tick(world.deps)
    connections.pause(world.deps, SHOP)
    world.clock.pass_(FIVE_MINUTES)
    assert tick(world.deps) == [("elsewhere", "poll")]


def test_a_poll_leaves_out_a_kind_that_may_not_be_read(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, VendorForbidden("403"))
    world.clock.pass_(FIVE_MINUTES)
    tick(world.deps)
    assert world.queue.enqueued == [ItemKey(SHOP, Kind.PRODUCT, ALL_ITEMS)]


def test_an_hour_later_a_poll_tries_the_forbidden_kind_again(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, VendorForbidden("403"))
    world.clock.pass_(HOUR)
    tick(world.deps)
    assert ItemKey(SHOP, Kind.STOCK, ALL_ITEMS) in world.queue.enqueued


def test_a_first_load_leaves_out_a_kind_that_may_not_be_read(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, VendorForbidden("403"))
    with world.database.begin() as conn:
        watermarks.put(conn, SHOP, Kind.PRODUCT, "7", world.clock())
    first_load(world.deps)
    assert world.queue.enqueued == []
