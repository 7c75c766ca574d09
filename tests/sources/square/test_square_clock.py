"""Square's watermarks never pass our clock minus the overlap, and hints and records of a kind count versions alike."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain import Change, Kind, Ref
from app.sources.square import feeds
from app.sources.square.webhook import Event, changes_of
from tests.sources.square.square_stub import (
    COUNTS,
    LOCATIONS,
    NOW,
    ORDERS,
    ORDERS_BY_ID,
    RETRIEVE,
    SEARCH,
    SHOP,
    VENDORS_BY_ID,
    count,
    item,
    order,
    stub,
    variation,
)

OVERLAPS = {
    Kind.PRODUCT: feeds.CATALOG_OVERLAP,
    Kind.CATEGORY: feeds.CATALOG_OVERLAP,
    Kind.STOCK: feeds.STOCK_OVERLAP,
    Kind.ORDER: feeds.ORDER_OVERLAP,
}
FUTURE = "2031-01-01T00:00:00Z"


def shop(at: str, kind: Kind = Kind.PRODUCT) -> Any:
    """A shop whose newest things are of this time; its catalog has one thing, an item or a category."""
    category = {"type": "CATEGORY", "id": "C1", "updated_at": at, "category_data": {}}
    thing = item("I1", variation("V1"), updated_at=at)
    return stub(
        {
            LOCATIONS: {"locations": [SHOP]},
            SEARCH: {"objects": [category if kind is Kind.CATEGORY else thing], "latest_time": at},
            COUNTS: {"counts": [count("V1", calculated_at=at)]},
            ORDERS: {"orders": [order("O1", updated_at=at)]},
        }
    )


def reads(source: Any, kind: Kind) -> list[Any]:
    """The last pages of the reads of a kind that give a watermark."""
    pages = [list(source.delta(kind, since))[-1] for since in (None, "2026-05-01T00:00:00Z", FUTURE)]
    return pages if kind is Kind.ORDER else [*pages, list(source.full(kind))[-1]]


@pytest.mark.parametrize("at", [FUTURE, "2026-06-01T12:00:00.5Z", "2026-06-01T11:59:59.9Z"])
@pytest.mark.parametrize("kind", OVERLAPS)
def test_no_watermark_passes_now_minus_the_overlap(kind: Kind, at: str) -> None:
    for page in reads(shop(at), kind):
        assert datetime.fromisoformat(page.watermark) <= NOW - OVERLAPS[kind]


@pytest.mark.parametrize("kind", OVERLAPS)
def test_a_watermark_of_the_past_is_squares_own_text(kind: Kind) -> None:
    pages = list(shop("2026-05-31T11:59:59.25Z").delta(kind, "2026-05-01T00:00:00Z"))
    assert pages[-1].watermark == "2026-05-31T11:59:59.25Z"


@pytest.mark.parametrize("kind", OVERLAPS)
def test_a_record_of_the_future_is_delivered(kind: Kind) -> None:
    source = shop(FUTURE, kind)
    pages = list(source.delta(kind, "2026-05-01T00:00:00Z"))
    assert sum(len(page.records) + len(page.changes) for page in pages) == 1


def test_of_counts_the_newest_that_is_not_to_come_moves_the_watermark() -> None:
    rows = [count("V1", calculated_at=FUTURE), count("V2", calculated_at="2026-05-31T00:00:00Z")]
    assert list(stub({COUNTS: {"counts": rows}}).full(Kind.STOCK))[-1].watermark == "2026-05-31T00:00:00Z"


def test_of_orders_one_to_come_does_not_move_the_watermark() -> None:
    rows = [order("O1", updated_at="2026-05-31T00:00:00Z"), order("O2", updated_at=FUTURE)]
    source = stub({LOCATIONS: {"locations": [SHOP]}, ORDERS: {"orders": rows}})
    assert list(source.delta(Kind.ORDER, None))[-1].watermark == "2026-05-31T00:00:00Z"


def test_a_location_is_as_new_as_our_clock_when_it_was_read() -> None:
    (page,) = shop(FUTURE).full(Kind.LOCATION)
    assert page.records[0].version == NOW.timestamp() * 1_000_000


@pytest.mark.parametrize(("age", "ready"), [(1, False), (3, True)])
def test_whether_an_order_is_young_is_decided_by_our_clock(age: int, ready: bool) -> None:
    created = (NOW - timedelta(minutes=age)).isoformat()
    source = stub(
        {
            LOCATIONS: {"locations": [SHOP]},
            ORDERS_BY_ID: {"orders": [order("O1", created_at=created, line_items=None)]},
        }
    )
    answer = source.fetch([Ref(Kind.ORDER, "O1")])
    assert (bool(answer.records), bool(answer.not_yet)) == (ready, not ready)


AT, MICROS = "2026-05-31T00:00:00.123Z", 1_780_185_600_123_000
SUPPLIER = {"id": "S1", "updated_at": AT, "created_at": "2026-01-01T00:00:00Z"}


def hint(kind: str, **content: Any) -> Change:
    """The change that an event of this type and content announces."""
    (change,) = changes_of(Event(kind, "e", data={"object": content}))
    return change


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Kind.STOCK, hint("inventory.count.updated", inventory_counts=[count("V1", calculated_at=AT)])),
        (Kind.ORDER, hint("order.updated", order_updated={"order_id": "O1", "updated_at": AT})),
        (Kind.VENDOR, hint("vendor.updated", vendor=SUPPLIER)),
    ],
)
def test_a_hint_counts_versions_as_the_record_does(kind: Kind, change: Change) -> None:
    source = stub(
        {
            LOCATIONS: {"locations": [SHOP]},
            COUNTS: {"counts": [count("V1", calculated_at=AT)]},
            ORDERS_BY_ID: {"orders": [order("O1", updated_at=AT)]},
            VENDORS_BY_ID: {"responses": {"S1": {"vendor": SUPPLIER}}},
        }
    )
    (record,) = source.fetch([Ref(kind, change.external_id)]).records
    assert (change.version, record.version) == (MICROS, MICROS)


def test_a_polled_hint_of_an_item_counts_versions_as_its_listings_do() -> None:
    thing = item("I1", variation("V1"), version=MICROS // 1000, updated_at=AT)
    source = stub({SEARCH: {"objects": [thing]}, RETRIEVE: {"objects": [thing]}})
    (change,) = (one for page in source.delta(Kind.PRODUCT, AT) for one in page.changes)
    (record,) = source.fetch([Ref(Kind.PRODUCT, "I1")]).records
    assert (change.version, record.version) == (MICROS, MICROS)
