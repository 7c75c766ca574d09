"""Which orders a business day has: by the clock of their location, at few calls, on days of any length."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.square.client import Places
from app.sources.square.order_days import _by_midnight
from tests.sources.square.square_account import Account, Simulate

ZONES = ["Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Havana", "Australia/Lord_Howe", "Asia/Beirut"]
YEARS = (datetime(2015, 1, 1), datetime(2035, 1, 1))  # noqa: DTZ001 - hypothesis wants them so


def ids_of_days(account: Account, first: date, last: date) -> set[tuple[date, str]]:
    return set(account.source.order_ids(first, last))


def test_an_order_of_the_late_evening_belongs_to_its_locations_day(simulate: Simulate) -> None:
    account = simulate(orders=1, locations=1)
    order = next(iter(account.world.orders.by_id.values()))
    zone = ZoneInfo(account.world.places.locations[0].timezone)
    order.created = int(datetime(2026, 3, 3, 23, 59, 59, 999_000, tzinfo=zone).timestamp() * 1000)
    assert ids_of_days(account, date(2026, 3, 1), date(2026, 3, 9)) == {(date(2026, 3, 3), order.id)}


def test_an_order_of_midnight_belongs_to_one_day_only(simulate: Simulate) -> None:
    account = simulate(orders=1, locations=1)
    order = next(iter(account.world.orders.by_id.values()))
    zone = ZoneInfo(account.world.places.locations[0].timezone)
    order.created = int(datetime(2026, 3, 4, tzinfo=zone).timestamp() * 1000)
    assert list(account.source.order_ids(date(2026, 3, 1), date(2026, 3, 9))) == [(date(2026, 3, 4), order.id)]


def test_locations_with_the_same_midnight_are_asked_for_together(simulate: Simulate) -> None:
    account = simulate(locations=3 * 11)  # in three zones
    ids_of_days(account, date(2026, 3, 3), date(2026, 3, 4))
    assert account.status()["requests"]["/v2/orders/search"] == 2 * 3 * 2


def test_a_day_of_many_orders_is_read_to_its_end(simulate: Simulate) -> None:
    account = simulate(orders=50, locations=1, short_pages=1.0, empty_pages=0.5)
    today = datetime.now(UTC).date()
    ids = [id_ for _, id_ in account.source.order_ids(today - timedelta(days=40), today)]
    assert sorted(ids) == sorted(account.world.orders.by_id)


def test_years_without_orders_cost_few_calls(simulate: Simulate) -> None:
    account = simulate(orders=1, locations=1)
    order = next(iter(account.world.orders.by_id.values()))
    found_ids = {id_ for _, id_ in ids_of_days(account, date(2000, 1, 1), date(2027, 12, 31))}
    assert found_ids == {order.id}
    assert account.status()["requests"]["/v2/orders/search"] < 60


def test_days_in_the_wrong_order_have_no_orders(simulate: Simulate) -> None:
    assert not ids_of_days(simulate(), date(2026, 3, 4), date(2026, 3, 3))


@pytest.mark.parametrize("name", ["Mars/Olympus", "America", "../zone", "\0"])
def test_the_days_of_a_location_in_an_unknown_time_zone_are_those_of_utc(simulate: Simulate, name: str) -> None:
    account = simulate(locations=1, orders=30)
    account.world.places.locations[0].timezone = "UTC"
    wanted = list(ids_of_days(account, date(2000, 1, 1), date(2027, 12, 31)))
    account.world.places.locations[0].timezone = name
    assert list(ids_of_days(account, date(2000, 1, 1), date(2027, 12, 31))) == wanted


@given(st.sampled_from(ZONES), st.datetimes(*YEARS))
def test_every_moment_belongs_to_the_day_the_clock_on_the_wall_shows(zone: str, moment: datetime) -> None:
    """In any year, at the changes of daylight saving, and where these fall on midnight."""
    at = moment.replace(tzinfo=UTC)
    day = at.astimezone(ZoneInfo(zone)).date()
    places = Places([{"id": "L", "timezone": zone}], at)
    ((start, end),) = _by_midnight(places, day, day)
    assert start <= at <= end
