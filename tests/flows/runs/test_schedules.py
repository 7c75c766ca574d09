"""The clock as people see and set it: the next times, what they cost, and what is refused."""

from datetime import timedelta

import msgspec
import pytest

from app.domain import Kind, Options, Strategy
from app.errors import BadConfiguration, Refused
from app.flows.upkeep.schedules import JobCost, JobSchedule, save, show
from app.flows.upkeep.tick import plan, tick
from app.rules.runs.jobs import JOBS
from app.sources.base import Limit
from app.stores.runs import runs, schedules
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World


def counted(*limits: Limit) -> FakeSource:
    """A shop of every kind whose account allows so many calls."""
    source = FakeSource()
    source.kinds, source.limits = tuple(Kind), limits
    return source


@pytest.fixture
def world(database: Database) -> World:
    """A shop with every default schedule, counting since noon of 1 June; 1,000 calls a day and 600 an hour."""
    world = World(database, counted(Limit("slow", 1000, 86_400), Limit("fast", 600, 3600)))
    plan(world.deps, poll="*/5 * * * *", reconcile="0 3 * * 1-6", timezone="UTC")
    tick(world.deps)
    return world


def row(world: World, job: str) -> JobSchedule:
    (found,) = (one for one in show(world.deps, SHOP) if one.job == job)
    return found


def a_run(
    world: World, strategy: Strategy, calls: int, options: Options | None = None, end: str = "completed"
) -> None:
    """A run of the past that took so many calls."""
    with world.database.begin() as conn:
        run_id = runs.open_run(
            conn,
            connection=SHOP,
            strategy=strategy,
            cause="person",
            slot=None,
            now=world.clock(),
            options=options or Options(),
        )
        conn.exec_driver_sql(f"UPDATE runs SET status = '{end}', calls = {calls} WHERE id = {run_id}")


# --- what is shown ---


def test_every_job_is_shown_in_the_order_of_the_jobs(world: World) -> None:
    assert [one.job for one in show(world.deps, SHOP)] == [job.name for job in JOBS.values() if job.cron]


def test_the_next_five_times_are_shown(world: World) -> None:
    assert row(world, "inventory").next == [f"2026-06-01T{hour}:07:00+00:00" for hour in (12, 13, 14, 15, 16)]


def test_the_next_times_are_shown_in_the_schedules_own_zone(world: World) -> None:
    shown = save(world.deps, SHOP, "full", "30 2 * * *", "Europe/Berlin")
    assert shown.next[0] == "2026-06-02T02:30:00+02:00"


def test_a_schedule_that_is_off_has_no_next_times(world: World) -> None:
    assert save(world.deps, SHOP, "full", "30 2 * * *", "UTC", enabled=False).next == []


def test_the_slot_that_fired_last_is_shown(world: World) -> None:
    world.clock.pass_(421)
    tick(world.deps)
    assert row(world, "inventory").last_slot == "2026-06-01T12:07:00+00:00"


def test_a_schedule_that_never_fired_has_no_last_slot(world: World) -> None:
    tick(world.deps)
    assert row(world, "inventory").last_slot is None


@pytest.mark.parametrize("enabled", [True, False])
def test_an_edit_is_not_shown_as_the_slot_that_fired_last(world: World, enabled: bool) -> None:
    world.clock.pass_(421)
    tick(world.deps)
    world.clock.pass_(60)
    save(world.deps, SHOP, "inventory", "9 * * * *", "UTC", enabled=enabled)
    tick(world.deps)
    assert row(world, "inventory").last_slot == "2026-06-01T12:07:00+00:00"


def test_a_schedule_somebody_spoiled_in_the_database_says_what_is_wrong(world: World) -> None:
    with world.database.begin() as conn:
        schedules.put(conn, SHOP, "full", "99 * * * *", "UTC")
    assert "minute" in str(row(world, "full").problem)


def test_a_job_nobody_knows_is_shown_with_that(world: World) -> None:
    with world.database.begin() as conn:
        schedules.put(conn, SHOP, "later", "0 3 * * *", "UTC")
    assert "no job 'later'" in str(show(world.deps, SHOP)[-1].problem)


def test_what_is_shown_and_saved_can_be_json(world: World) -> None:
    saved = save(world.deps, SHOP, "full", "30 2 * * *", "UTC")
    assert msgspec.json.decode(msgspec.json.encode([show(world.deps, SHOP), saved]))


# --- what is saved ---


def test_a_saved_schedule_is_what_the_clock_follows(world: World) -> None:
    save(world.deps, SHOP, "vendors", "2 12 * * *", "UTC")
    world.clock.pass_(120)
    assert tick(world.deps) == [(SHOP, "vendors")]


def test_an_edit_starts_nothing_for_the_hours_before_it(world: World) -> None:
    world.clock.pass_(3600)
    tick(world.deps)
    save(world.deps, SHOP, "vendors", "0 4 * * *", "UTC")
    world.clock.pass_(20 * 3600)
    tick(world.deps)
    save(world.deps, SHOP, "vendors", "30 8 * * *", "UTC")  # it is nine
    assert (SHOP, "vendors") not in tick(world.deps)


def test_a_schedule_turned_on_again_starts_nothing_for_the_time_it_was_off(world: World) -> None:
    save(world.deps, SHOP, "poll", "*/5 * * * *", "UTC", enabled=False)
    world.clock.pass_(3600)
    save(world.deps, SHOP, "poll", "*/5 * * * *", "UTC")
    assert (SHOP, "poll") not in tick(world.deps)


