"""What is wrong with the data, check by check."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain import (
    ALL_ITEMS,
    Category,
    Cause,
    Change,
    Kind,
    Listing,
    Location,
    Order,
    Record,
    Ref,
    StockCount,
    micros,
    to_json,
)
from app.stores import catalog, owed, validation
from app.stores.catalog import watermarks
from app.stores.runs import failed_items
from app.stores.sql.engine import Database
from app.stores.validation import Finding
from tests.fakes import SHOP

TILL = "till"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ITS_ID = "its id"


def listing(external_id: str, sku: str | None = ITS_ID, **fields: Any) -> Listing:
    """A listing that lacks nothing, with its id as SKU unless it is given."""
    whole = {"name": "Thing", "price_minor": 100, "currency": "USD", "sku": external_id if sku is ITS_ID else sku}
    return Listing(external_id=external_id, **{**whole, **fields})


def stock(listing_id: str, quantity: str, location: str = "L1", state: str = "on_hand") -> StockCount:
    return StockCount(listing_id, location, state, Decimal(quantity))


def hold(database: Database, *records: Record, connection: str = SHOP, at: datetime = NOW - HOUR) -> None:
    with database.begin() as conn:
        catalog.apply(conn, connection, records, read_at=at, now=at)


AHEAD = NOW + 400 * 24 * HOUR
"""When the host's clock was ahead: only then a row gets a version of the future (``rules.versions``)."""


def owe(database: Database, kind: Kind, external_id: str, *, connection: str = SHOP, at: datetime = NOW) -> None:
    with database.begin() as conn:
        owed.owe(conn, connection, [Change(kind, external_id)], Cause.POLL, at)


def findings(database: Database, connection: str = SHOP, **options: Any) -> dict[str, Finding]:
    with database.read() as conn:
        found = validation.measure(conn, connection, validation.cutoffs(conn, NOW), **options)
    return {finding.check: finding for finding in found}


def counts(database: Database, connection: str = SHOP, **options: Any) -> dict[str, int]:
    """How many rows the checks found that found any."""
    found = findings(database, connection, **options).values()
    return {finding.check: finding.rows for finding in found if finding.rows}


def test_an_empty_database_has_nothing_wrong(database: Database) -> None:
    assert counts(database) == {}


def test_every_check_answers(database: Database) -> None:
    assert tuple(findings(database)) == validation.CHECKS


def test_sound_data_has_nothing_wrong(database: Database) -> None:
    for connection in (SHOP, TILL):
        hold(database, listing("A"), listing("B"), stock("A", "3"), stock("B", "0"), connection=connection)
    assert counts(database) == {}


# --- SKUs ---


def test_a_sku_of_two_listings_is_a_duplicate(database: Database) -> None:
    hold(database, listing("A", "X"), listing("B", "X"), listing("C", "Y"))
    assert counts(database) == {"duplicate_skus": 1}


def test_a_duplicate_is_told_with_its_listings(database: Database) -> None:
    hold(database, listing("A", "X"), listing("B", "X"), listing("C", "X"))
    (sample,) = findings(database)["duplicate_skus"].samples
    assert sample == {"sku": "X", "listings": 3, "item": "A", "other_item": "C"}


@pytest.mark.parametrize("other", ["ab-7", "AB -7", " AB-7 ", "00AB-7", "0ab- 7"])
def test_skus_that_look_alike_are_near_duplicates_and_no_exact_ones(database: Database, other: str) -> None:
    hold(database, listing("A", "AB-7"), listing("B", other))
    assert counts(database) == {"near_duplicate_skus": 1}


@pytest.mark.parametrize("other", ["AB7", "AB-70", "AB-8", "AB-07"])
def test_skus_that_are_just_similar_are_no_duplicates(database: Database, other: str) -> None:
    hold(database, listing("A", "AB-7"), listing("B", other))
    assert counts(database) == {}


@pytest.mark.parametrize("fields", [{"deleted": True}, {"active": False}])
def test_what_is_not_for_sale_duplicates_nothing(database: Database, fields: dict[str, bool]) -> None:
    hold(database, listing("A", "X"), listing("B", "X", **fields))
    assert counts(database) == {}


def test_the_same_sku_in_two_connections_is_no_duplicate(database: Database) -> None:
    hold(database, listing("A", "X"))
    hold(database, listing("B", "X"), connection=TILL)
    assert counts(database) == {}


