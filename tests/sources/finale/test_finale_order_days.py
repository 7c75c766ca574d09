"""Which orders a business day has, also in accounts with more orders than a filter sees."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from app.errors import Unmappable
from app.sources.finale.columnar import Band
from app.sources.finale.orders import days
from tests.sources.finale.finale_account import Account

Simulate = Callable[..., Account]
TODAY = datetime.now(UTC).date()
LATELY = TODAY - timedelta(days=20)


def truth(account: Account, first: date, last: date) -> list[tuple[date, str]]:
    rows = [(date.fromisoformat(row["ordered_on"]), row["external_id"]) for row in account.truth("order")]
    return sorted(row for row in rows if first <= row[0] <= last)


def test_a_short_stretch_of_days_costs_two_reads(simulate: Simulate) -> None:
    account = simulate()
    list(account.source().order_ids(LATELY, TODAY))
    assert account.reads("order") == 2


def test_many_years_cost_no_more(simulate: Simulate) -> None:
    account = simulate(orders=20)
    assert len(list(account.source().order_ids(date(2000, 1, 1), TODAY))) == 20
    assert account.reads("order") == 2


def test_a_filter_that_overlooks_the_newest_orders_is_noticed(simulate: Simulate) -> None:
    account = simulate(orders=120, row_cap=100, cap_unfiltered=True)
    ids = sorted(account.source(row_cap="100").order_ids(LATELY, TODAY))
    assert ids == truth(account, LATELY, TODAY)
    assert len(ids) > 20


def test_a_filter_that_is_ignored_does_no_harm(simulate: Simulate) -> None:
    account = simulate(orders=30)
    before = truth(account, LATELY, TODAY)
    account.faults(ignore_filter=True)
    assert sorted(account.source().order_ids(LATELY, TODAY)) == before


def test_an_order_dated_otherwise_than_it_was_made_is_on_its_date(simulate: Simulate) -> None:
    """Its date is what counts, not when it was entered or last touched."""
    account = simulate(orders=1)
    (order,) = account.world.orders.values()
    made = int(datetime(2026, 2, 3, 9, tzinfo=UTC).timestamp())
    account.world.put_order(msgspec.structs.replace(order, created=made))
    assert list(account.source().order_ids(date(2026, 1, 1), date(2026, 12, 31))) == [(date(2026, 2, 3), order.id)]


def test_a_date_that_is_none_is_reported() -> None:
    columns = {"orderUrl": b'["/demo/api/order/1"]', "orderDate": b'["soon"]'}
    with pytest.raises(Unmappable, match="soon"):
        list(days(Band(1, columns)))


def test_an_order_without_a_date_belongs_to_no_day() -> None:
    assert list(days(Band(1, {"orderUrl": b'["/demo/api/order/1"]'}))) == [("1", None)]
