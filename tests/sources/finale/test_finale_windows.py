"""Walking by update time: no window wider than accepted, nothing lost behind a cap, no walking in circles."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Kind, Page, key_of
from app.errors import BadAnswer, Unmappable
from app.sources.finale.columnar import Band
from app.sources.finale.simulator.lists import decoded
from app.sources.finale.windows import AHEAD, WIDEST, Walk, Window
from app.sources.finale.wire import timestamp
from tests.sources.finale.finale_account import Account
from tests.sources.finale.finale_copy import Copy, in_order

Simulate = Callable[..., Account]
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SMALL = {"first_day": "2025-06-01", "last_day": "2025-12-31"}


def keys_of(pages: list[Page]) -> list[str]:
    return [key_of(record)[0] for page in pages for record in page.records]


def test_a_capped_full_read_is_completed_by_windows(simulate: Simulate) -> None:
    account = simulate(products=200, row_cap=50, cap_unfiltered=True, **SMALL)
    copy = Copy(account.source(row_cap="50", history_start="2025-05-01"))
    copy.full(Kind.PRODUCT)
    assert copy.told(Kind.PRODUCT) == in_order(account.truth("product"))


def test_a_capped_full_read_in_no_order_is_completed_from_the_start(simulate: Simulate) -> None:
    account = simulate(products=200, row_cap=50, cap_unfiltered=True, random_order=True, **SMALL)
    copy = Copy(account.source(row_cap="50", history_start="2025-05-01"))
    copy.full(Kind.PRODUCT)
    assert copy.told(Kind.PRODUCT) == in_order(account.truth("product"))


def test_a_capped_full_read_in_order_goes_on_where_it_was_cut(simulate: Simulate) -> None:
    account = simulate(products=100, row_cap=90, cap_unfiltered=True, **SMALL)
    list(account.source(row_cap="90", history_start="2008-01-01").full(Kind.PRODUCT))
    years = 183  # windows since 2008
    assert account.reads("product") < years / 5


def test_a_full_read_below_the_cap_is_one_request(simulate: Simulate) -> None:
    account = simulate(products=100)
    list(account.source().full(Kind.PRODUCT))
    assert account.reads("product") == 1


def test_no_record_comes_twice_in_an_overlapping_walk(simulate: Simulate) -> None:
    account = simulate(products=200, row_cap=50, cap_unfiltered=True, **SMALL)
    keys = keys_of(list(account.source(row_cap="50", history_start="2025-05-01").full(Kind.PRODUCT)))
    assert len(keys) == len(set(keys))


def test_one_second_at_the_cap_is_an_error(simulate: Simulate) -> None:
    account = simulate(products=120, same_second=True, row_cap=50, cap_unfiltered=True, random_order=True, **SMALL)
    with pytest.raises(BadAnswer, match="no narrower window"):
        list(account.source(row_cap="50", history_start="2025-12-01").full(Kind.PRODUCT))


def test_a_server_that_ignores_the_filter_is_an_error_not_a_loop(simulate: Simulate) -> None:
    account = simulate(products=120, ignore_filter=True, row_cap=200, **SMALL)
    with pytest.raises(BadAnswer, match="the same 120 records"):
        list(account.source().delta(Kind.PRODUCT, "2025-06-01T00:00:00"))
    assert account.reads("product") == 2


def test_an_ignored_filter_at_the_cap_is_an_error_at_once(simulate: Simulate) -> None:
    account = simulate(products=120, ignore_filter=True, row_cap=50, cap_unfiltered=True, **SMALL)
    with pytest.raises(BadAnswer, match="the filter is not applied"):
        list(account.source(row_cap="50").delta(Kind.PRODUCT, "2026-03-01T00:00:00"))
    assert account.reads("product") == 1


def test_a_watermark_is_the_newest_update_time_seen(simulate: Simulate) -> None:
    account = simulate()
    newest = max(product.updated for product in account.world.products.values())
    source = account.source()
    source._now = lambda: datetime.fromtimestamp(newest, UTC) + timedelta(hours=1)
    last = list(source.full(Kind.PRODUCT))[-1]
    assert last.watermark == datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def test_the_watermark_of_a_quiet_account_stays_a_day_behind_our_clock(simulate: Simulate) -> None:
    account = simulate(orders=0)
    source = account.source()
    source._now = lambda: NOW
    assert list(source.full(Kind.PRODUCT))[-1].watermark == "2026-05-31T12:00:00"


def test_a_watermark_never_goes_back(simulate: Simulate) -> None:
    account = simulate()
    source, last = account.source(), timestamp(datetime.now(UTC) - timedelta(hours=1))
    assert list(source.delta(Kind.PRODUCT, last))[-1].watermark == last


def test_a_watermark_of_the_future_is_read_as_now_minus_the_overlap(simulate: Simulate) -> None:
    account = simulate()
    source, now = account.source(), datetime.now(UTC)
    source._now = lambda: now
    last = list(source.delta(Kind.PRODUCT, "2126-01-01T00:00:00"))[-1]
    assert last.watermark == timestamp(now - timedelta(minutes=2))


def test_a_watermark_that_is_no_time_is_refused_in_words(simulate: Simulate) -> None:
    with pytest.raises(Unmappable, match="expected a time like"):
        list(simulate().source().delta(Kind.PRODUCT, "yesterday"))


def test_a_delta_reads_two_minutes_before_its_watermark_again(simulate: Simulate) -> None:
    account = simulate(products=5)
    product = account.world.products[3]
    account.world.edit(product)
    at = account.world.products[3].updated
    since = datetime.fromtimestamp(at + 100, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert keys_of(list(account.source().delta(Kind.PRODUCT, since))) == [product.tail]


class Shelf:
    """A vendor with rows at given seconds, a cap, and a record of the windows it was asked for."""

    def __init__(self, seconds: list[int], cap: int) -> None:
        self.start = NOW - timedelta(days=100)
        self.rows = sorted(
            (self.start + timedelta(seconds=second), str(index)) for index, second in enumerate(seconds)
        )
        self.cap = cap
        self.windows: list[Window] = []

    def read(self, window: Window) -> list[Band]:
        self.windows.append(window)
        inside = [row for row in self.rows if window.lower <= row[0] <= window.upper][: self.cap]
        if not inside:
            return []
        urls = json.dumps([f"/demo/api/product/{name}" for _, name in inside]).encode()
        times = json.dumps([at.strftime("%Y-%m-%dT%H:%M:%S") for at, _ in inside]).encode()
        return [Band(len(inside), {"productUrl": urls, "lastUpdatedDate": times})]

    def walk(self) -> set[str]:
        walk = Walk(self.read, "productUrl", self.cap, lambda: NOW)
        bands = [band for reply in walk.replies(self.start) for band in reply]
        return {url.rpartition("/")[2] for band in bands for url in band.column("productUrl", str | None)}


@given(st.lists(st.integers(0, 8_000_000), max_size=60, unique_by=lambda second: second // 2))
def test_a_walk_finds_every_record_however_they_lie(seconds: list[int]) -> None:
    shelf = Shelf(seconds, cap=4)
    assert shelf.walk() == {name for _, name in shelf.rows}


@given(st.lists(st.integers(0, 8_000_000), max_size=60, unique_by=lambda second: second // 2))
def test_no_window_is_wider_than_the_vendor_accepts(seconds: list[int]) -> None:
    shelf = Shelf(seconds, cap=4)
    shelf.walk()
    assert all(window.upper - window.lower <= WIDEST for window in shelf.windows)


def test_a_walk_ends_a_little_after_now() -> None:
    shelf = Shelf([], cap=4)
    shelf.walk()
    assert shelf.windows[-1].upper == NOW + AHEAD


@pytest.mark.parametrize(
    "text",
    [
        "eyJsYXN0VXBkYXRlZERhdGUiOlsiMjAxNS0xMS0xOVQyMDowOTo1N1oiLG51bGxdfQ",
        "eyJsYXN0VXBkYXRlZERhdGUiOlsiMjAxNS0xMS0xOVQyMDowOTo1N1oiLG51bGxdfQ==",
    ],
)
def test_the_simulator_reads_the_documented_filter_with_and_without_padding(text: str) -> None:
    assert decoded(text) == {"lastUpdatedDate": ["2015-11-19T20:09:57Z", None]}


@pytest.mark.parametrize(
    "bounds",
    [[None, "2025-01-05"], ["2024-01-01", "2025-01-05"], ["soon", None]],
)
def test_the_simulator_refuses_a_range_as_finale_does(simulate: Simulate, bounds: list[Any]) -> None:
    account = simulate()
    filter_ = base64.b64encode(json.dumps({"lastUpdatedDate": bounds}).encode()).decode()
    answer = account.control.get(
        "/demo/api/product/", params={"filter": filter_}, auth=("simulated-key", "simulated-secret")
    )
    assert answer.status_code == 400
