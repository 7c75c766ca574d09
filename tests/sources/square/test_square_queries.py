"""A search of the simulator finds what was asked for, and nothing else."""

from typing import Any

import pytest

from tests.sources.square.square_account import Account, Simulate
from tests.sources.square.square_asking import (
    BATCH,
    COUNTS,
    ORDERS,
    SEARCH,
    VENDORS,
    Json,
    document_of,
    every,
    get,
    order_query,
    post,
)

TYPES = ["ITEM", "ITEM_VARIATION", "CATEGORY", "TAX", "MODIFIER_LIST", "MODIFIER", "ITEM_OPTION", "IMAGE"]


def matching_objects(account: Account, query: Json, types: list[str] | None = None, **more: Any) -> list[Json]:
    """The objects that a catalog search finds."""
    named = {"object_types": types} if types else {}
    return every(account, SEARCH, {**named, "query": query, **more}, "objects")


def names(things: list[Json]) -> list[str]:
    """The names of items."""
    return [thing["item_data"]["name"] for thing in things]


def test_a_search_without_types_finds_every_type_at_the_top(still: Account) -> None:
    types = {thing["type"] for thing in every(still, SEARCH, {}, "objects")}
    assert types == {"ITEM", "CATEGORY", "TAX", "MODIFIER_LIST", "MEASUREMENT_UNIT", "ITEM_OPTION"}


def test_an_exact_query_finds_one_sku(still: Account) -> None:
    row = still.truth("product")[11]
    query = {"exact_query": {"attribute_name": "sku", "attribute_value": row["sku"].lower()}}
    assert [one["id"] for one in matching_objects(still, query, TYPES)] == [row["external_id"]]


def test_an_exact_query_does_not_match_a_part(still: Account) -> None:
    part = still.truth("product")[11]["sku"][:-1]
    assert matching_objects(still, {"exact_query": {"attribute_name": "sku", "attribute_value": part}}, TYPES) == []


def test_a_prefix_query_finds_what_begins_so(still: Account) -> None:
    things = matching_objects(
        still, {"prefix_query": {"attribute_name": "name", "attribute_prefix": "cop"}}, ["ITEM"]
    )
    wanted = {row["parent_id"] for row in still.truth("product") if row["name"].startswith("Copper")}
    assert {thing["id"] for thing in things} == wanted != set()


def test_a_set_query_finds_any_of_its_values(still: Account) -> None:
    rows = still.truth("product")[:3]
    query = {"set_query": {"attribute_name": "sku", "attribute_values": [row["sku"] for row in rows]}}
    assert {one["id"] for one in matching_objects(still, query, TYPES)} == {row["external_id"] for row in rows}


def test_a_text_query_finds_words_in_any_order(still: Account) -> None:
    name = names(matching_objects(still, {}, ["ITEM"]))[0]
    words = [word[:4] for word in reversed(name.lower().split())]
    things = matching_objects(still, {"text_query": {"keywords": words}}, ["ITEM"])
    assert set(names(things)) == {name}


def test_a_text_query_without_a_match_finds_nothing(still: Account) -> None:
    assert matching_objects(still, {"text_query": {"keywords": ["copper", "zzzz"]}}, TYPES) == []


def test_a_sorted_query_sorts_through_all_pages(still: Account) -> None:
    query = {"sorted_attribute_query": {"attribute_name": "name", "sort_order": "DESC"}}
    shown = names(matching_objects(still, query, ["ITEM"], limit=7))
    assert (shown, len(shown)) == (sorted(shown, key=str.casefold, reverse=True), 60)


def test_a_sorted_query_begins_at_a_value(still: Account) -> None:
    query = {"sorted_attribute_query": {"attribute_name": "name", "initial_attribute_value": "Oak"}}
    assert names(matching_objects(still, query, ["ITEM"]))[0].startswith("Oak")


def test_a_prefix_query_can_be_sorted(still: Account) -> None:
    query = {
        "prefix_query": {"attribute_name": "name", "attribute_prefix": "C"},
        "sorted_attribute_query": {"attribute_name": "name"},
    }
    shown = names(matching_objects(still, query, ["ITEM"]))
    assert shown == sorted(shown) != []


