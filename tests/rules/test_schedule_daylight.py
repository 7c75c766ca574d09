"""Changes of the clocks: a daily job fires once on each local day, an hourly one keeps its hours."""

import itertools
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.rules.runs.schedule import latest_slot, next_slots

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu")
WHOLE_HOURS = tuple(zone for zone in ZONES if zone != "Australia/Lord_Howe")  # there it is half an hour
HOUR = timedelta(hours=1)


def local(slots: list[datetime], zone: str) -> list[str]:
    return [f"{slot.astimezone(ZoneInfo(zone)):%d. %H:%M %z}" for slot in slots]


def a_year(cron: str, zone: str, year: int) -> list[datetime]:
    """The slots of a daily job in a local year."""
    begin = datetime(year, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(seconds=1)
    return [slot for slot in next_slots(cron, zone, begin, 367) if slot.astimezone(ZoneInfo(zone)).year == year]


def around_changes(cron: str, zone: str, year: int) -> list[list[datetime]]:
    """Sixty slots around each change of the clocks in a year (in Kathmandu there is none: at its beginning)."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + HOUR * hour for hour in range(366 * 24)]
    changes = [hour for hour in hours if _offset_before(hour, zone) != _offset_before(hour + HOUR, zone)]
    return [next_slots(cron, zone, change - 6 * HOUR, 60) for change in changes or hours[:1]]


@pytest.mark.parametrize(
    ("zone", "cron", "before", "expected"),
    [
        # There is no such time: the first moment after the gap.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12", ["29. 03:00 +0200", "30. 02:30 +0200"]),
        ("America/New_York", "0 2 * * *", "2026-03-07T12", ["08. 03:00 -0400", "09. 02:00 -0400"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00", ["04. 02:30 +1100", "05. 02:15 +1100"]),
        ("Africa/Cairo", "0 0 * * *", "2026-04-23T12", ["24. 01:00 +0300", "25. 00:00 +0300"]),
        ("Africa/Cairo", "30 0 * * *", "2026-04-23T12", ["24. 01:00 +0300", "25. 00:30 +0300"]),
        ("America/Nuuk", "30 23 * * *", "2026-03-28T12", ["29. 00:00 -0100", "29. 23:30 -0100"]),
        # There are two: the first.
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12", ["25. 02:30 +0200", "26. 02:30 +0100"]),
        ("America/New_York", "30 1 * * *", "2026-10-31T12", ["01. 01:30 -0400", "02. 01:30 -0500"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00", ["05. 01:45 +1100", "06. 01:45 +1030"]),
        ("Africa/Cairo", "30 23 * * *", "2026-10-29T12", ["29. 23:30 +0300", "30. 23:30 +0200"]),
        # The edges of a gap and of a repeated hour are ordinary times.
        ("Europe/Berlin", "0 3 * * *", "2026-03-28T12", ["29. 03:00 +0200", "30. 03:00 +0200"]),
        ("Europe/Berlin", "59 1 * * *", "2026-03-28T12", ["29. 01:59 +0100", "30. 01:59 +0200"]),
        ("Europe/Berlin", "0 3 * * *", "2026-10-24T12", ["25. 03:00 +0100", "26. 03:00 +0100"]),
        # Several times in one gap are one firing; each time of a repeated hour comes once.
        ("Europe/Berlin", "*/20 2,3 * * *", "2026-03-28T12", ["29. 03:00 +0200", "29. 03:20 +0200"]),
        ("Europe/Berlin", "*/30 2 * * *", "2026-10-24T12", ["25. 02:00 +0200", "25. 02:30 +0200", "26. 02:00 +0100"]),
        # Every six hours, of which midnight is missing.
        ("Africa/Cairo", "0 */6 * * *", "2026-04-23T16", ["24. 01:00 +0300", "24. 06:00 +0300", "24. 12:00 +0300"]),
        # An hourly job has no time of its own on the clock: it follows the hours.
        ("Europe/Berlin", "7 * * * *", "2026-03-29T00:30", ["29. 03:07 +0200", "29. 04:07 +0200"]),
        ("Europe/Berlin", "7 * * * *", "2026-10-25T00:00", ["25. 02:07 +0200", "25. 02:07 +0100", "25. 03:07 +0100"]),
        ("Australia/Lord_Howe", "*/15 * * * *", "2026-10-03T15:16", ["04. 02:30 +1100", "04. 02:45 +1100"]),
    ],
)
def test_a_change_of_the_clocks_neither_skips_nor_doubles(
    zone: str, cron: str, before: str, expected: list[str]
) -> None:
    after = datetime.fromisoformat(before).replace(tzinfo=UTC)
    assert local(next_slots(cron, zone, after, len(expected)), zone) == expected


@settings(deadline=None, max_examples=40)
@given(zone=st.sampled_from(ZONES), hour=st.integers(0, 23), minute=st.integers(0, 59), year=st.integers(2024, 2036))
@example(zone="Europe/Berlin", hour=2, minute=30, year=2026)
@example(zone="America/New_York", hour=1, minute=30, year=2026)
@example(zone="Australia/Lord_Howe", hour=1, minute=45, year=2026)
@example(zone="Africa/Cairo", hour=0, minute=30, year=2026)
@example(zone="Africa/Cairo", hour=23, minute=30, year=2026)
def test_a_daily_job_fires_once_on_each_local_day(zone: str, hour: int, minute: int, year: int) -> None:
    fired = Counter(_local(slot, zone).date() for slot in a_year(f"{minute} {hour} * * *", zone, year))
    assert fired == {date(year, 1, 1) + timedelta(days=day): 1 for day in range(366 if year % 4 == 0 else 365)}


@settings(deadline=None, max_examples=40)
@given(zone=st.sampled_from(ZONES), hour=st.integers(0, 23), minute=st.integers(0, 59), year=st.integers(2024, 2036))
@example(zone="Europe/Berlin", hour=2, minute=30, year=2026)
def test_a_daily_job_misses_its_time_only_where_a_gap_ends(zone: str, hour: int, minute: int, year: int) -> None:
    slots = a_year(f"{minute} {hour} * * *", zone, year)
    missed = [slot for slot in slots if f"{_local(slot, zone):%H:%M}" != f"{hour:02}:{minute:02}"]
    assert all(_offset_before(slot, zone) != _local(slot, zone).utcoffset() for slot in missed)


@settings(deadline=None, max_examples=40)
@given(zone=st.sampled_from(WHOLE_HOURS), minute=st.integers(0, 59), year=st.integers(2024, 2036))
def test_an_hourly_job_fires_every_hour_through_the_changes(zone: str, minute: int, year: int) -> None:
    for slots in around_changes(f"{minute} * * * *", zone, year):
        assert {later - earlier for earlier, later in itertools.pairwise(slots)} == {HOUR}


@settings(deadline=None, max_examples=40)
@given(minute=st.integers(0, 59), year=st.integers(2024, 2036))
def test_where_clocks_move_by_half_an_hour_an_hourly_job_keeps_its_minute(minute: int, year: int) -> None:
    for slots in around_changes(f"{minute} * * * *", "Australia/Lord_Howe", year):
        assert {_local(slot, "Australia/Lord_Howe").minute for slot in slots} == {minute}
        odd = [later - earlier for earlier, later in itertools.pairwise(slots) if later - earlier != HOUR]
        assert odd in ([HOUR / 2], [HOUR * 1.5])


@pytest.mark.parametrize("year", [2026, 2031])
@pytest.mark.parametrize("zone", ZONES)
def test_a_job_of_every_quarter_keeps_its_rhythm_through_the_changes(zone: str, year: int) -> None:
    for slots in around_changes("*/15 * * * *", zone, year):
        assert {later - earlier for earlier, later in itertools.pairwise(slots)} == {timedelta(minutes=15)}


@settings(deadline=None, max_examples=60)
@given(
    zone=st.sampled_from(ZONES),
    cron=st.sampled_from(["30 2 * * *", "30 0 * * *", "7 * * * *", "*/15 * * * *", "0 3 * * 0", "0 */6 * * *"]),
    minutes=st.integers(0, 366 * 24 * 60),
    span=st.integers(1, 3 * 24 * 60),
)
def test_the_latest_slot_is_the_last_of_the_slots_to_come(zone: str, cron: str, minutes: int, span: int) -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    now = after + timedelta(minutes=span)
    between = [slot for slot in next_slots(cron, zone, after, span // 15 + 2) if slot <= now]
    assert latest_slot(cron, zone, after, now) == (between[-1] if between else None)


def _local(slot: datetime, zone: str) -> datetime:
    return slot.astimezone(ZoneInfo(zone))


def _offset_before(moment: datetime, zone: str) -> timedelta | None:
    return _local(moment - timedelta(seconds=1), zone).utcoffset()
