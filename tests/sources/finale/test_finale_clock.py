"""Finale's watermarks never pass our clock minus the overlap."""

from datetime import datetime
from typing import Any

import pytest

from app.domain import Kind
from app.sources.finale.feeds import OVERLAP
from app.sources.finale.wire import timestamp
from tests.sources.finale.finale_stub import (
    FACILITIES,
    NOW,
    ORDERS,
    PARTIES,
    PRODUCTS,
    STOCK,
    columns,
    order,
    product,
    stock,
    stub,
)

FUTURE = "2031-01-01T00:00:00"


def shop(at: str) -> Any:
    """A shop whose newest things are of this time."""
    return stub(
        {
            PRODUCTS: columns([product("A"), product("B", lastUpdatedDate=at)]),
            ORDERS: columns([order("1"), order("2", lastUpdatedDate=at)]),
            STOCK: columns([stock("A")]),
            FACILITIES: columns([{"facilityUrl": "/f/1", "lastUpdatedDate": at}]),
            PARTIES: columns([{"partyUrl": "/p/1", "lastUpdatedDate": at, "roleTypeIdList": ["SUPPLIER"]}]),
        }
    )


@pytest.mark.parametrize("at", [FUTURE, "2026-06-01T12:00:30", "2026-06-01T11:59:59"])
@pytest.mark.parametrize("kind", [Kind.PRODUCT, Kind.ORDER, Kind.STOCK, Kind.LOCATION, Kind.VENDOR])
def test_no_watermark_passes_now_minus_the_overlap(kind: Kind, at: str) -> None:
    source = shop(at)
    reads = [source.full(kind), *(source.delta(kind, since) for since in ("2026-05-25T00:00:00", FUTURE))]
    pages = [list(read)[-1] for read in reads]
    for page in pages:
        assert datetime.fromisoformat(f"{page.watermark}+00:00") <= NOW - OVERLAP


@pytest.mark.parametrize("kind", [Kind.PRODUCT, Kind.ORDER])
def test_a_record_of_the_future_is_delivered_and_moves_no_watermark(kind: Kind) -> None:
    pages = list(shop(FUTURE).delta(kind, "2026-05-25T00:00:00"))
    assert FUTURE in {f"{record.modified_at:%Y-%m-%dT%H:%M:%S}" for page in pages for record in page.records}
    assert pages[-1].watermark == "2026-05-31T12:00:00"


def test_a_watermark_of_the_future_is_read_as_now_minus_the_overlap() -> None:
    *pages, last = shop("2026-06-01T11:59:00").delta(Kind.PRODUCT, FUTURE)
    assert last.watermark == timestamp(NOW - OVERLAP)
    assert "B" in {record.external_id for page in pages for record in page.records}


def test_a_cut_list_that_ends_in_the_future_is_completed_from_the_present() -> None:
    source = stub({PRODUCTS: columns([product("A"), product("B", lastUpdatedDate=FUTURE)])})
    reply = source._client.collection("product")
    object.__setattr__(source._options, "row_cap", 2)
    cut_from = source._cut_from("product", reply)
    assert cut_from is not None
    assert cut_from <= NOW