def test_items_are_found_by_their_tax(still: Account) -> None:
    tax = still.world.catalog.things.all[1]
    things = matching_objects(still, {"items_for_tax_query": {"tax_ids": [tax.id]}})
    assert {tax.id in thing["item_data"]["tax_ids"] for thing in things} == {True}
    assert len(things) == sum(index % 10 == 0 for index in range(60))


def test_items_are_found_by_their_modifier_list(still: Account) -> None:
    modifiers = next(one for one in still.world.catalog.things.all if one.type == "MODIFIER_LIST")
    things = matching_objects(still, {"items_for_modifier_list_query": {"modifier_list_ids": [modifiers.id]}})
    assert len(things) == sum(index % 8 == 1 for index in range(60))


def test_items_are_found_by_their_option(still: Account) -> None:
    option = next(one for one in still.world.catalog.things.all if one.type == "ITEM_OPTION")
    things = matching_objects(still, {"items_for_item_options_query": {"item_option_ids": [option.id]}})
    assert {len(thing["item_data"]["variations"]) > 1 for thing in things} == {True}


def test_variations_are_found_by_their_option_value(still: Account) -> None:
    value = matching_objects(still, {}, ["ITEM_OPTION_VAL"])[0]
    query = {"item_variations_for_item_option_values_query": {"item_option_value_ids": [value["id"]]}}
    shown = {one["item_variation_data"]["name"] for one in matching_objects(still, query)}
    assert shown == {value["item_option_value_data"]["name"]}


def test_a_modifier_is_found_by_its_id(still: Account) -> None:
    modifier = matching_objects(still, {}, ["MODIFIER"])[1]
    assert document_of(post(still, BATCH, {"object_ids": [modifier["id"]]}))["objects"] == [modifier]


def test_a_search_shows_the_path_of_its_categories(still: Account) -> None:
    things = matching_objects(still, {}, ["CATEGORY"], include_category_path_to_root=True)
    paths = {thing["category_data"]["name"]: thing["category_data"].get("path_to_root") for thing in things}
    assert [node["category_name"] for node in paths["Bath"] or []] == ["Living"]


def test_related_objects_are_what_the_answer_names_and_does_not_hold(still: Account) -> None:
    answer = document_of(post(still, SEARCH, {"object_types": ["ITEM"], "limit": 5, "include_related_objects": True}))
    named = {
        *(one["item_data"]["reporting_category"]["id"] for one in answer["objects"]),
        *(id_ for one in answer["objects"] for id_ in one["item_data"].get("tax_ids", [])),
        *(id_ for one in answer["objects"] for id_ in one["item_data"].get("image_ids", [])),
    }
    related = {one["id"] for one in answer["related_objects"]}
    assert named <= related
    assert {one["type"] for one in answer["related_objects"]} <= {*TYPES, "MEASUREMENT_UNIT", "ITEM_OPTION_VAL"}


def test_nothing_is_related_unasked(still: Account) -> None:
    assert "related_objects" not in document_of(post(still, SEARCH, {"object_types": ["ITEM"]}))


def test_a_variation_is_related_to_its_item(still: Account) -> None:
    row = still.truth("product")[4]
    answer = document_of(post(still, BATCH, {"object_ids": [row["external_id"]], "include_related_objects": True}))
    assert row["parent_id"] in {one["id"] for one in answer["related_objects"]}


def test_one_object_is_shown_with_what_it_names(still: Account) -> None:
    item = still.world.catalog.item_id(0)
    answer = document_of(get(still, f"/v2/catalog/object/{item}", {"include_related_objects": "true"}))
    assert {"CATEGORY", "TAX", "IMAGE"} <= {one["type"] for one in answer["related_objects"]}


def test_what_is_related_is_no_list_of_the_related(still: Account) -> None:
    bath = next(category for category in still.world.catalog.categories if category.name == "Bath")
    body = {"object_ids": [bath.id], "include_related_objects": True}
    assert [one["category_data"]["name"] for one in document_of(post(still, BATCH, body))["related_objects"]] == [
        "Living"
    ]


