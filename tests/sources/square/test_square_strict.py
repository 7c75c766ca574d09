"""What a field cannot hold is refused in Square's words: nothing that a request asks for is silently ignored."""

from typing import Any

import pytest

from tests.sources.square.square_account import Account
from tests.sources.square.square_asking import (
    BATCH,
    CHANGES,
    COUNTS,
    ORDERS,
    SEARCH,
    VENDORS,
    Json,
    document_of,
    get,
    order_query,
    post,
    refusal,
)

ENUM, UNKNOWN, LOW, HIGH = "INVALID_ENUM_VALUE", "UNKNOWN_BODY_PARAMETER", "VALUE_TOO_LOW", "VALUE_TOO_HIGH"

REFUSED: list[tuple[str, Json, str, str]] = [
    (SEARCH, {"object_types": ["ITEMS"]}, ENUM, "object_types[0]"),
    (SEARCH, {"object_types": "ITEM"}, "EXPECTED_ARRAY", "object_types"),
    (SEARCH, {"types": ["ITEM"]}, UNKNOWN, "types"),
    (SEARCH, {"limit": "100"}, "EXPECTED_INTEGER", "limit"),
    (SEARCH, {"begin_time": "yesterday"}, "INVALID_TIME", "begin_time"),
    (SEARCH, {"begin_time": "2026-01-01"}, "INVALID_TIME", "begin_time"),
    (SEARCH, {"include_deleted_objects": "yes"}, "EXPECTED_BOOLEAN", "include_deleted_objects"),
    (SEARCH, {"query": {"exact": {}}}, UNKNOWN, "query.exact"),
    (
        SEARCH,
        {"query": {"exact_query": {"attribute_name": "name"}}},
        "MISSING_REQUIRED_PARAMETER",
        "query.exact_query.attribute_value",
    ),
    (
        SEARCH,
        {"query": {"exact_query": {"attribute_name": "price", "attribute_value": "1"}}},
        "INVALID_VALUE",
        "query.exact_query.attribute_name",
    ),
    (
        SEARCH,
        {"query": {"prefix_query": {"attribute_name": "ordinal", "attribute_prefix": "1"}}},
        "INVALID_VALUE",
        "query.prefix_query.attribute_name",
    ),
    (
        SEARCH,
        {"query": {"range_query": {"attribute_name": "name", "attribute_min_value": 1}}},
        "INVALID_VALUE",
        "query.range_query.attribute_name",
    ),
    (
        SEARCH,
        {"query": {"text_query": {"keywords": ["one", "two", "three", "four"]}}},
        "ARRAY_LENGTH_TOO_LONG",
        "query.text_query.keywords",
    ),
    (
        SEARCH,
        {"query": {"set_query": {"attribute_name": "sku", "attribute_values": ["x"] * 251}}},
        "ARRAY_LENGTH_TOO_LONG",
        "query.set_query.attribute_values",
    ),
    (
        SEARCH,
        {"query": {"items_for_tax_query": {"tax_ids": ["x"]}, "text_query": {"keywords": ["oak"]}}},
        "CONFLICTING_PARAMETERS",
        "query",
    ),
    (
        SEARCH,
        {"query": {"sorted_attribute_query": {"attribute_name": "name", "sort_order": "UP"}}},
        ENUM,
        "query.sorted_attribute_query.sort_order",
    ),
    (SEARCH, {"cursor": "x", "include_related_objects": True}, "INVALID_CURSOR", "cursor"),
    (BATCH, {}, "MISSING_REQUIRED_PARAMETER", "object_ids"),
    (BATCH, {"object_ids": ["x"] * 1001}, "ARRAY_LENGTH_TOO_LONG", "object_ids"),
    (BATCH, {"object_ids": ["x"], "catalog_version": 5}, "INVALID_VALUE", "catalog_version"),
    (BATCH, {"object_ids": [7]}, "EXPECTED_STRING", "object_ids[0]"),
    (COUNTS, {"states": ["IN_STOK"]}, ENUM, "states[0]"),
    (COUNTS, {"limit": 0}, LOW, "limit"),
    (COUNTS, {"limit": -1}, LOW, "limit"),
    (COUNTS, {"limit": 1001}, HIGH, "limit"),
    (COUNTS, {"updated_before": "2026-01-01T00:00:00Z"}, UNKNOWN, "updated_before"),
    (COUNTS, {"location_ids": "L1"}, "EXPECTED_ARRAY", "location_ids"),
    (CHANGES, {"limit": 1001}, HIGH, "limit"),
    (CHANGES, {"types": ["TRANSFERS"]}, ENUM, "types[0]"),
    (CHANGES, {"sort": {"field": "CREATED_AT"}}, ENUM, "sort.field"),
    (CHANGES, {"states": ["SOLD"], "reason_ids": [{"type": "SALE"}]}, "CONFLICTING_PARAMETERS", "reason_ids"),
    (VENDORS, {"sort": {"field": "STATUS"}}, ENUM, "sort.field"),
    (VENDORS, {"filter": {"status": ["GONE"]}}, ENUM, "filter.status[0]"),
    (VENDORS, {"query": {"filter": {}}}, UNKNOWN, "query"),
    (VENDORS, {"limit": 5}, UNKNOWN, "limit"),
    ("/v2/vendors/bulk-retrieve", {"ids": ["x"]}, UNKNOWN, "ids"),
    ("/v2/orders/batch-retrieve", {}, "MISSING_REQUIRED_PARAMETER", "order_ids"),
]


