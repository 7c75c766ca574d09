"""Three clocks on one database over a simulated year, with both changes of the clocks: each slot fires once."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from zoneinfo import ZoneInfo

import pytest

from app.flows.deps import Deps
from app.flows.upkeep.tick import tick
from app.rules.runs.schedule import next_slots
from app.stores.runs import runs, schedules
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database, open_database
from tests.fakes import FakeSource, World

BERLIN, NEW_YORK, CAIRO, LORD_HOWE = "Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe"
PLANNED = {
    ("b", "full"): ("30 2 * * *", BERLIN),  # missing on 29 March, twice on 25 October
    ("b", "deep"): ("30 2 * * 0", BERLIN),  # on Sundays instead of full
    ("b", "poll"): ("0 4 * * *", "UTC"),
    ("n", "daily"): ("30 1 * * *", NEW_YORK),  # twice on 1 November
    ("n", "active"): ("0 2 * * *", NEW_YORK),  # missing on 8 March
    ("c", "full"): ("0 0 * * *", CAIRO),  # missing on 24 April
    ("l", "full"): ("15 2 * * *", LORD_HOWE),  # missing on 4 October
}
BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
END = datetime(2027, 1, 1, 12, tzinfo=UTC)
DAYS = {date(2026, 1, 2) + timedelta(days=day) for day in range(365)}


@pytest.fixture
def world(database: Database) -> World:
    """Four connections whose schedules have begun to count; clocks get a pool of their own each."""
    world = World(database)
    world.clock.moment = BEGIN
    world.deps = replace(world.deps, sources={name: FakeSource() for name in "bncl"})
    with database.begin() as conn:
        for (connection, job), (cron, zone) in PLANNED.items():
            schedules.ensure(conn, connection, job, cron, zone)
    tick(world.deps)
    return world


def moments() -> list[datetime]:
    """Every moment at which something may happen, and one between all of them and the next."""
    slots = {slot for cron, zone in PLANNED.values() for slot in next_slots(cron, zone, BEGIN, 370) if slot <= END}
    return sorted(slots | {END})


def run_clocks(world: World, through: Sequence[datetime]) -> Counter[tuple[str, str]]:
    """Three clocks that tick together at each moment; runs end between the moments. Returns how often each fired."""
    together = Barrier(3)

    def clock(deps: Deps) -> list[tuple[str, str]]:
        fired = []
        for moment in through:
            if together.wait(60) == 0:
                end_runs(world)
                world.clock.moment = moment
            together.wait(60)
            fired.extend(tick(deps))
        return fired

    with ExitStack() as opened, ThreadPoolExecutor(3) as pool:
        databases = [open_database(world.database.url, pool=1) for _ in range(3)]
        for database in databases:
            opened.callback(database.close)
        clocks = [replace(world.deps, database=database) for database in databases]
        return Counter(one for fired in pool.map(clock, clocks) for one in fired)


def end_runs(world: World) -> None:
    with world.database.begin() as conn:
        conn.exec_driver_sql("UPDATE runs SET status = 'completed' WHERE status = 'idle'")


def test_three_clocks_fire_each_slot_of_a_year_once(world: World) -> None:
    fired = run_clocks(world, moments())
    assert fired == {
        ("b", "full"): 365 - 52,
        ("b", "deep"): 52,
        ("b", "poll"): 365,
        ("n", "daily"): 365,
        ("n", "active"): 365,
        ("c", "full"): 365,
        ("l", "full"): 365,
    }
    with world.database.read() as conn:
        opened = runs.latest(conn, limit=9999)
    for connection, strategy, zone in (
        ("b", "full", BERLIN),
        ("n", "daily", NEW_YORK),
        ("n", "active", NEW_YORK),
        ("c", "full", CAIRO),
        ("l", "full", LORD_HOWE),
    ):
        mine = [run for run in opened if (run.connection, run.strategy) == (connection, strategy)]
        days = Counter(day_of(run, zone) for run in mine)
        assert set(days.values()) == {1}
        assert len(days.keys() & DAYS) >= 364  # a zone's day may begin before or after ours
    assert sorted(world.queue.runs) == sorted(run.id for run in opened)


def day_of(run: Run, zone: str) -> date:
    assert run.slot is not None
    return run.slot.astimezone(ZoneInfo(zone)).date()
