"""Schedules: slots in UTC, missed ones once, cron read as every cron reads it."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import BadConfiguration
from app.rules.runs.schedule import check, latest_slot, next_slots, slots_a_day

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)  # a Sunday


def days(cron: str, count: int) -> list[str]:
    return [f"{slot:%a %d}" for slot in next_slots(cron, "UTC", NOON, count)]


def test_a_slot_comes_due_at_its_minute() -> None:
    assert latest_slot("*/5 * * * *", "UTC", NOON, NOON + timedelta(minutes=5)) == NOON + timedelta(minutes=5)


def test_nothing_is_due_between_slots() -> None:
    assert latest_slot("*/5 * * * *", "UTC", NOON, NOON + timedelta(minutes=4, seconds=59)) is None


def test_of_many_missed_slots_only_the_last_is_due() -> None:
    assert latest_slot("0 * * * *", "UTC", NOON, NOON + timedelta(hours=7)) == NOON + timedelta(hours=7)


@pytest.mark.parametrize(
    ("cron", "later", "slot"),
    [
        ("*/5 * * * *", timedelta(days=400), datetime(2027, 4, 5, 12, tzinfo=UTC)),
        ("0 3 * * *", timedelta(hours=20), datetime(2026, 3, 2, 3, tzinfo=UTC)),
        ("0 3 9 * *", timedelta(days=30), datetime(2026, 3, 9, 3, tzinfo=UTC)),
        ("0 3 9 4 *", timedelta(days=300), datetime(2026, 4, 9, 3, tzinfo=UTC)),
        ("0 3 29 2 *", timedelta(days=1300), datetime(2028, 2, 29, 3, tzinfo=UTC)),
    ],
)
def test_the_last_slot_is_found_however_rare_slots_are(cron: str, later: timedelta, slot: datetime) -> None:
    assert latest_slot(cron, "UTC", NOON, NOON + later) == slot


def test_a_slot_before_the_last_one_is_not_due_again() -> None:
    assert latest_slot("0 * * * *", "UTC", NOON, NOON + timedelta(minutes=59)) is None


def test_after_years_of_standing_still_the_clock_finds_its_slot_at_once() -> None:
    began = time.perf_counter()
    latest_slot("* * * * *", "Europe/Berlin", NOON, NOON + timedelta(days=3000))
    assert time.perf_counter() - began < 5  # walking from slot to slot would take minutes


@pytest.mark.parametrize(
    ("cron", "zone", "reason"),
    [
        ("61 * * * *", "UTC", "minute: .*61"),
        ("0 24 * * *", "UTC", "hour: .*24"),
        ("0 0 0 * *", "UTC", "day: .*0"),
        ("0 0 * 13 *", "UTC", "month: .*13"),
        ("0 0 * feb-jun/2 *", "UTC", "month: a step needs numbers"),
        ("0 0 * * 8", "UTC", "day_of_week: '8'"),
        ("0 0 * * someday", "UTC", "day_of_week: 'someday'"),
        ("0 0 * * */0", "UTC", "day_of_week: a step of 0"),
        ("*/0 * * * *", "UTC", "minute"),
        ("* * * *", "UTC", "4 fields, not 5"),
        ("", "UTC", "0 fields, not 5"),
        ("0 3 * * *", "Mars/Olympus", "no time zone 'Mars/Olympus'"),
        ("0 3 * * *", "Europe", "no time zone 'Europe'"),
        ("0 3 * * *", "../UTC", "no time zone"),
        ("0 3 * * *", "", "no time zone"),
    ],
)
def test_a_bad_schedule_is_refused_with_the_reason_and_an_example(cron: str, zone: str, reason: str) -> None:
    with pytest.raises(BadConfiguration, match=f"{reason}.*right would be"):
        latest_slot(cron, zone, NOON, NOON)


def test_a_day_that_never_comes_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="no such day"):
        check("0 3 31 2 *", "UTC", NOON)


def test_a_schedule_that_never_comes_has_no_slot() -> None:
    assert next_slots("0 3 31 2 *", "UTC", NOON, 5) == []


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 3 * * 0", ["Sun 08", "Sun 15"]),
        ("0 3 * * 7", ["Sun 08", "Sun 15"]),
        ("0 3 * * 1", ["Mon 02", "Mon 09"]),
        ("0 3 * * FRI", ["Fri 06", "Fri 13"]),
        ("0 3 * * 1-6", ["Mon 02", "Tue 03", "Wed 04", "Thu 05", "Fri 06", "Sat 07", "Mon 09"]),
        ("0 3 * * 0-2", ["Mon 02", "Tue 03", "Sun 08"]),
        ("0 3 * * fri-sun", ["Fri 06", "Sat 07", "Sun 08", "Fri 13"]),
        ("0 3 * * 5-7", ["Fri 06", "Sat 07", "Sun 08", "Fri 13"]),
        ("0 3 * * sat-mon", ["Mon 02", "Sat 07", "Sun 08", "Mon 09"]),
        ("0 3 * * */2", ["Tue 03", "Thu 05", "Sat 07", "Sun 08", "Tue 10"]),
        ("0 3 * * mon-fri/2", ["Mon 02", "Wed 04", "Fri 06", "Mon 09"]),
        ("0  3 *  * 1,3 ", ["Mon 02", "Wed 04", "Mon 09"]),
        ("0 3 * * 0-7", ["Mon 02", "Tue 03", "Wed 04"]),
    ],
)
def test_weekdays_are_read_as_cron_reads_them(cron: str, expected: list[str]) -> None:
    assert days(cron, len(expected)) == expected


def test_of_a_day_of_the_month_and_a_weekday_either_is_enough() -> None:
    assert days("0 3 4 * 1", 4) == ["Mon 02", "Wed 04", "Mon 09", "Mon 16"]


@pytest.mark.parametrize(
    ("cron", "often"),
    [("*/5 * * * *", 288), ("7 * * * *", 24), ("0 3 * * 1-6", 6 / 7), ("0 3 * * 0", 1 / 7), ("0 3 29 2 *", 1 / 1461)],
)
def test_how_often_a_schedule_fires_is_known(cron: str, often: float) -> None:
    assert slots_a_day(cron, "Europe/Berlin", NOON) == pytest.approx(often, rel=0.01)