def test_listings_without_a_sku_are_no_duplicates_of_each_other(database: Database) -> None:
    hold(database, listing("A", ""), listing("B", ""))
    assert counts(database) == {"missing_sku": 2}


# --- stock and fields ---


def test_less_than_nothing_on_hand_is_found(database: Database) -> None:
    hold(database, listing("A"), stock("A", "-1.5"), stock("A", "4", "L2"))
    assert findings(database)["negative_stock"].samples == [{"item": "A", "location": "L1", "quantity": "-1.5"}]


def test_a_negative_adjustment_of_another_state_is_no_negative_stock(database: Database) -> None:
    hold(database, listing("A"), stock("A", "-1", state="on_order"))
    assert counts(database) == {}


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({"sku": None}, "missing_sku"),
        ({"sku": "  "}, "missing_sku"),
        ({"name": None}, "missing_name"),
        ({"name": " "}, "missing_name"),
        ({"price_minor": None}, "missing_price"),
    ],
)
def test_a_field_that_is_missing_is_found(database: Database, fields: dict[str, Any], check: str) -> None:
    hold(database, listing("A", **fields), listing("B"))
    assert counts(database) == {check: 1}


def test_a_price_of_nothing_is_a_price(database: Database) -> None:
    hold(database, listing("A", price_minor=0))
    assert counts(database) == {}


@pytest.mark.parametrize("fields", [{"deleted": True}, {"active": False}])
def test_what_is_not_for_sale_may_lack_fields(database: Database, fields: dict[str, Any]) -> None:
    hold(database, listing("A", price_minor=None, **fields))
    assert counts(database) == {}


# --- orphans ---


def test_stock_of_an_unknown_listing_is_an_orphan(database: Database) -> None:
    hold(database, listing("A"), stock("A", "1"), stock("Z", "1"))
    assert [sample["item"] for sample in findings(database)["stock_without_listing"].samples] == ["Z"]


def test_stock_of_a_deleted_listing_is_an_orphan(database: Database) -> None:
    hold(database, listing("A", deleted=True), stock("A", "1"))
    assert counts(database) == {"stock_without_listing": 1}


def test_none_left_of_a_deleted_listing_is_as_it_should_be(database: Database) -> None:
    hold(database, listing("A", deleted=True), stock("A", "0"))
    assert counts(database) == {}


def test_stock_that_came_just_before_its_listing_is_no_orphan(database: Database) -> None:
    hold(database, stock("A", "1"), at=NOW - timedelta(seconds=10))
    assert counts(database) == {}


def test_stock_whose_listing_is_owed_is_no_orphan(database: Database) -> None:
    hold(database, stock("A", "1"))
    owe(database, Kind.PRODUCT, "A")
    assert counts(database) == {}


def test_a_listing_of_an_unknown_category_is_an_orphan(database: Database) -> None:
    hold(database, Category("C1"), listing("A", category_id="C1"), listing("B", category_id="C2"))
    assert counts(database) == {"listing_without_category": 1}


def test_a_listing_of_a_deleted_category_is_an_orphan(database: Database) -> None:
    hold(database, Category("C1", deleted=True), listing("A", category_id="C1"))
    assert counts(database) == {"listing_without_category": 1}


def test_a_connection_without_categories_has_no_such_orphans(database: Database) -> None:
    hold(database, listing("A", category_id="C1"))
    assert counts(database) == {}


def order(*listing_ids: str | None, modified_at: datetime = NOW - HOUR) -> Order:
    lines = [{"line_id": str(number), "listing_id": id, "quantity": "1"} for number, id in enumerate(listing_ids)]
    return Order("O1", lines=to_json(lines), modified_at=modified_at)


def test_an_order_line_of_an_unknown_listing_is_an_orphan(database: Database) -> None:
    hold(database, listing("A"), listing("B", deleted=True), order("A", "B", "Z", None))
    (sample,) = findings(database)["order_line_without_listing"].samples
    assert (sample["order_id"], sample["item"]) == ("O1", "Z")


def test_orders_of_long_ago_are_left_alone(database: Database) -> None:
    hold(database, order("Z", modified_at=NOW - timedelta(days=8)))
    assert counts(database) == {}


def summed(id: str, total: int | None, *lines: int | None) -> Order:
    kept = [{"line_id": str(number), "kind": "sold", "total_minor": minor} for number, minor in enumerate(lines)]
    return Order(id, total_minor=total, lines=to_json(kept), modified_at=NOW - 90 * 24 * HOUR)