@pytest.mark.parametrize(("path", "body", "code", "field"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_a_field_cannot_hold_is_refused(still: Account, path: str, body: Json, code: str, field: str) -> None:
    assert refusal(post(still, path, body)) == (400, code, field)


DAY: Json = {"date_time_filter": {"created_at": {"start_at": "2026-01-01"}}}  # a day is no moment
FILTER, LONG = "query.filter.", "ARRAY_LENGTH_TOO_LONG"
ORDER_REFUSED: list[tuple[Json, str, str]] = [
    ({"state_filter": {"states": ["DONE"]}}, ENUM, FILTER + "state_filter.states[0]"),
    ({"state_filter": {}}, "MISSING_REQUIRED_PARAMETER", FILTER + "state_filter.states"),
    ({"fulfillment_filter": {"fulfillment_types": ["POST"]}}, ENUM, FILTER + "fulfillment_filter.fulfillment_types[0]"),
    ({"source_filter": {"source_names": ["x"] * 11}}, LONG, FILTER + "source_filter.source_names"),
    ({"customer_filter": {"customer_ids": ["x"] * 11}}, LONG, FILTER + "customer_filter.customer_ids"),
    (DAY, "INVALID_TIME", FILTER + "date_time_filter.created_at.start_at"),
]  # fmt: skip


@pytest.mark.parametrize(("filters", "code", "field"), ORDER_REFUSED, ids=lambda value: str(value)[:60])
def test_an_order_filter_that_cannot_be_is_refused(still: Account, filters: Json, code: str, field: str) -> None:
    assert refusal(post(still, ORDERS, order_query(still, **filters))) == (400, code, field)


@pytest.mark.parametrize("limit", [0, -3, 1001])
def test_an_order_search_takes_one_to_a_thousand(still: Account, limit: int) -> None:
    assert post(still, ORDERS, {**order_query(still), "limit": limit}).status_code == 400


@pytest.mark.parametrize("limit", [0, -3, 1001])
def test_a_catalog_search_ignores_a_limit_out_of_range_as_square_documents(still: Account, limit: int) -> None:
    items = document_of(post(still, SEARCH, {"object_types": ["ITEM"], "limit": limit}))
    assert len(items["objects"]) == 60


def test_an_unknown_sort_field_of_orders_is_refused(still: Account) -> None:
    body = {**order_query(still), "query": {"sort": {"sort_field": "TOTAL"}}}
    assert refusal(post(still, ORDERS, body)) == (400, ENUM, "query.sort.sort_field")


def test_an_order_search_ignores_fields_that_do_not_exist_as_square_was_seen_to(still: Account) -> None:
    body = {**order_query(still), "sort": {"sort_field": "UPDATED_AT"}}
    assert document_of(post(still, ORDERS, body)) == document_of(post(still, ORDERS, order_query(still)))


GETS: list[tuple[str, Json]] = [
    ("/v2/catalog/list", {"types": "ITEM", "limit": 5}),
    ("/v2/catalog/info", {"what": "all"}),
    ("/v2/locations", {"status": "ACTIVE"}),
    ("/v2/inventory/VARX", {"states": "IN_STOCK"}),
    ("/v2/inventory/VARX/changes", {"types": "ADJUSTMENT"}),
    ("/v2/merchants", {"limit": 1}),
    ("/v2/webhooks/event-types", {"version": "2026-01-01"}),
]


@pytest.mark.parametrize(("path", "params"), GETS)
def test_an_unknown_query_parameter_is_refused(still: Account, path: str, params: dict[str, Any]) -> None:
    assert refusal(get(still, path, params))[:2] == (400, "UNKNOWN_QUERY_PARAMETER")


def test_an_unknown_type_in_a_list_is_refused(still: Account) -> None:
    assert refusal(get(still, "/v2/catalog/list", {"types": "ITEM,THING"})) == (400, ENUM, "types")


def test_a_type_in_a_list_may_be_written_small(still: Account) -> None:
    assert len(document_of(get(still, "/v2/catalog/list", {"types": "item"}))["objects"]) == 60


def test_a_version_of_the_catalog_that_is_past_is_refused(still: Account) -> None:
    assert refusal(get(still, "/v2/catalog/list", {"catalog_version": "5"}))[1] == "INVALID_VALUE"


def test_a_path_that_square_has_and_the_simulator_has_not_is_404(still: Account) -> None:
    assert refusal(post(still, "/v2/payments/search"))[:2] == (404, "NOT_FOUND")


def test_a_refusal_is_worded_as_square_words_it(still: Account) -> None:
    error = post(still, VENDORS, {"sort": {"order": "ASCS"}}).json()["errors"][0]
    assert error == {
        "category": "INVALID_REQUEST_ERROR",
        "code": "INVALID_ENUM_VALUE",
        "detail": "`ASCS` is not a valid enum value for `sort.order`.",
        "field": "sort.order",
    }


@pytest.mark.parametrize("version", ["yesterday", "2026-13-01", "2031-01-01"])
def test_a_version_that_is_none_is_refused(still: Account, version: str) -> None:
    assert get(still, "/v2/locations", square_version=version).status_code == 400


def test_a_time_range_that_ends_before_it_begins_is_refused(still: Account) -> None:
    times = {"start_at": "2026-05-01T00:00:00Z", "end_at": "2026-04-01T00:00:00Z"}
    answer = post(still, ORDERS, order_query(still, date_time_filter={"created_at": times}))
    assert refusal(answer)[1] == "INVALID_TIME_RANGE"
