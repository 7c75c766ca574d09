"""The source against the simulator: what item fetches cover, what deltas say, how watermarks move, past events."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain import Change, Kind, Listing, Ref, Scope, micros
from app.sources.base import LedgerUnavailable
from tests.sources.square.square_account import TOKEN, Simulate


def test_an_item_speaks_for_its_listings(simulate: Simulate) -> None:
    account = simulate()
    item = account.world.catalog.item(0)
    answer = account.source.fetch([Ref(Kind.PRODUCT, item.id)])
    assert [record.external_id for record in answer.records if isinstance(record, Listing)] == [
        variation.id for variation in item.variations
    ]


def test_a_variations_id_asks_for_its_item(simulate: Simulate) -> None:
    account = simulate()
    item = account.world.catalog.item(0)
    answer = account.source.fetch([Ref(Kind.PRODUCT, item.variations[1].id)])
    assert answer.covers == [Scope(Kind.PRODUCT, "parent_id", item.id)]


def test_an_unknown_item_is_not_known_to_be_gone(simulate: Simulate) -> None:
    ref = Ref(Kind.PRODUCT, "NOBODY")
    answer = simulate().source.fetch([ref])
    assert (answer.records, answer.covers, answer.not_yet) == ([], [], [ref])


def test_a_deleted_item_is_covered_and_empty(simulate: Simulate) -> None:
    account = simulate()
    gone = account.change(1, "delete_item")[0]["external_id"]
    answer = account.source.fetch([Ref(Kind.PRODUCT, gone)])
    assert (answer.records, [scope.value for scope in answer.covers], answer.not_yet) == ([], [gone], [])


def test_a_sku_names_nothing_here(simulate: Simulate) -> None:
    ref = Ref(Kind.PRODUCT, "sku:MUG-000001")
    assert simulate().source.fetch([ref]).gone == [ref]


def test_stock_of_an_untouched_variation_is_unknown_not_zero(simulate: Simulate) -> None:
    account = simulate()
    answer = account.source.fetch([Ref(Kind.STOCK, account.world.catalog.variation_id(7))])
    assert [*answer.records, *answer.gone, *answer.covers] == []


def test_an_order_that_lags_is_not_yet_there(simulate: Simulate) -> None:
    account = simulate(order_lag=3600.0)
    ref = Ref(Kind.ORDER, account.change(1, "api_order")[0]["external_id"])
    assert account.source.fetch([ref]).not_yet == [ref]


def test_an_order_that_lacks_its_lines_is_not_yet_there(simulate: Simulate) -> None:
    account = simulate(order_lag=3600.0, order_lag_empty=True)
    ref = Ref(Kind.ORDER, account.change(1, "api_order")[0]["external_id"])
    assert account.source.fetch([ref]).not_yet == [ref]


def test_a_delta_passes_orders_without_lines_on_as_changes(simulate: Simulate) -> None:
    account = simulate(orders=0, order_lag=3600.0, order_lag_empty=True)
    order_id = account.change(1, "api_order")[0]["external_id"]
    changes = [change for page in account.source.delta(Kind.ORDER, None) for change in page.changes]
    assert changes == [Change(Kind.ORDER, order_id)]


def test_an_unknown_vendor_is_gone(simulate: Simulate) -> None:
    ref = Ref(Kind.VENDOR, "INV_V_NOBODY")
    assert simulate().source.fetch([ref]).gone == [ref]


def test_vendors_are_fetched_by_id(simulate: Simulate) -> None:
    account = simulate()
    vendor = account.world.places.vendors[2]
    (record,) = account.source.fetch([Ref(Kind.VENDOR, vendor.id)]).records
    assert record.version == micros(datetime.fromtimestamp(vendor.updated / 1000, UTC))


def test_a_watermark_comes_with_the_last_page_only(simulate: Simulate) -> None:
    pages = list(simulate(products=2500).source.full(Kind.PRODUCT))
    assert [bool(page.watermark) for page in pages] == [False] * (len(pages) - 1) + [True]


def test_an_idle_delta_keeps_its_watermark(simulate: Simulate) -> None:
    account = simulate()
    first = list(account.source.full(Kind.STOCK))[-1].watermark
    assert list(account.source.delta(Kind.STOCK, first))[-1].watermark == first


@pytest.mark.parametrize("kind", [Kind.PRODUCT, Kind.CATEGORY, Kind.STOCK, Kind.ORDER])
def test_an_empty_account_gives_a_watermark_that_can_be_used(simulate: Simulate, kind: Kind) -> None:
    account = simulate(products=0, orders=0)
    watermark = list(account.source.delta(kind, None))[-1].watermark
    assert list(account.source.delta(kind, watermark))[-1].watermark


def test_the_order_watermark_is_squares_own_text(simulate: Simulate) -> None:
    account = simulate()
    newest = max(order.updated for order in account.world.orders.by_id.values())
    watermark = list(account.source.delta(Kind.ORDER, None))[-1].watermark
    assert datetime.fromisoformat(watermark or "") == datetime.fromtimestamp(newest / 1000, UTC)


def test_orders_of_more_than_ten_locations_are_read_in_groups(simulate: Simulate) -> None:
    account = simulate(locations=23)
    list(account.source.delta(Kind.ORDER, None))
    assert account.status()["requests"]["/v2/orders/search"] == 3


def test_an_offline_sale_arrives_with_the_next_delta(simulate: Simulate) -> None:
    account = simulate(offline=1.0)
    watermark = list(account.source.delta(Kind.ORDER, None))[-1].watermark
    order_id = account.change(1, "pos_sale")[0]["external_id"]
    result = [key for page in account.source.delta(Kind.ORDER, watermark) for key in page.records]
    assert order_id in {record.external_id for record in result if hasattr(record, "external_id")}


def test_a_deletion_is_a_change_of_the_item(simulate: Simulate) -> None:
    account = simulate()
    watermark = list(account.source.full(Kind.PRODUCT))[-1].watermark
    gone = account.change(1, "delete_item")[0]["external_id"]
    changes = [change for page in account.source.delta(Kind.PRODUCT, watermark) for change in page.changes]
    assert Change(Kind.PRODUCT, gone, account.world.catalog.latest * 1000) in changes


def test_past_events_are_unavailable_until_they_are_enabled(simulate: Simulate) -> None:
    now = datetime.now(UTC)
    with pytest.raises(LedgerUnavailable, match="Events API"):
        next(simulate().source.missed(now - timedelta(days=1), now))


def test_past_events_are_found_once_enabled(simulate: Simulate) -> None:
    account = simulate()
    enabled = account.control.put("/v2/events/enable", json={}, headers={"authorization": f"Bearer {TOKEN}"})
    assert enabled.status_code == 200
    variation = account.change(1, "price_edit")
    now = datetime.now(UTC)
    deliveries = list(account.source.missed(now - timedelta(days=1), now + timedelta(days=1)))
    assert variation
    assert [delivery.delivery.type for delivery in deliveries] == ["catalog.version.updated"] * 2