def test_an_order_whose_lines_do_not_add_up_is_found_however_old(database: Database) -> None:
    hold(database, summed("A", 300, 100, 200), summed("B", 301, 100, 200), summed("C", -5, -5))
    (sample,) = findings(database)["order_without_its_sum"].samples
    assert (sample["order_id"], sample["total_minor"], sample["lines_minor"]) == ("B", 301, 300)


def test_an_order_of_which_not_every_amount_is_known_is_no_wrong_sum(database: Database) -> None:
    hold(database, summed("A", 300, 100, None), summed("B", None, 100), summed("C", 7))
    assert counts(database) == {}


def test_a_modifier_is_no_listing(database: Database) -> None:
    lines = to_json([{"line_id": "m", "kind": "modifier", "listing_id": "M1"}])
    hold(database, Order("O1", lines=lines, modified_at=NOW - HOUR))
    assert counts(database) == {}


# --- stale ---


@pytest.mark.parametrize(("minutes", "found"), [(59, {}), (61, {"owed_too_long": 1})])
def test_what_is_owed_for_over_an_hour_is_found(database: Database, minutes: int, found: dict[str, int]) -> None:
    owe(database, Kind.ORDER, "O1", at=NOW - timedelta(minutes=minutes))
    assert counts(database) == found


def test_what_is_owed_too_long_is_told_since_when(database: Database) -> None:
    owe(database, Kind.ORDER, "O1", at=NOW - 2 * HOUR)
    (sample,) = findings(database)["owed_too_long"].samples
    assert sample == {"first_seen_at": "2026-06-01T10:00:00+00:00", "kind": "order", "item": "O1", "attempts": 0}


def pulled(database: Database, kind: Kind, at: datetime) -> None:
    with database.begin() as conn:
        watermarks.put(conn, SHOP, kind, "1", at)


def test_a_row_not_read_while_its_kind_was_is_stale(database: Database) -> None:
    hold(database, listing("A"), at=NOW - timedelta(days=8))
    hold(database, listing("B"))
    pulled(database, Kind.PRODUCT, NOW)
    (sample,) = findings(database)["not_read_lately"].samples
    assert (sample["kind"], sample["item"]) == ("product", "A")


def test_rows_of_a_kind_that_nobody_reads_are_not_stale(database: Database) -> None:
    hold(database, listing("A"), at=NOW - timedelta(days=9))
    pulled(database, Kind.PRODUCT, NOW - timedelta(days=8))
    assert counts(database) == {}


def test_a_complete_read_speaks_for_rows_that_it_did_not_write(database: Database) -> None:
    hold(database, listing("A"), at=NOW - timedelta(days=8))
    pulled(database, Kind.PRODUCT, NOW)
    assert counts(database, confirmed=[Kind.PRODUCT]) == {}


def test_every_kind_can_be_confirmed(database: Database) -> None:
    assert counts(database, confirmed=list(Kind)) == {}


def test_a_stale_stock_row_is_told_by_its_whole_key(database: Database) -> None:
    hold(database, listing("A"))
    hold(database, stock("A", "1"), at=NOW - timedelta(days=8))
    pulled(database, Kind.STOCK, NOW)
    assert findings(database)["not_read_lately"].samples[0]["item"] == "A/L1/on_hand"


# --- between connections ---


def sell(database: Database, fields: dict[str, Any], quantity: str = "1", **how: Any) -> None:
    """One thing in both connections, as ``fields`` say in the other one."""
    hold(database, listing("A", "X"), stock("A", "1"), **how)
    hold(database, listing("V", **{"sku": "X", **fields}), stock("V", quantity), connection=TILL)


@pytest.mark.parametrize(
    ("fields", "check"), [({"name": "Other"}, "name_mismatches"), ({"price_minor": 99}, "price_mismatches")]
)
def test_listings_of_one_sku_that_differ_are_found_from_both_sides(
    database: Database, fields: dict[str, Any], check: str
) -> None:
    sell(database, fields)
    assert counts(database) == counts(database, TILL) == {check: 1}


def test_another_quantity_on_hand_is_found(database: Database) -> None:
    sell(database, {}, quantity="2.5")
    (sample,) = findings(database)["stock_mismatches"].samples
    expected = {"sku": "X", "other": TILL, "item": "A", "other_item": "V", "on_hand": "1", "other_on_hand": "2.5"}
    assert sample == expected


def test_on_hand_is_compared_as_the_exact_sum_over_locations(database: Database) -> None:
    hold(database, listing("A", "X"), stock("A", "0.3"))
    hold(database, listing("V", "X"), stock("V", "0.1"), stock("V", "0.2", "L2"), connection=TILL)
    assert counts(database) == {}


