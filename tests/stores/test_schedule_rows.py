"""Schedules as rows: a slot goes to one of many clocks, and what people edited stays."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from app.stores.runs import runs, schedules
from app.stores.sql.engine import Database
from tests.stores.racing import at_once

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLOT = datetime(2026, 3, 1, 2, tzinfo=UTC)


def _open(conn: Connection) -> int:
    id = runs.open_run(conn, connection="shop", strategy="full", cause="schedule", slot=SLOT, now=NOW)
    assert id is not None
    return id


def _claim(database: Database, slot: datetime, previous: datetime | None) -> bool:
    with database.begin() as conn:
        return schedules.claim_slot(conn, "shop", "nightly", slot, previous)


def _ensure(database: Database) -> None:
    with database.begin() as conn:
        schedules.ensure(conn, "shop", "nightly", "0 2 * * *", "UTC")


def _schedule(database: Database) -> schedules.Schedule:
    with database.read() as conn:
        (schedule,) = schedules.all_(conn)
    return schedule


def test_a_schedule_is_made_once_and_then_left_to_people(database: Database) -> None:
    with database.begin() as conn:
        schedules.put(conn, "shop", "nightly", "0 5 * * *", "Europe/Berlin", False)
    _ensure(database)
    schedule = _schedule(database)
    assert (schedule.cron, schedule.timezone, schedule.enabled) == ("0 5 * * *", "Europe/Berlin", False)


def test_of_eight_clocks_one_claims_the_first_slot(database: Database) -> None:
    _ensure(database)
    assert sum(at_once(8, lambda number: _claim(database, SLOT, None))) == 1


def test_of_two_clocks_one_claims_the_next_slot(database: Database) -> None:
    _ensure(database)
    _claim(database, SLOT, None)
    assert sum(at_once(2, lambda number: _claim(database, SLOT + timedelta(days=1), SLOT))) == 1


def test_a_claimed_slot_is_remembered(database: Database) -> None:
    _ensure(database)
    _claim(database, SLOT, None)
    assert _schedule(database).last_slot == SLOT


def test_an_edit_keeps_the_slot_that_ran_last(database: Database) -> None:
    _ensure(database)
    _claim(database, SLOT, None)
    with database.begin() as conn:
        schedules.put(conn, "shop", "nightly", "0 5 * * *", "UTC")
    assert _schedule(database).last_slot == SLOT


def test_an_edit_may_say_from_when_slots_count(database: Database) -> None:
    _ensure(database)
    _claim(database, SLOT, None)
    with database.begin() as conn:
        schedules.put(conn, "shop", "nightly", "0 5 * * *", "UTC", since=NOW)
    assert _schedule(database).last_slot == NOW


def test_a_clock_that_read_a_schedule_before_its_edit_claims_nothing(database: Database) -> None:
    _ensure(database)
    _claim(database, SLOT, None)
    with database.begin() as conn:
        schedules.put(conn, "shop", "nightly", "0 5 * * *", "UTC", since=NOW)
    assert not _claim(database, SLOT + timedelta(days=1), SLOT)


def test_a_renamed_schedule_keeps_its_edits_and_its_slot(database: Database) -> None:
    _ensure(database)
    _claim(database, SLOT, None)
    before = _schedule(database)
    with database.begin() as conn:
        schedules.rename(conn, "shop", "nightly", "full")
    assert _schedule(database) == before._replace(job="full")


def test_a_schedule_is_not_renamed_over_another(database: Database) -> None:
    _ensure(database)
    with database.begin() as conn:
        schedules.put(conn, "shop", "full", "0 5 * * *", "UTC")
        schedules.rename(conn, "shop", "nightly", "full")
        assert [(row.job, row.cron) for row in schedules.all_(conn)] == [
            ("full", "0 5 * * *"),
            ("nightly", "0 2 * * *"),
        ]


def test_the_schedules_of_one_connection_can_be_asked_for(database: Database) -> None:
    _ensure(database)
    with database.read() as conn:
        assert (len(schedules.all_(conn, "shop")), schedules.all_(conn, "other")) == (1, [])


def test_a_connection_is_busy_while_a_run_of_it_is_active(database: Database) -> None:
    with database.begin() as conn:
        id = _open(conn)
        before = schedules.busy(conn)
        runs.cancel(conn, id, NOW)
        assert (before, schedules.busy(conn)) == ({"shop"}, set())


def test_a_run_is_known_by_its_strategy_and_slot(database: Database) -> None:
    with database.begin() as conn:
        _open(conn)
        known = [
            schedules.has_run(conn, "shop", *asked) for asked in (("full", SLOT), ("full", NOW), ("daily", SLOT))
        ]
    assert known == [True, False, False]
