"""The clock's rounds: what is looked at now and then, each for itself."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.config import Settings
from app.domain import Cause, Change, ItemKey, Kind
from app.flows.deps import Deps
from app.flows.runs.request_run import STUCK_AFTER
from app.stores import owed
from app.stores.runs import runs, schedules
from app.stores.sql.engine import Database
from tests.asking import request_reconcile
from tests.fakes import SHOP, World
from tests.letters import all_letters, die
from tests.refusing import refusing
from workers.schedule import Rounds, rounds_of, tick_once

DAY = 86_400.0


def test_a_round_that_fails_does_not_keep_the_others_from_going(database: Database) -> None:
    gone: list[str] = []

    def fails(deps: Deps) -> None:
        gone.append("fails")
        raise RuntimeError("no")

    rounds = Rounds(World(database).deps, {"a": (0.0, fails), "b": (900.0, lambda deps: gone.append("b"))})
    rounds.go()
    rounds.go()
    assert gone == ["fails", "b", "fails"]


def test_the_clock_removes_what_the_settings_no_longer_keep(database: Database) -> None:
    world = World(database)
    first, last = die(world, "A"), die(world, "B")
    every, work = rounds_of(Settings(keep_letters_days=30))["retention"]
    world.clock.pass_(29 * DAY)
    work(world.deps)
    assert len(all_letters(database)) == 2
    world.clock.pass_(2 * DAY)
    work(world.deps)
    assert [letter.id for letter in all_letters(database)] == [last] != [first]
    assert every == 600


def test_letters_stay_until_a_person_removes_them_where_no_setting_says_otherwise(database: Database) -> None:
    world = World(database)
    die(world, "A")
    die(world, "B")
    world.clock.pass_(10_000 * DAY)
    rounds_of(Settings())["retention"][1](world.deps)
    with database.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM dead_letters")).scalar() == 2


@pytest.mark.parametrize(("seconds_ago", "status"), [(5.0, "running"), (STUCK_AFTER + 5, "failed")])
def test_only_a_clock_that_has_run_for_a_while_fails_a_run_without_a_worker(
    database: Database, seconds_ago: float, status: str
) -> None:
    world = World(database)
    run_id = request_reconcile(world.deps, SHOP)
    with database.begin() as conn:
        runs.start(conn, run_id, "token", 15, world.clock())
    world.clock.pass_(STUCK_AFTER + 20)
    tick_once(world.deps, world.clock() - timedelta(seconds=seconds_ago))
    with database.read() as conn:
        assert [run.status for run in runs.latest(conn, SHOP)] == [status]


def test_a_tick_that_fails_does_not_keep_the_sweep_from_going(database: Database) -> None:
    world = World(database)
    with database.begin() as conn:
        schedules.ensure(conn, SHOP, "poll", "*/5 * * * *", "UTC")
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, "A")], Cause.WEBHOOK, world.clock())
    tick_once(world.deps, world.clock())
    world.queue.enqueued.clear()
    world.clock.pass_(600)
    with refusing(database, "UPDATE", "schedules", "NEW.last_slot <> OLD.last_slot"):
        tick_once(world.deps, world.clock())
    assert world.queue.enqueued == [ItemKey(SHOP, Kind.PRODUCT, "A")]