def test_stock_that_one_side_knows_nothing_of_is_no_mismatch(database: Database) -> None:
    hold(database, listing("A", "X"), stock("A", "1"))
    hold(database, listing("V", "X"), connection=TILL)
    assert counts(database) == {}


def test_prices_in_two_currencies_cannot_be_compared(database: Database) -> None:
    sell(database, {"price_minor": 99, "currency": "EUR"})
    assert counts(database) == {}


def test_skus_are_matched_without_regard_to_case_spaces_and_leading_zeros(database: Database) -> None:
    sell(database, {"sku": "0 x", "name": "Other"})
    assert counts(database) == {"name_mismatches": 1}


def test_a_sku_used_twice_makes_no_pair(database: Database) -> None:
    sell(database, {"name": "Other"})
    hold(database, listing("B", "x"))
    assert counts(database) == {"near_duplicate_skus": 1}


def test_every_other_connection_is_compared(database: Database) -> None:
    sell(database, {"name": "Other"})
    hold(database, listing("W", "X", name="Third"), connection="market")
    others = [sample["other"] for sample in findings(database)["name_mismatches"].samples]
    assert others == ["market", TILL]


@pytest.mark.parametrize(
    ("connection", "kind", "item"),
    [
        (SHOP, Kind.PRODUCT, "A"),
        (TILL, Kind.PRODUCT, "V"),
        (TILL, Kind.PRODUCT, "PARENT"),
        (SHOP, Kind.STOCK, "A"),
        (TILL, Kind.STOCK, "V"),
    ],
)
def test_a_pair_does_not_count_while_either_side_is_owed(
    database: Database, connection: str, kind: Kind, item: str
) -> None:
    sell(database, {"name": "Other", "parent_id": "PARENT"}, quantity="2")
    owe(database, kind, item, connection=connection)
    assert counts(database) == {}


def test_another_items_being_owed_hides_nothing(database: Database) -> None:
    sell(database, {"name": "Other"})
    owe(database, Kind.PRODUCT, "Z")
    assert counts(database) == {"name_mismatches": 1}


@pytest.mark.parametrize(("seconds", "found"), [(59, {}), (61, {"name_mismatches": 1, "stock_mismatches": 1})])
def test_a_pair_written_within_the_last_minute_does_not_count(
    database: Database, seconds: int, found: dict[str, int]
) -> None:
    sell(database, {"name": "Other"}, quantity="2", at=NOW - timedelta(seconds=seconds))
    assert counts(database) == found


def test_listings_without_stock_that_were_just_written_do_not_count(database: Database) -> None:
    hold(database, listing("A", "X"))
    hold(database, listing("V", "X", name="Other"), connection=TILL, at=NOW - timedelta(seconds=30))
    assert counts(database) == {}


def test_stock_written_within_the_last_minute_does_not_count(database: Database) -> None:
    sell(database, {})
    later = StockCount("V", "L1", "on_hand", Decimal(7), version=1)
    hold(database, later, connection=TILL, at=NOW - timedelta(seconds=30))
    assert counts(database) == {}


def test_while_a_connection_is_to_be_looked_at_what_came_since_does_not_count(database: Database) -> None:
    sell(database, {"name": "Other"}, at=NOW - timedelta(minutes=5))
    owe(database, Kind.PRODUCT, ALL_ITEMS, connection=TILL, at=NOW - timedelta(minutes=6))
    assert counts(database) == {}


def test_a_look_that_was_announced_later_hides_nothing(database: Database) -> None:
    sell(database, {"name": "Other"}, at=NOW - timedelta(minutes=5))
    owe(database, Kind.PRODUCT, ALL_ITEMS, connection=TILL, at=NOW - timedelta(minutes=2))
    assert counts(database) == {"name_mismatches": 1}


# --- samples ---


@pytest.mark.parametrize("samples", [0, 1, 3])
def test_there_are_as_many_samples_as_were_asked_for_and_all_are_counted(database: Database, samples: int) -> None:
    hold(database, *(listing(name, price_minor=None) for name in "ABCDE"))
    found = findings(database, samples=samples)["missing_price"]
    assert (found.rows, len(found.samples)) == (5, samples)


# --- records as they came ---


