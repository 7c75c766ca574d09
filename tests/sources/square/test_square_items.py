"""Searching the simulator for items by what they are, where they are sold, and what is left of them."""

from decimal import Decimal
from typing import Any

import pytest

from tests.sources.square.square_account import Account
from tests.sources.square.square_asking import COUNTS, ITEMS, SEARCH, Json, document_of, every, post, refusal


def items(account: Account, **body: Any) -> list[Json]:
    """The items that a search finds, on all pages."""
    return every(account, ITEMS, body, "items")


def everything(account: Account) -> list[Json]:
    """Every item there is."""
    return every(account, SEARCH, {"object_types": ["ITEM"]}, "objects")


def ids(things: list[Json]) -> set[str]:
    """The ids of some objects."""
    return {thing["id"] for thing in things}


def test_items_come_by_name(still: Account) -> None:
    names = [one["item_data"]["name"] for one in items(still, limit=9)]
    assert names == sorted(names, key=str.casefold) != []


def test_archived_items_are_not_found_unasked(still: Account) -> None:
    archived = {one["id"] for one in everything(still) if one["item_data"].get("is_archived")}
    assert ids(everything(still)) - ids(items(still)) == archived != set()


def test_archived_items_are_found_where_asked(still: Account) -> None:
    row = items(still, archived_state="ARCHIVED_STATE_ARCHIVED")
    assert {one["item_data"]["is_archived"] for one in row} == {True}


def test_items_are_found_by_their_category(still: Account) -> None:
    category = still.world.catalog.categories[2].id
    row = items(still, category_ids=[category])
    assert {one["item_data"]["reporting_category"]["id"] for one in row} == {category}


def test_items_are_found_by_their_product_type(still: Account) -> None:
    row = items(still, product_types=["GIFT_CARD"])
    assert [one["item_data"]["product_type"] for one in row] == ["GIFT_CARD"]


def test_a_text_finds_an_item_by_the_sku_of_a_variation(still: Account) -> None:
    row = still.truth("product")[20]
    answer = document_of(post(still, ITEMS, {"text_filter": row["sku"]}))
    assert (ids(answer["items"]), answer["matched_variation_ids"]) == ({row["parent_id"]}, [row["external_id"]])


def test_items_are_found_where_they_are_sold(still: Account) -> None:
    first, last = still.world.location_ids[0], still.world.location_ids[-1]
    absent = {one["id"] for one in everything(still) if last not in places(one, [first, last])}
    all_ = ids(items(still, archived_state="ARCHIVED_STATE_ALL"))
    assert (
        all_ - ids(items(still, archived_state="ARCHIVED_STATE_ALL", enabled_location_ids=[last])) == absent != set()
    )


def places(item: Json, all_places: list[str]) -> list[str]:
    """Where an item is sold."""
    if item["present_at_all_locations"]:
        return [place for place in all_places if place not in item.get("absent_at_location_ids", [])]
    return list(item.get("present_at_location_ids", []))


def test_what_is_sold_out_is_found(still: Account) -> None:
    counts = every(still, COUNTS, {"states": ["IN_STOCK"]}, "counts")
    out = {row["catalog_object_id"] for row in counts if Decimal(row["quantity"]) <= 0}
    answer = document_of(post(still, ITEMS, {"stock_levels": ["OUT"], "archived_state": "ARCHIVED_STATE_ALL"}))
    assert set(answer["matched_variation_ids"]) == out != set()


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"limit": 101}, "VALUE_TOO_HIGH", "limit"),
        ({"limit": 0}, "VALUE_TOO_LOW", "limit"),
        ({"stock_levels": ["MUCH"]}, "INVALID_ENUM_VALUE", "stock_levels[0]"),
        ({"query": {}}, "UNKNOWN_BODY_PARAMETER", "query"),
        ({"custom_attribute_filters": [{"key": "colour"}]}, "INVALID_VALUE", "custom_attribute_filters"),
    ],
)
def test_what_the_search_cannot_take_is_refused(still: Account, body: Json, code: str, field: str) -> None:
    assert refusal(post(still, ITEMS, body)) == (400, code, field)
