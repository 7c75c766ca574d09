"""The simulator behaves as Square was seen to behave, and its knobs do what they say."""

from typing import Any

import httpx
import pytest

from app.sources.simulating.merchandise import ware
from app.sources.square.client import CATALOG_IDS
from app.sources.square.simulator import create
from tests.sources.square.square_account import TOKEN, Account, Simulate
from tests.sources.square.square_asking import document_of, get


def call(account: Account, path: str, body: dict[str, Any]) -> httpx.Response:
    return account.control.post(path, json=body, headers={"authorization": f"Bearer {TOKEN}"})


def search(account: Account, **body: Any) -> dict[str, Any]:
    found: dict[str, Any] = call(account, "/v2/catalog/search", body).json()
    return found


def test_the_same_seed_gives_the_same_shop(simulate: Simulate) -> None:
    assert simulate(seed=3).truth("product") == simulate(seed=3).truth("product")


def test_another_seed_gives_another_account(simulate: Simulate) -> None:
    ids = [{row["external_id"] for row in simulate(seed=seed).truth("product")} for seed in (3, 4)]
    assert not ids[0] & ids[1]


def test_the_shop_sells_the_common_wares_in_order(simulate: Simulate) -> None:
    rows = simulate(products=12, seed=3).truth("product")
    assert [row["sku"] for row in rows] == [ware(3, number).sku for number in range(18)]


def test_every_third_item_has_several_variations(simulate: Simulate) -> None:
    parents = [row["parent_id"] for row in simulate(products=600).truth("product")]
    assert sum(parents.count(one) > 1 for one in set(parents)) == 200


@pytest.mark.parametrize(
    "options", [{"colour": "blue"}, {"products": "many"}, {"products": 0, "changes_per_minute": 1}]
)
def test_a_wrong_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="simulator option"):
        create(options)


@pytest.mark.parametrize("faults", [{"colour": 1}, {"products": 5}, {"drop": "often"}])
def test_a_wrong_fault_is_refused(simulate: Simulate, faults: dict[str, Any]) -> None:
    assert simulate().control.post("/_sim/faults", json=faults).status_code == 400


def test_the_list_call_shows_every_live_object(simulate: Simulate) -> None:
    account, rows = simulate(products=250), 0
    cursor: str | None = ""
    while cursor is not None:
        params = {"types": "ITEM,CATEGORY", **({"cursor": cursor} if cursor else {})}
        page = document_of(get(account, "/v2/catalog/list", params))
        cursor, rows = page.get("cursor"), rows + len(page["objects"])
    assert rows == 256


def test_the_live_limits_are_those_we_use(simulate: Simulate) -> None:
    limits = document_of(get(simulate(), "/v2/catalog/info"))["limits"]
    assert limits["batch_retrieve_max_object_ids"] == CATALOG_IDS


def test_an_unknown_kind_of_change_is_refused(simulate: Simulate) -> None:
    assert simulate().control.post("/_sim/changes", json={"kinds": ["weather"]}).status_code == 400


def test_a_small_shop_is_never_emptied(simulate: Simulate) -> None:
    account = simulate(products=6)
    account.change(50, "delete_item")
    assert account.truth("product")


def test_the_version_is_the_time_of_the_update_in_milliseconds(simulate: Simulate) -> None:
    thing = search(simulate(), object_types=["ITEM"], limit=1)["objects"][0]
    assert (thing["version"], thing["updated_at"]) == (1_767_225_600_000, "2026-01-01T00:00:00Z")


def test_the_begin_of_a_search_is_exclusive(simulate: Simulate) -> None:
    account = simulate()
    account.change(1, "rename_item")
    latest = search(account, object_types=["ITEM"])["latest_time"]
    assert "objects" not in search(account, object_types=["ITEM"], begin_time=latest)


def test_deleted_objects_come_with_a_begin_even_unasked(simulate: Simulate) -> None:
    account = simulate()
    gone = account.change(1, "delete_item")[0]["external_id"]
    found = search(account, object_types=["ITEM"], begin_time="2026-02-01T00:00:00Z", include_deleted_objects=False)
    assert [thing["id"] for thing in found["objects"]] == [gone]


def test_a_deleted_item_loses_its_variations(simulate: Simulate) -> None:
    account = simulate()
    account.change(1, "delete_item")
    found = search(account, object_types=["ITEM", "ITEM_VARIATION"], begin_time="2026-02-01T00:00:00Z")["objects"]
    assert [thing["type"] for thing in found if "variations" not in thing.get("item_data", {})][:1] == ["ITEM"]


def test_deleted_objects_and_category_paths_exclude_each_other(simulate: Simulate) -> None:
    body = {"include_deleted_objects": True, "include_category_path_to_root": True}
    assert call(simulate(), "/v2/catalog/search", body).status_code == 500


def test_the_catalog_cannot_be_sorted_by_time(simulate: Simulate) -> None:
    body = {"query": {"sorted_attribute_query": {"attribute_name": "updated_at"}}}
    assert call(simulate(), "/v2/catalog/search", body).json()["errors"][0]["code"] == "INVALID_VALUE"


def test_counts_come_newest_first(simulate: Simulate) -> None:
    account = simulate()
    touched = account.change(1, "purchase")[0]["external_id"]
    counts = call(account, "/v2/inventory/counts/batch-retrieve", {}).json()["counts"]
    assert counts[0]["catalog_object_id"] == touched


def test_a_page_of_counts_holds_a_hundred_unless_asked(simulate: Simulate) -> None:
    counts = call(simulate(products=300), "/v2/inventory/counts/batch-retrieve", {}).json()["counts"]
    assert len(counts) == 100


