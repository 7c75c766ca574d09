"""Square's inventory changes become changes of our counts; what cannot be read is said, never guessed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain import Kind, Listing, PastPage, Spot
from app.errors import Unmappable
from app.sources.square.ledger import changes_of, page_of
from tests.sources.square.square_account import Account, Simulate

COMMON = {"catalog_object_id": "V1", "quantity": "3", "occurred_at": "2026-02-01T10:00:00Z"}


def spots(kind: str, **fields: Any) -> list[tuple[Spot, Decimal, bool]]:
    row = {"type": kind, kind.lower(): {**COMMON, **fields}}
    return [(one.spot, one.quantity, one.counted) for one in changes_of(row)]


def test_a_stock_take_sets_a_count() -> None:
    found = spots("PHYSICAL_COUNT", state="IN_STOCK", location_id="L1")
    assert found == [(Spot("L1", "on_hand"), Decimal(3), True)]


def test_an_adjustment_takes_from_one_state_and_gives_to_another() -> None:
    found = spots("ADJUSTMENT", from_state="ORDERED_FROM_VENDOR", to_state="IN_STOCK", location_id="L1")
    assert found == [(Spot("L1", "on_order"), Decimal(-3), False), (Spot("L1", "on_hand"), Decimal(3), False)]


def test_an_adjustment_may_name_two_locations() -> None:
    places = {"from_location_id": "L1", "to_location_id": "L2"}
    found = spots("ADJUSTMENT", from_state="IN_STOCK", to_state="IN_STOCK", **places)
    assert found == [(Spot("L1", "on_hand"), Decimal(-3), False), (Spot("L2", "on_hand"), Decimal(3), False)]


def test_a_transfer_moves_between_locations() -> None:
    found = spots("TRANSFER", state="IN_STOCK", from_location_id="L1", to_location_id="L2")
    assert found == [(Spot("L1", "on_hand"), Decimal(-3), False), (Spot("L2", "on_hand"), Decimal(3), False)]


def test_an_adjustment_to_where_it_was_changes_nothing() -> None:
    assert spots("ADJUSTMENT", from_state="IN_STOCK", to_state="IN_STOCK", location_id="L1") == []


def test_states_that_we_have_no_word_for_keep_their_own() -> None:
    found = spots("ADJUSTMENT", from_state="IN_STOCK", to_state="WASTE", location_id="L1")
    assert found[1][0] == Spot("L1", "waste")


def test_a_change_has_the_moments_when_it_occurred_and_when_square_received_it() -> None:
    row = {**COMMON, "state": "IN_STOCK", "location_id": "L1", "created_at": "2026-02-03T10:00:00Z"}
    (found,) = changes_of({"type": "PHYSICAL_COUNT", "physical_count": row})
    assert (found.occurred_at.day, found.received_at.day) == (1, 3)


@pytest.mark.parametrize(
    "row",
    [
        {"type": "RECIPE", "recipe": COMMON},
        {"type": "ADJUSTMENT", "adjustment": {**COMMON, "from_state": "IN_STOCK", "location_id": "L1"}},
        {"type": "ADJUSTMENT", "adjustment": {**COMMON, "from_state": "IN_STOCK", "to_state": "SOLD"}},
        {"type": "PHYSICAL_COUNT", "physical_count": {**COMMON, "state": "IN_STOCK"}},
        {"type": "PHYSICAL_COUNT", "physical_count": {**COMMON, "location_id": "L1", "quantity": "many"}},
        {
            "type": "PHYSICAL_COUNT",
            "physical_count": {**COMMON, "location_id": "L1", "state": "SUPPORTED_BY_NEWER_VERSION"},
        },
        {"type": "TRANSFER"},
    ],
)
def test_what_does_not_say_what_changed_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(Unmappable):
        changes_of(row)


def pages(account: Account, since: datetime) -> list[PastPage]:
    records = [record for page in account.source.full(Kind.PRODUCT) for record in page.records]
    ids = [record.external_id for record in records if isinstance(record, Listing)]
    return list(account.source.past_changes(ids[:50], since))


def test_pages_that_are_short_or_empty_lose_no_change(simulate: Simulate) -> None:
    long_ago = datetime(2025, 1, 1, tzinfo=UTC)
    plain, broken = simulate(products=30), simulate(products=30, short_pages=0.5, empty_pages=0.5)
    found = [[one for page in pages(account, long_ago) for one in page.changes] for account in (plain, broken)]
    assert (found[0] == found[1], len(found[0]) > 30) == (True, True)


def test_only_changes_since_the_moment_are_asked_for(simulate: Simulate) -> None:
    account = simulate(products=30)
    later = datetime.now(UTC) + timedelta(days=10)
    assert [page.changes for page in pages(account, later)] == [[]]


def test_a_record_that_cannot_be_read_fails_alone_and_names_its_listing() -> None:
    page = page_of([{"type": "RECIPE", "recipe": COMMON}, 7])
    assert [(bad.listing_id, bad.occurred_at) for bad in page.failed] == [
        ("V1", datetime(2026, 2, 1, 10, tzinfo=UTC)),
        ("", None),
    ]
