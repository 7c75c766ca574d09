"""Bulk reads of Square: resumed after any page, narrowed to a period, begun again when a cursor is lost."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from app.domain import Change, Kind, Page, key_of
from app.sources.base import ResumeLost
from app.sources.square import client, feeds
from app.sources.square.walk import CURSOR_LIFE, Place
from tests.sources.square.square_account import Account, Simulate

Read = Callable[..., Iterator[Page]]
PAGED = [Kind.PRODUCT, Kind.CATEGORY, Kind.STOCK, Kind.ORDER, Kind.VENDOR]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pages without many records."""
    for name in ("CATALOG_ROWS", "COUNT_ROWS", "ORDER_ROWS"):
        monkeypatch.setattr(client, name, 5)


def keys_of(pages: list[Page]) -> list[tuple[str, ...]]:
    return [key_of(record) for page in pages for record in page.records]


def reads_of(account: Account, kind: Kind) -> list[Read]:
    source = account.source
    return [partial(source.full, kind), partial(source.window, kind, LONG_AGO, None)]


@pytest.mark.parametrize("kind", PAGED)
@pytest.mark.usefixtures("small_pages")
def test_a_read_resumed_after_each_of_many_pages_loses_and_repeats_nothing(simulate: Simulate, kind: Kind) -> None:
    account = simulate(products=30, orders=60, locations=12, vendors=250, short_pages=0.3, empty_pages=0.2)
    for read in reads_of(account, kind):
        pages = list(read())
        assert len(pages) > 3 or kind is Kind.CATEGORY
        for number, page in enumerate(pages):
            if page.resume is not None:
                resumed = pages[: number + 1] + list(read(resume=page.resume))
                assert sorted(keys_of(resumed)) == sorted(keys_of(pages))
                assert (resumed[-1].watermark, resumed[-1].complete) == (pages[-1].watermark, pages[-1].complete)


def test_pages_are_counted_on_after_a_resume(simulate: Simulate) -> None:
    account = simulate(products=2500)
    pages = list(account.source.full(Kind.PRODUCT))
    resumed = list(account.source.full(Kind.PRODUCT, pages[0].resume))
    assert [page.label for page in pages[:1] + resumed][:3] == [f"Products page {number}" for number in (1, 2, 3)]


def test_a_cursor_that_square_has_forgotten_is_lost_before_the_first_page(simulate: Simulate) -> None:
    account = simulate(products=1500, cursor_seconds=-1.0)
    first = next(account.source.full(Kind.PRODUCT))
    with pytest.raises(ResumeLost, match="does not take the cursor"):
        next(account.source.full(Kind.PRODUCT, first.resume))


def test_an_old_cursor_is_not_even_sent(simulate: Simulate) -> None:
    account = simulate(products=1500)
    token = older(next(account.source.full(Kind.PRODUCT)).resume)
    calls = account.source.calls()
    with pytest.raises(ResumeLost, match="s old"):
        next(account.source.full(Kind.PRODUCT, token))
    assert account.source.calls() == calls


def test_a_read_whose_pages_are_all_behind_it_can_be_ended_at_any_time(simulate: Simulate) -> None:
    account = simulate()
    pages = list(account.source.full(Kind.PRODUCT))
    assert list(account.source.full(Kind.PRODUCT, older(pages[-2].resume))) == [pages[-1]]


def test_a_resumed_read_keeps_the_watermark_of_its_beginning(simulate: Simulate) -> None:
    account = simulate(products=1500)
    began = list(account.source.full(Kind.PRODUCT))[-1].watermark
    token = next(account.source.full(Kind.PRODUCT)).resume
    account.change(1, "price_edit")
    assert list(account.source.full(Kind.PRODUCT, token))[-1].watermark == began


def test_a_place_in_another_window_is_lost(simulate: Simulate) -> None:
    account = simulate(products=1500)
    token = next(account.source.window(Kind.PRODUCT, LONG_AGO, None)).resume
    with pytest.raises(ResumeLost, match="another read"):
        next(account.source.window(Kind.PRODUCT, LONG_AGO + timedelta(days=1), None, token))


def test_a_place_among_orders_is_lost_when_a_location_is_new(simulate: Simulate) -> None:
    account = simulate(locations=11)
    token = next(account.source.full(Kind.ORDER)).resume
    account.world.places.locations.append(account.world.places._location(11))
    with pytest.raises(ResumeLost, match="another read"):
        next(account.source.full(Kind.ORDER, token))


@pytest.mark.usefixtures("small_pages")
def test_an_order_search_is_resumed_with_the_ends_it_began_with(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = simulate(orders=80, locations=2)
    first = next(account.source.full(Kind.ORDER))
    monkeypatch.setattr(feeds, "END_SLACK", timedelta(minutes=1))  # as if a minute had passed
    place = msgspec.json.decode(first.resume or "", type=Place)
    resumed = next(account.source.full(Kind.ORDER, first.resume))
    assert msgspec.json.decode(resumed.resume or "", type=Place).span == place.span


def test_an_item_of_which_only_a_variation_changed_is_named(simulate: Simulate) -> None:
    account = simulate()
    item, version = account.world.catalog.touch(0), account.world.catalog.edited()
    item.variations[0].version = version
    (page,) = account.source.window(Kind.PRODUCT, moment_of(version), None)
    assert (list(page.records), list(page.changes)) == ([], [Change(Kind.PRODUCT, item.id, version * 1000)])


def test_a_changed_item_comes_with_its_listings(simulate: Simulate) -> None:
    account = simulate()
    item, version = account.world.catalog.touch(0), account.world.catalog.edited()
    item.version = version
    (page,) = account.source.window(Kind.PRODUCT, moment_of(version), None)
    assert keys_of([page]) == [(variation.id,) for variation in item.variations]
    assert not page.changes


def test_a_deletion_in_the_window_is_a_change(simulate: Simulate) -> None:
    account = simulate()
    began = datetime.now(UTC)
    gone = account.change(1, "delete_item")[0]["external_id"]
    pages = account.source.window(Kind.PRODUCT, began, None)
    assert gone in {change.external_id for page in pages for change in page.changes}


def test_a_deleted_variation_of_an_item_that_also_changed_is_a_change(simulate: Simulate) -> None:
    account = simulate()
    item, version = account.world.catalog.touch(0), account.world.catalog.edited()
    item.version = item.variations[1].version = version
    item.variations[1].deleted = True
    (page,) = account.source.window(Kind.PRODUCT, moment_of(version), None)
    assert (len(page.records), len(page.changes)) == (len(item.variations) - 1, 1)


def test_orders_of_a_window_lie_between_both_its_ends(simulate: Simulate) -> None:
    account = simulate(orders=60)
    times = sorted(order.updated for order in account.world.orders.by_id.values())
    pages = list(account.source.window(Kind.ORDER, moment_of(times[20]), moment_of(times[40])))
    assert len(keys_of(pages)) == 21


@pytest.mark.parametrize("kind", PAGED)
def test_a_delta_gives_no_place_that_it_could_not_take(simulate: Simulate, kind: Kind) -> None:
    account = simulate()
    watermark = list(account.source.delta(kind, None))[-1].watermark
    pages: list[Any] = list(account.source.delta(kind, watermark)) if watermark else []
    assert not [page for page in pages if page.resume]


def older(token: str | None) -> str:
    """The same place, given longer ago than a cursor lives."""
    place = msgspec.json.decode(token or "", type=Place)
    aged = msgspec.structs.replace(place, given=place.given - CURSOR_LIFE - timedelta(seconds=1))
    return msgspec.json.encode(aged).decode()


def moment_of(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
