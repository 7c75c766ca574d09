"""A clock that starts: every connection gets its schedules, and what was never read is owed."""

from dataclasses import replace

from app.domain import ALL_ITEMS, ItemKey, Kind
from app.flows.upkeep.tick import first_load, plan, tick
from app.rules.runs.jobs import JOBS
from app.stores import owed
from app.stores.catalog import watermarks
from app.stores.runs import runs, schedules
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World
from tests.stores.racing import at_once

EVERYTHING = [ItemKey(SHOP, Kind.PRODUCT, ALL_ITEMS), ItemKey(SHOP, Kind.STOCK, ALL_ITEMS)]


def planned(world: World) -> dict[str, str]:
    plan(world.deps, poll="*/5 * * * *", reconcile="0 3 * * 1-6", timezone="UTC")
    with world.database.read() as conn:
        return {row.job: row.cron for row in schedules.all_(conn)}


def test_every_connection_is_given_every_job_with_a_time(database: Database) -> None:
    assert planned(World(database)) == {job.name: job.cron for job in JOBS.values() if job.cron}


def test_a_schedule_of_before_is_renamed_with_its_edits(database: Database) -> None:
    world = World(database)
    with database.begin() as conn:
        schedules.put(conn, SHOP, "reconcile", "0 5 * * *", "UTC")
    crons = planned(world)
    assert (crons["full"], crons.get("reconcile")) == ("0 5 * * *", None)


def test_a_job_planned_now_does_not_fire_for_the_past(database: Database) -> None:
    world = World(database)
    planned(world)
    assert (tick(world.deps), tick(world.deps)) == ([], [])


def test_a_schedule_edited_by_a_person_survives_a_restart(database: Database) -> None:
    world = World(database)
    with database.begin() as conn:
        schedules.put(conn, SHOP, "poll", "*/7 * * * *", "UTC")
    assert planned(world)["poll"] == "*/7 * * * *"


# --- first loads ---


def test_a_connection_never_read_gets_a_full_run(database: Database) -> None:
    world = World(database)
    first_load(world.deps)
    with database.read() as conn:
        run = runs.active(conn, SHOP)
    assert run is not None
    assert (run.strategy, run.cause, world.queue.runs) == ("full", "first start", [run.id])


def test_two_clocks_that_start_at_once_open_one_run(database: Database) -> None:
    worlds = [World(database), World(database)]
    at_once(2, lambda number: first_load(worlds[number].deps))
    assert sum(len(world.queue.runs) for world in worlds) == 1
    assert [world.queue.enqueued for world in worlds] == [[], []]


def test_a_first_run_that_was_cancelled_is_not_started_again_but_its_kinds_are_pulled(database: Database) -> None:
    world = World(database)
    first_load(world.deps)
    with database.begin() as conn:
        runs.cancel(conn, world.queue.runs[0], world.clock())
    first_load(world.deps)
    assert (len(world.queue.runs), world.queue.enqueued) == (1, EVERYTHING)


def test_a_first_load_owes_only_the_kinds_never_read(database: Database) -> None:
    world = World(database)
    with database.begin() as conn:
        watermarks.put(conn, SHOP, Kind.PRODUCT, "1", world.clock())
    first_load(world.deps)
    assert world.queue.enqueued == EVERYTHING[1:]


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
    with database.read() as conn:
        assert all(runs.active(conn, name) for name in sources)