def test_a_cursor_is_bound_to_its_body(simulate: Simulate) -> None:
    account = simulate(products=300)
    cursor = call(account, "/v2/inventory/counts/batch-retrieve", {}).json()["cursor"]
    other = call(account, "/v2/inventory/counts/batch-retrieve", {"states": ["IN_STOCK"], "cursor": cursor})
    assert other.json()["errors"][0]["code"] == "INVALID_CURSOR"


def order_query(account: Account, field: str, **sort: str) -> dict[str, Any]:
    times = {"date_time_filter": {field: {"start_at": "2020-01-01T00:00:00Z"}}}
    return {"location_ids": account.world.location_ids, "query": {"filter": times, "sort": sort}}


def test_an_order_search_must_sort_by_what_it_filters(simulate: Simulate) -> None:
    account = simulate()
    assert call(account, "/v2/orders/search", order_query(account, "updated_at")).status_code == 400


def test_a_misspelled_sort_order_is_ignored(simulate: Simulate) -> None:
    account = simulate()
    body = order_query(account, "updated_at", sort_field="UPDATED_AT", order="ASC")
    times = [order["updated_at"] for order in call(account, "/v2/orders/search", body).json()["orders"]]
    assert times == sorted(times, reverse=True)


def test_the_end_of_an_order_search_is_frozen_at_its_first_request(simulate: Simulate) -> None:
    account = simulate(orders=5)
    body = {**order_query(account, "updated_at", sort_field="UPDATED_AT", sort_order="ASC"), "limit": 3}
    first = call(account, "/v2/orders/search", body).json()
    account.change(4, "pos_sale")
    second = call(account, "/v2/orders/search", {**body, "cursor": first["cursor"]}).json()
    assert len(first["orders"] + second["orders"]) == 5


def test_a_sale_at_the_till_has_no_version(simulate: Simulate) -> None:
    account = simulate(orders=0)
    account.change(1, "pos_sale")
    body = order_query(account, "updated_at", sort_field="UPDATED_AT")
    assert "version" not in call(account, "/v2/orders/search", body).json()["orders"][0]


def test_calls_beyond_the_rate_are_refused_without_a_retry_after(simulate: Simulate) -> None:
    account = simulate(rate_per_second=2.0)
    answers = [call(account, "/v2/vendors/search", {}) for _ in range(4)]
    assert (answers[-1].status_code, answers[-1].headers.get("retry-after")) == (429, None)


def test_the_status_counts_calls_by_path(simulate: Simulate) -> None:
    account = simulate()
    call(account, "/v2/vendors/search", {})
    assert account.status()["requests"] == {"/v2/vendors/search": 1}


def test_a_huge_account_costs_nothing_to_make(simulate: Simulate) -> None:
    account = simulate(products=280_000, orders=0)
    counts = call(account, "/v2/inventory/counts/batch-retrieve", {"limit": 1000}).json()["counts"]
    assert (account.status()["variations"], len(counts)) == (420_001, 1000)


def kinds_refused(account: Account) -> dict[str, int]:
    """The status of one read of each kind."""
    return {
        "product": call(account, "/v2/catalog/search", {}).status_code,
        "stock": call(account, "/v2/inventory/counts/batch-retrieve", {}).status_code,
        "order": call(account, "/v2/orders/search", {"location_ids": ["any"]}).status_code,
        "location": get(account, "/v2/locations").status_code,
        "vendor": call(account, "/v2/vendors/search", {}).status_code,
    }


@pytest.mark.parametrize("kind", ["product", "stock", "order", "location", "vendor"])
def test_a_kind_that_is_forbidden_is_the_only_one(simulate: Simulate, kind: str) -> None:
    statuses = kinds_refused(simulate(forbidden=kind))
    assert [name for name, status in statuses.items() if status == 403] == [kind]


def test_a_forbidden_kind_is_refused_in_squares_words(simulate: Simulate) -> None:
    refused = call(simulate(forbidden="vendor"), "/v2/vendors/search", {}).json()["errors"][0]
    assert (refused["category"], refused["code"]) == ("AUTHENTICATION_ERROR", "INSUFFICIENT_SCOPES")


def test_a_wrong_forbidden_kind_is_refused(simulate: Simulate) -> None:
    assert simulate().control.post("/_sim/faults", json={"forbidden": "weather"}).status_code == 400


def test_a_share_of_the_records_is_bad_and_always_the_same(simulate: Simulate) -> None:
    account = simulate(products=60)
    good = search(account, object_types=["ITEM"])["objects"]
    account.faults(bad_records=0.3)
    bad, again = (search(account, object_types=["ITEM"])["objects"] for _ in range(2))
    assert bad == again
    assert 5 < sum(one != other for one, other in zip(good, bad, strict=True)) < 40


def test_one_field_of_a_bad_record_is_wrong(simulate: Simulate) -> None:
    account = simulate(products=60)
    good = search(account, object_types=["ITEM"])["objects"]
    account.faults(bad_records=1.0)
    bad = search(account, object_types=["ITEM"])["objects"]
    assert {sum(one[name] != other[name] for name in one) for one, other in zip(good, bad, strict=True)} == {1}


def test_an_order_that_was_shown_wrongly_is_saved_again_when_that_ends(simulate: Simulate) -> None:
    account = simulate(products=60)
    saved = {id: order.updated for id, order in account.world.orders.by_id.items()}
    account.faults(bad_records=1.0)
    account.faults(bad_records=0)
    assert all(order.updated > saved[id] for id, order in account.world.orders.by_id.items())