@pytest.mark.parametrize("state", ["NONE", "SOLD", "UNLINKED_RETURN"])
def test_a_filter_by_a_state_without_counts_is_ignored_as_square_documents(still: Account, state: str) -> None:
    assert every(still, COUNTS, {"states": [state]}, "counts") == every(still, COUNTS, {}, "counts")


def test_a_state_without_counts_widens_no_other_filter(still: Account) -> None:
    rows = every(still, COUNTS, {"states": ["NONE", "ORDERED_FROM_VENDOR"]}, "counts")
    assert {row["state"] for row in rows} == {"ORDERED_FROM_VENDOR"}


def test_counts_of_one_can_be_had_for_one_location(still: Account) -> None:
    id_ = still.world.catalog.variation_id(3)
    rows = document_of(get(still, f"/v2/inventory/{id_}"))["counts"]
    here = rows[0]["location_id"]
    narrowed = document_of(get(still, f"/v2/inventory/{id_}", {"location_ids": f"{here},LOTHER"}))["counts"]
    assert (len(rows), narrowed) == (2, [row for row in rows if row["location_id"] == here])


def test_vendors_come_sorted_by_name(still: Account) -> None:
    rows = every(still, VENDORS, {"sort": {"field": "NAME", "order": "DESC"}}, "vendors")
    shown = [row["name"] for row in rows]
    assert shown == sorted(shown, reverse=True) != [row["name"] for row in every(still, VENDORS, {}, "vendors")]


def orders(account: Account, **filters: Any) -> list[Json]:
    """The orders that a search finds."""
    return every(account, ORDERS, order_query(account, **filters), "orders")


def test_orders_are_found_by_their_source(still: Account) -> None:
    rows = orders(still, source_filter={"source_names": ["Web shop"]})
    assert {row["source"]["name"] for row in rows} == {"Web shop"}
    assert len(rows) < len(orders(still))


def test_orders_are_found_by_the_customer_of_a_tender(still: Account) -> None:
    customer = next(one["party_id"] for one in still.truth("order") if one["party_id"])
    rows = orders(still, customer_filter={"customer_ids": [customer]})
    wanted = {one["external_id"] for one in still.truth("order") if one["party_id"] == customer}
    assert {row["id"] for row in rows} == wanted != set()


@pytest.mark.parametrize(
    ("name", "value", "field"), [("fulfillment_types", "PICKUP", "type"), ("fulfillment_states", "PROPOSED", "state")]
)
def test_orders_are_found_by_their_fulfillment(still: Account, name: str, value: str, field: str) -> None:
    rows = orders(still, fulfillment_filter={name: [value]})
    wanted = [row for row in orders(still) if any(part[field] == value for part in row.get("fulfillments", []))]
    assert rows == wanted != []


def test_filters_of_orders_are_all_applied(still: Account) -> None:
    rows = orders(still, source_filter={"source_names": ["Point of Sale"]}, state_filter={"states": ["OPEN"]})
    assert rows == []


def test_orders_by_id_can_be_had_for_one_location(still: Account) -> None:
    rows = orders(still)
    body = {"order_ids": [row["id"] for row in rows], "location_id": still.world.location_ids[0]}
    here = document_of(post(still, "/v2/orders/batch-retrieve", body))["orders"]
    assert {row["location_id"] for row in here} == {still.world.location_ids[0]}


def test_events_are_found_by_their_type(simulate: Simulate) -> None:
    account = simulate(events_enabled=True)
    account.change(12, "pos_sale", "price_edit")
    rows = every(account, "/v2/events", {"query": {"filter": {"event_types": ["payment.created"]}}}, "events")
    assert {row["type"] for row in rows} == {"payment.created"}


def test_events_of_another_merchant_are_not_found_under_ours(simulate: Simulate) -> None:
    account = simulate(events_enabled=True)
    account.change(5, "pos_sale")
    assert every(account, "/v2/events", {"query": {"filter": {"merchant_ids": ["MOTHER"]}}}, "events") == []


def test_event_types_are_those_of_a_version(still: Account) -> None:
    old = document_of(get(still, "/v2/events/types", {"api_version": "2020-03-01"}))["event_types"]
    new = document_of(get(still, "/v2/events/types"))["event_types"]
    assert ("payment.created" in old, "vendor.created" in old, set(old) < set(new)) == (True, False, True)
