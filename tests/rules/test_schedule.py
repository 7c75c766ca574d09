"""Schedules: slots in UTC, missed ones once, daylight saving neither skipped nor doubled."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import BadConfiguration
from app.rules.schedule import latest_slot, next_slots

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_a_slot_comes_due_at_its_minute() -> None:
    assert latest_slot("*/5 * * * *", "UTC", NOON, NOON + timedelta(minutes=5)) == NOON + timedelta(minutes=5)


def test_nothing_is_due_between_slots() -> None:
    assert latest_slot("*/5 * * * *", "UTC", NOON, NOON + timedelta(minutes=4, seconds=59)) is None


def test_of_many_missed_slots_only_the_last_is_due() -> None:
    assert latest_slot("0 * * * *", "UTC", NOON, NOON + timedelta(hours=7)) == NOON + timedelta(hours=7)


@pytest.mark.parametrize("day", [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)])
def test_a_daily_job_fires_once_a_day_over_a_daylight_saving_change(day: datetime) -> None:
    slots = next_slots("30 2 * * *", "Europe/Berlin", day + timedelta(hours=12), 3)
    assert [later - earlier < timedelta(hours=26) for earlier, later in itertools.pairwise(slots)] == [
        True,
        True,
    ]


@pytest.mark.parametrize(("cron", "zone"), [("61 * * * *", "UTC"), ("* * * *", "UTC"), ("0 3 * * *", "Mars/Olympus")])
def test_a_bad_schedule_is_refused_with_an_example(cron: str, zone: str) -> None:
    with pytest.raises(BadConfiguration, match="right would be"):
        latest_slot(cron, zone, NOON, NOON)


@pytest.mark.parametrize(
    ("cron", "weekday"),
    [("0 3 * * 0", "Sunday"), ("0 3 * * 7", "Sunday"), ("0 3 * * 1", "Monday"), ("0 3 * * fri", "Friday")],
)
def test_weekdays_count_from_sunday_as_cron_does(cron: str, weekday: str) -> None:
    (slot,) = next_slots(cron, "UTC", NOON, 1)
    assert f"{slot:%A}" == weekday