@pytest.mark.parametrize(
    "record",
    [
        listing("A", modified_at=NOW + HOUR),
        listing("A", version=micros(NOW + 24 * HOUR)),
        listing("A", modified_at=NOW + 365 * 24 * HOUR, deleted=True),
        Order("A", modified_at=NOW + HOUR),
        Location("A", version=micros(NOW + HOUR)),
        Category("A", version=micros(NOW + HOUR)),
    ],
    ids=["modified later", "versioned later", "deleted later", "order", "location", "category"],
)
def test_what_is_dated_in_the_future_is_found(database: Database, record: Record) -> None:
    hold(database, record, at=AHEAD)
    assert counts(database) == {"from_the_future": 1}


def test_stock_with_a_version_of_the_future_is_found_with_its_key(database: Database) -> None:
    hold(database, listing("A"), StockCount("A", "L1", "on_hand", Decimal(1), version=micros(NOW + HOUR)), at=AHEAD)
    (sample,) = findings(database)["from_the_future"].samples
    assert sample == {"kind": "stock", "item": "A/L1/on_hand", "modified_at": None}


def test_clocks_that_differ_by_a_minute_are_no_future(database: Database) -> None:
    soon = NOW + timedelta(minutes=1)
    hold(database, listing("A", modified_at=soon, version=micros(soon)))
    assert counts(database) == {}


@pytest.mark.parametrize("fields", [{"name": "a\ufffdb"}, {"sku": "\ufffd"}, {"description": "x" * 5_000 + "\ufffd"}])
def test_a_text_that_could_not_be_held_is_found(database: Database, fields: dict[str, str]) -> None:
    hold(database, listing("A", **fields), listing("B"))
    assert findings(database)["unheld_texts"].samples == [{"kind": "product", "item": "A"}]


def test_a_key_that_could_not_be_held_is_found(database: Database) -> None:
    hold(database, Location("L\ufffd1"))
    assert counts(database) == {"unheld_texts": 1}


def test_other_odd_characters_are_no_finding(database: Database) -> None:
    hold(database, listing("A", name="\ufffc \ufffe 🧵 '"))
    assert counts(database) == {}


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "America", "a\ufffcb", "x" * 500])
def test_a_location_in_an_unknown_time_zone_is_found(database: Database, zone: str) -> None:
    hold(database, Location("L1", name="Shop", timezone=zone))
    assert findings(database)["unknown_time_zones"].samples == [{"location": "L1", "name": "Shop", "timezone": zone}]


@pytest.mark.parametrize(
    "location", [Location("L1", timezone="Europe/Vienna"), Location("L1"), Location("L1", timezone="UTC")]
)
def test_a_location_whose_time_zone_is_known_or_not_said_is_sound(database: Database, location: Location) -> None:
    hold(database, location)
    assert counts(database) == {}


def test_items_that_still_fail_are_counted_and_told_by_kind(database: Database) -> None:
    refs = [Ref(Kind.PRODUCT, "A"), Ref(Kind.PRODUCT, "B"), Ref(Kind.ORDER, "7"), Ref(Kind.STOCK, "S")]
    with database.begin() as conn:
        for ref in refs:
            failed_items.record(conn, 1, SHOP, ref, category="mapping", error=ValueError("quantity: ''"), now=NOW)
        failed_items.resolve(conn, SHOP, Kind.STOCK, ["S"], NOW)
    found = findings(database)["failed_items"]
    assert (found.rows, [(one["kind"], one["items"], one["item"]) for one in found.samples]) == (
        3,
        [("order", 1, "7"), ("product", 2, "A")],
    )


PRICES = to_json(
    [
        {"productPriceTypeId": "LIST_PRICE"},
        {"productPriceTypeId": "##user5", "price": 0},
        {"productPriceTypeId": "##user6", "price": 11.69},
    ]
)


def test_listings_whose_prices_are_all_in_lists_that_do_not_count_name_the_lists(database: Database) -> None:
    hold(
        database,
        listing("A", price_minor=None, prices=PRICES),
        listing("B", price_minor=None, prices=to_json([{"productPriceTypeId": "##user6", "price": 2}])),
        listing("C", prices=PRICES),
        listing("D", price_minor=None, prices=to_json([{"location_id": "L1", "price_minor": 5}])),
        listing("E", price_minor=None, prices="spoilt by hand"),
        listing("F", price_minor=None, prices=PRICES, active=False),
    )
    lists = [
        {"price_list": "##user6", "listings": 2, "item": "A"},
        {"price_list": "##user5", "listings": 1, "item": "A"},
    ]
    assert findings(database)["price_list_not_chosen"] == Finding("price_list_not_chosen", 2, lists)
