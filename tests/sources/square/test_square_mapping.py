"""Wire to domain: names, prices, presence, suppliers, thresholds, states, orders, times."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain import Listing
from app.errors import Unmappable
from app.sources.square import mapping, orders, parties
from app.sources.square.counts import counts
from app.sources.square.times import before, later
from app.sources.values import moment


def item(*variations: dict[str, Any], **data: Any) -> dict[str, Any]:
    envelope = {"type": "ITEM", "id": "I1", "version": 5, "updated_at": "2026-01-01T00:00:00.5Z"}
    return {**envelope, "item_data": {"name": "Tea", "variations": list(variations), **data}}


def variation(name: str | None = "Regular", envelope: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    top = {"type": "ITEM_VARIATION", "id": "V1", "version": 3, "updated_at": "2026-01-01T00:00:00.25Z"}
    return {**top, **(envelope or {}), "item_variation_data": {"item_id": "I1", "name": name, **data}}


def listing(thing: dict[str, Any]) -> Listing:
    variations, listing_of = mapping.variations_of(thing)
    return listing_of(variations[0])


def test_the_only_regular_variation_is_called_like_its_item() -> None:
    assert listing(item(variation())).name == "Tea"


def test_one_of_several_regular_variations_keeps_its_name() -> None:
    assert listing(item(variation(), variation("Large"))).name == "Tea - Regular"


def test_an_unnamed_variation_is_called_like_its_item() -> None:
    assert listing(item(variation(None), variation("Large"))).name == "Tea"


@pytest.mark.parametrize(("own", "newest"), [(3, 5_000), (9, 9_000)])
def test_a_listing_is_as_new_as_the_newer_of_item_and_variation(own: int, newest: int) -> None:
    assert listing(item(variation(envelope={"version": own}))).version == newest


def test_times_are_compared_as_moments_not_as_text() -> None:
    assert later("2026-01-01T00:36:14.11Z", "2026-01-01T00:36:14.119Z") == "2026-01-01T00:36:14.119Z"


@pytest.mark.parametrize("digits", ["", ".5", ".50", ".500", ".50000", ".500000000"])
def test_a_time_may_have_any_number_of_fraction_digits(digits: str) -> None:
    expected = datetime(2026, 1, 1, microsecond=500_000 if digits else 0, tzinfo=UTC)
    assert moment(f"2026-01-01T00:00:00{digits}Z") == expected


def test_a_time_without_zone_is_utc() -> None:
    assert moment("2022-04-26T10:08:40.454726") == datetime(2022, 4, 26, 10, 8, 40, 454726, tzinfo=UTC)


def test_an_overlap_is_taken_off_a_time() -> None:
    assert before("2026-01-01T00:00:05Z", timedelta(seconds=5)) == "2026-01-01T00:00:00.000000Z"


def test_prices_of_locations_are_kept_beside_the_general_one() -> None:
    money = {"amount": 120, "currency": "USD"}
    overrides = [{"location_id": "L1", "price_money": money, "sold_out": True}]
    row = listing(item(variation(price_money={"amount": 100, "currency": "USD"}, location_overrides=overrides)))
    assert (row.price_minor, json.loads(row.prices or "")) == (
        100,
        [{"location_id": "L1", "price_minor": 120, "currency": "USD"}],
    )


def test_what_else_differs_at_a_location_goes_to_extra() -> None:
    overrides = [{"location_id": "L1", "price_money": {"amount": 1, "currency": "USD"}, "track_inventory": True}]
    extra = json.loads(listing(item(variation(location_overrides=overrides))).extra or "")
    assert extra["location_overrides"] == [{"location_id": "L1", "track_inventory": True}]


def test_the_reporting_category_comes_before_the_first_one() -> None:
    thing = item(variation(), categories=[{"id": "C1"}], reporting_category={"id": "C2"}, category_id="C3")
    assert listing(thing).category_id == "C2"


def test_the_deprecated_category_is_the_last_resort() -> None:
    assert listing(item(variation(), category_id="C3")).category_id == "C3"


def test_the_first_vendor_is_the_supplier() -> None:
    cost = {"amount": 70, "currency": "USD"}
    vendors = [{"vendor_id": "S1", "vendor_code": "x-1", "unit_cost_money": cost}, {"vendor_id": "S2"}]
    row = listing(item(variation(vendor_information=vendors)))
    assert (row.supplier_id, row.supplier_sku, row.cost_minor) == ("S1", "x-1", 70)


def test_a_low_quantity_alert_is_the_reorder_point() -> None:
    own = variation(inventory_alert_type="LOW_QUANTITY", inventory_alert_threshold=4)
    assert listing(item(own)).reorder_point == Decimal(4)


def test_an_alert_that_is_off_is_no_reorder_point() -> None:
    own = variation(inventory_alert_type="NONE", inventory_alert_threshold=4)
    assert listing(item(own)).reorder_point is None


def test_the_highest_threshold_of_any_location_warns_first() -> None:
    at = {"inventory_alert_type": "LOW_QUANTITY", "inventory_alert_threshold": 4}
    overrides = [{"location_id": "L1", **at}, {"location_id": "L2", **at, "inventory_alert_threshold": 9}]
    assert listing(item(variation(location_overrides=overrides))).reorder_point == Decimal(9)


def test_an_archived_item_is_inactive() -> None:
    assert not listing(item(variation(), is_archived=True)).active


def test_a_variation_present_nowhere_is_inactive() -> None:
    assert not listing(item(variation(envelope={"present_at_all_locations": False}))).active


def test_a_variation_present_somewhere_is_active() -> None:
    where = {"present_at_all_locations": False, "present_at_location_ids": ["L1"]}
    assert listing(item(variation(envelope=where))).active


def test_unmapped_fields_of_item_and_variation_are_kept_apart() -> None:
    thing = item(variation(stockable=True), product_type="REGULAR")
    extra = json.loads(listing(thing).extra or "")
    assert (extra["stockable"], extra["item"]["product_type"]) == (True, "REGULAR")


def test_a_field_of_another_type_is_unmappable() -> None:
    with pytest.raises(Unmappable, match=r"price_money\.amount"):
        listing(item(variation(price_money={"amount": "1.50"})))


def count(**fields: Any) -> dict[str, Any]:
    usual = {"catalog_object_id": "V1", "catalog_object_type": "ITEM_VARIATION", "location_id": "L1"}
    return {**usual, "state": "IN_STOCK", "quantity": "1", "calculated_at": "1970-01-01T00:00:01Z", **fields}


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("IN_STOCK", "on_hand"),
        ("RESERVED_FOR_SALE", "reserved"),
        ("ORDERED_FROM_VENDOR", "on_order"),
        ("IN_TRANSIT", "in_transit"),
        ("UNTRACKED", "untracked"),
    ],
)
def test_states_stay_apart(state: str, word: str) -> None:
    assert counts([count(state=state)])[0].state == word


@pytest.mark.parametrize(
    ("text", "amount"), [("-1", "-1"), ("2.50000", "2.5"), ("100", "100"), ("0.00001", "0.00001")]
)
def test_a_quantity_is_exact(text: str, amount: str) -> None:
    assert format(counts([count(quantity=text)])[0].quantity, "f") == amount


def test_a_count_is_as_new_as_its_calculation() -> None:
    assert counts([count()])[0].version == 1_000_000


@pytest.mark.parametrize("broken", [{"quantity": "many"}, {"quantity": None}, {"calculated_at": "now"}])
def test_a_broken_count_is_unmappable(broken: dict[str, Any]) -> None:
    with pytest.raises(Unmappable):
        counts([count(**broken)])


def order(**fields: Any) -> dict[str, Any]:
    line = {"uid": "u", "name": "Tea", "variation_name": "Mug", "quantity": "1.50", "catalog_object_id": "V1"}
    money = {"amount": 100, "currency": "USD"}
    usual = {
        "id": "O1",
        "location_id": "L1",
        "created_at": "2026-01-02T03:00:00Z",
        "updated_at": "2026-01-02T03:00:01Z",
    }
    return {**usual, "line_items": [{**line, "base_price_money": money, "note": "hot"}], **fields}


def test_an_order_line_says_what_was_sold() -> None:
    (line,) = json.loads(orders.order(order(), {}).lines or "")
    assert line == {
        "line_id": "u",
        "kind": "sold",
        "listing_id": "V1",
        "name": "Tea - Mug",
        "quantity": "1.5",
        "unit_price": "1",
        "currency": "USD",
    }


def test_the_business_date_is_shown_in_the_locations_zone() -> None:
    assert orders.order(order(), {"L1": "America/Los_Angeles"}).ordered_on == "2026-01-01"


def test_a_point_of_sale_order_is_as_new_as_its_update() -> None:
    assert orders.order(order(updated_at="1970-01-01T00:00:02.5Z"), {}).version == 2_500_000


def test_what_a_line_has_besides_is_kept() -> None:
    extra = json.loads(orders.order(order(), {}).extra or "")
    assert extra["line_items"] == [{"uid": "u", "variation_name": "Mug", "note": "hot"}]


def test_an_order_of_returned_lines_only_is_a_return() -> None:
    returned = [{"return_line_items": [{"uid": "r", "quantity": "1", "catalog_object_id": "V1"}]}]
    parsed = orders.order(order(line_items=None, returns=returned), {})
    assert (parsed.type, json.loads(parsed.lines or "")[0]["listing_id"]) == ("return", "V1")


def test_a_young_order_without_lines_is_settling() -> None:
    now = datetime(2026, 1, 2, 3, 1, tzinfo=UTC)
    assert orders.is_settling(order(line_items=None), now)


def test_an_old_order_without_lines_is_the_truth() -> None:
    now = datetime(2026, 1, 2, 4, 0, tzinfo=UTC)
    assert not orders.is_settling(order(line_items=None), now)


def test_the_first_contact_that_is_not_removed_answers_for_a_vendor() -> None:
    contacts = [
        {"ordinal": 0, "email_address": "gone@example.com", "removed": True},
        {"ordinal": 2, "email_address": "second@example.com"},
        {"ordinal": 1, "email_address": "first@example.com"},
    ]
    assert parties.vendor({"id": "S1", "contacts": contacts}).email == "first@example.com"


def test_a_location_is_as_new_as_its_reading() -> None:
    assert parties.location({"id": "L1"}, 77).version == 77