def test_saving_what_is_there_already_loses_no_slot(world: World) -> None:
    world.clock.pass_(301)
    save(world.deps, SHOP, "poll", "*/5 * * * *", "UTC")
    assert (SHOP, "poll") in tick(world.deps)


def test_another_name_of_a_job_sets_that_job(world: World) -> None:
    save(world.deps, SHOP, "incremental", "*/9 * * * *", "UTC")
    assert row(world, "poll").cron == "*/9 * * * *"


@pytest.mark.parametrize(
    ("job", "cron", "timezone", "reason"),
    [
        ("everything", "0 3 * * *", "UTC", "use one of: poll, critical"),
        ("category", "0 3 * * *", "UTC", "on demand only"),
        ("full", "0 25 * * *", "UTC", "hour: .*25.*right would be"),
        ("full", "0 3 31 2 *", "UTC", "no such day"),
        ("full", "0 3 * * *", "Berlin", "'Europe/Berlin'"),
    ],
)
def test_what_is_wrong_is_refused_with_what_is_right(
    world: World, job: str, cron: str, timezone: str, reason: str
) -> None:
    with pytest.raises(BadConfiguration, match=reason):
        save(world.deps, SHOP, job, cron, timezone)


def test_what_is_refused_changes_nothing(world: World) -> None:
    before = show(world.deps, SHOP)
    with pytest.raises(BadConfiguration):
        save(world.deps, SHOP, "full", "0 25 * * *", "UTC")
    assert show(world.deps, SHOP) == before


def test_a_job_that_has_nothing_to_read_is_refused(database: Database) -> None:
    with pytest.raises(BadConfiguration, match="nothing to read"):
        save(World(database).deps, SHOP, "vendors", "0 3 * * *", "UTC")


def test_a_connection_nobody_knows_is_refused_with_those_there_are(world: World) -> None:
    with pytest.raises(Refused, match=SHOP):
        show(world.deps, "nobody")
    with pytest.raises(Refused, match=SHOP):
        save(world.deps, "nobody", "full", "0 3 * * *", "UTC")


# --- what it costs ---


def cost(world: World, cron: str = "0 * * * *", job: str = "inventory") -> JobCost:
    return save(world.deps, SHOP, job, cron, "UTC").cost


def test_a_job_that_never_ran_has_no_known_cost(world: World) -> None:
    told = cost(world)
    assert (told.calls_per_run, told.calls_per_day, "inventory" in told.unknown) == (None, None, True)


def test_a_schedule_costs_its_runs_times_the_calls_of_past_ones(world: World) -> None:
    a_run(world, Strategy.INVENTORY, 10)
    a_run(world, Strategy.INVENTORY, 20)
    told = cost(world)
    assert (told.runs_per_day, told.calls_per_run, told.calls_per_day) == (24, 15, 360)


@pytest.mark.parametrize("end", ["failed", "cancelled", "running"])
def test_runs_that_did_not_complete_say_nothing_of_the_cost(world: World, end: str) -> None:
    a_run(world, Strategy.INVENTORY, 10, end=end)
    assert cost(world).calls_per_run is None


def test_runs_with_other_options_say_nothing_of_the_cost(world: World) -> None:
    a_run(world, Strategy.FULL, 10, Options(deep=True))
    a_run(world, Strategy.FULL, 3, Options(limit=5))
    assert cost(world, "0 3 * * *", "full").calls_per_run is None
    assert cost(world, "0 3 * * 0", "deep").calls_per_run == 10


def test_the_budget_of_a_day_is_that_of_the_tightest_limit(world: World) -> None:
    assert cost(world).budget_per_day == 1000


def test_without_a_budget_there_is_none_to_pass(database: Database) -> None:
    world = World(database, counted())
    a_run(world, Strategy.FULL, 10**6)
    saved = save(world.deps, SHOP, "full", "* * * * *", "UTC")
    assert (saved.cost.budget_per_day, saved.warning) == (None, None)


def test_jobs_that_fit_the_budget_bring_no_warning(world: World) -> None:
    a_run(world, Strategy.INVENTORY, 41)
    assert save(world.deps, SHOP, "inventory", "0 * * * *", "UTC").warning is None


def test_jobs_that_together_do_not_fit_the_budget_bring_a_warning(world: World) -> None:
    a_run(world, Strategy.INVENTORY, 41)
    a_run(world, Strategy.DAILY, 20)
    warning = save(world.deps, SHOP, "inventory", "0 * * * *", "UTC").warning
    assert str(warning).startswith("all enabled jobs need about 1,004 calls a day; the budget is 1,000 (slow: ")


def test_a_job_that_is_off_takes_no_share_of_the_budget(world: World) -> None:
    a_run(world, Strategy.INVENTORY, 41)
    a_run(world, Strategy.DAILY, 20)
    save(world.deps, SHOP, "daily", "0 2 * * *", "UTC", enabled=False)
    assert cost(world).all_jobs_per_day == 984


def test_a_save_late_in_the_day_costs_the_same_as_an_early_one(world: World) -> None:
    a_run(world, Strategy.INVENTORY, 10)
    early = cost(world)
    world.clock.moment += timedelta(hours=11, minutes=3)
    assert cost(world) == early
