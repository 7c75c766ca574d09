"""Bulk reads of Finale: month by month within what the vendor accepts, resumed after any window, cheap from the first."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Kind, Page, key_of
from app.sources.base import ResumeLost
from app.sources.finale.columnar import Band
from app.sources.finale.windows import WIDEST, Walk, Window
from tests.sources.finale.finale_account import Account

Simulate = Callable[..., Account]
NOW = datetime(2026, 6, 10, 12, 0, tzinfo=UTC)
SMALL = {"first_day": "2025-06-01", "last_day": "2025-12-31"}


def names_of(pages: list[Page]) -> set[str]:
    named = {change.external_id for page in pages for change in page.changes}
    return named | {key_of(record)[0] for page in pages for record in page.records}


def day(month: int, number: int = 1) -> datetime:
    return datetime(2025, month, number, tzinfo=UTC)


def edited(account: Account, first: datetime, last: datetime) -> set[str]:
    span = (first.timestamp(), last.timestamp())
    return {product.tail for product in account.world.products.values() if span[0] <= product.updated <= span[1]}


def test_a_window_is_read_month_by_month_and_says_so(simulate: Simulate) -> None:
    pages = list(simulate(**SMALL).source().window(Kind.PRODUCT, day(9, 10), day(12, 5)))
    assert list(dict.fromkeys(page.label for page in pages)) == [
        f"Products updated 2025-{month}" for month in ("09", "10", "11", "12")
    ]


def test_a_window_shows_what_was_updated_in_it_and_nothing_else(simulate: Simulate) -> None:
    account = simulate(**SMALL)
    pages = list(account.source().window(Kind.PRODUCT, day(9, 10), day(12, 5)))
    assert names_of(pages) == edited(account, day(9, 10), day(12, 5))
    assert names_of(pages)


def test_a_record_of_the_windows_very_last_second_is_in_it(simulate: Simulate) -> None:
    account = simulate(**SMALL)
    product = account.world.by_update()[100]
    at = datetime.fromtimestamp(product.updated, UTC)
    assert product.tail in names_of(list(account.source().window(Kind.PRODUCT, at, at)))


def test_a_year_of_months_costs_nineteen_reads_however_it_ends(simulate: Simulate) -> None:
    account = simulate(**SMALL)
    end = datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    list(account.source().window(Kind.PRODUCT, day(1), end))
    assert account.reads("product") == 12 + 7  # a month of 31 days is wider than the vendor accepts


def test_a_window_from_the_first_record_on_is_one_read(simulate: Simulate) -> None:
    account = simulate()
    for kind, collection in ((Kind.PRODUCT, "product"), (Kind.ORDER, "order")):
        list(account.source().window(kind, None, day(9)))
        assert account.reads(collection) == 1


def test_a_window_from_the_first_record_on_ends_where_it_should(simulate: Simulate) -> None:
    account = simulate(**SMALL)
    named = names_of(list(account.source().window(Kind.PRODUCT, None, day(10))))
    assert named == edited(account, day(1), day(10))


def test_nothing_is_asked_for_before_the_account_began(simulate: Simulate) -> None:
    account = simulate(**SMALL)
    list(account.source(history_start="2025-12-01").window(Kind.PRODUCT, day(1), day(12, 20)))
    assert account.reads("product") == 1


def test_a_window_from_the_first_record_on_is_completed_behind_the_cap(simulate: Simulate) -> None:
    account = simulate(products=200, row_cap=50, cap_unfiltered=True, **SMALL)
    source = account.source(row_cap="50", history_start="2025-05-01")
    assert names_of(list(source.window(Kind.PRODUCT, None, None))) == edited(account, day(1), NOW)


def test_every_window_of_a_read_can_be_resumed_after(simulate: Simulate) -> None:
    account = simulate(**SMALL)
    source = account.source()
    pages = list(source.window(Kind.PRODUCT, day(8), day(12, 5)))
    for number, page in enumerate(pages):
        assert page.resume is not None
        resumed = list(source.window(Kind.PRODUCT, day(8), day(12, 5), page.resume))
        assert [one.label for one in resumed] == [one.label for one in pages[number + 1 :]]
        assert names_of(pages[: number + 1] + resumed) == names_of(pages)


def test_a_window_without_records_still_moves_the_read_on(simulate: Simulate) -> None:
    pages = list(simulate(products=0).source().window(Kind.PRODUCT, day(8), day(8, 31)))
    assert [(list(page.records), page.resume is not None) for page in pages] == [([], True), ([], True)]


def test_only_the_last_page_of_a_window_closes_it(simulate: Simulate) -> None:
    account = simulate(products=9_000, same_second=True, stock_rows_each=0, **SMALL)
    pages = list(account.source().window(Kind.PRODUCT, day(12, 10), None))
    of_december = [page.resume is not None for page in pages if page.label == "Products updated 2025-12"]
    assert of_december == [False, False, True]


def test_a_place_in_another_window_is_lost(simulate: Simulate) -> None:
    source = simulate(products=5).source()
    token = next(source.window(Kind.PRODUCT, day(8), day(9))).resume
    for other in ((Kind.PRODUCT, day(8), day(10)), (Kind.ORDER, day(8), day(9))):
        with pytest.raises(ResumeLost, match="another read"):
            next(source.window(*other, token))


def test_orders_of_a_window_are_named_to_be_fetched(simulate: Simulate) -> None:
    account = simulate(orders=30)
    since = datetime.now(UTC) - timedelta(days=40)
    named = {order.id for order in account.world.orders.values() if order.updated >= since.timestamp()}
    assert names_of(list(account.source().window(Kind.ORDER, since, None))) == named


@pytest.mark.parametrize("kind", [Kind.PRODUCT, Kind.STOCK, Kind.LOCATION])
def test_a_whole_read_says_how_many_records_it_will_have(simulate: Simulate, kind: Kind) -> None:
    pages = list(simulate(products=50).source().full(kind))
    assert pages[0].expected == sum(len(page.records) for page in pages)


@given(
    st.datetimes(datetime(2019, 12, 1), datetime(2026, 6, 10)),  # noqa: DTZ001 - hypothesis wants them so
    st.timedeltas(timedelta(0), timedelta(days=800)),
)
def test_months_follow_each_other_without_a_gap_and_never_wider_than_accepted(
    first: datetime, length: timedelta
) -> None:
    windows: list[Window] = []

    def read(window: Window) -> list[Band]:
        windows.append(window)
        return []

    start = first.replace(tzinfo=UTC)
    list(Walk(read, "productUrl", 4, lambda: NOW).months(start, start + length))
    assert all(window.upper - window.lower <= WIDEST for window in windows)
    assert all(window.lower.month == (window.upper - timedelta(seconds=1)).month for window in windows)
    assert [window.upper for window in windows[:-1]] == [window.lower for window in windows[1:]]
    assert not windows or windows[0].lower == start.replace(microsecond=0)
    assert not windows or windows[-1].upper >= min(start + length, NOW).replace(microsecond=0)


def test_the_seconds_that_pass_while_the_last_month_is_read_are_not_asked_for_once_more() -> None:
    windows: list[Window] = []
    now = NOW

    def read(window: Window) -> list[Band]:
        nonlocal now
        windows.append(window)
        now += timedelta(seconds=2)
        return []

    list(Walk(read, "productUrl", 4, lambda: now).months(NOW - timedelta(hours=1), None))
    assert len(windows) == 1
