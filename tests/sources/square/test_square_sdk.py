"""Square's own SDK as a client of the simulator: it must read there what the simulator holds."""

from collections.abc import Iterator

import httpx
import pytest
from square import Square
from square.core.api_error import ApiError

from tests.sources.square.square_account import TOKEN, Account, Simulate
from tests.sources.square.square_sdk import dumped


@pytest.fixture
def account(simulate: Simulate) -> Account:
    return simulate(products=30, locations=3, orders=15)


@pytest.fixture
def sdk(account: Account) -> Iterator[Square]:
    with httpx.Client(timeout=60) as http:
        yield Square(token=TOKEN, base_url=account.url, httpx_client=http)


def test_the_sdk_lists_every_live_variation(account: Account, sdk: Square) -> None:
    account.change(6, "delete_item", "delete_variation")
    result = {dumped(thing)["id"] for thing in sdk.catalog.list(types="ITEM_VARIATION")}
    assert result == {row["external_id"] for row in account.truth("product")}


def test_the_sdk_reads_names_and_prices(account: Account, sdk: Square) -> None:
    item = account.world.catalog.item(0)
    answer = sdk.catalog.batch_get(object_ids=[item.id])
    nested = [dumped(one) for one in dumped((answer.objects or [])[0])["item_data"]["variations"]]
    assert [one["item_variation_data"]["price_money"]["amount"] for one in nested] == [
        variation.price for variation in item.variations
    ]


def test_the_sdk_sees_deleted_objects_in_a_search(account: Account, sdk: Square) -> None:
    gone = account.change(1, "delete_item")[0]["external_id"]
    answer = sdk.catalog.search(
        object_types=["ITEM"], begin_time="2026-02-01T00:00:00Z", include_deleted_objects=True
    )
    assert [(dumped(one)["id"], dumped(one)["is_deleted"]) for one in answer.objects or []] == [(gone, True)]


def test_the_sdk_reads_every_count(account: Account, sdk: Square) -> None:
    account.change(10, "stock")
    result = sdk.inventory.batch_get_counts(limit=20)
    read = {(one.catalog_object_id, one.location_id, str(one.state), float(one.quantity or 0)) for one in result}
    words = {"on_hand": "IN_STOCK", "reserved": "RESERVED_FOR_SALE", "on_order": "ORDERED_FROM_VENDOR"}
    truth = account.truth("stock")
    assert read == {
        (row["listing_id"], row["location_id"], words[row["state"]], float(row["quantity"])) for row in truth
    }


def test_the_sdk_finds_every_order(account: Account, sdk: Square) -> None:
    answer = sdk.orders.search(location_ids=account.world.location_ids)
    assert {order.id for order in answer.orders or []} == {row["external_id"] for row in account.truth("order")}


def test_the_sdk_reads_an_orders_lines(account: Account, sdk: Square) -> None:
    row = account.truth("order")[0]
    order = sdk.orders.get(order_id=row["external_id"]).order
    assert order
    lines = [[item.catalog_object_id, item.quantity] for item in order.line_items or []]
    assert lines == [line[1:3] for line in row["lines"] if line[0] == "sold"]


def test_the_sdk_lists_the_locations(account: Account, sdk: Square) -> None:
    result = [
        {"external_id": location.id, "name": location.name} for location in sdk.locations.list().locations or []
    ]
    assert sorted(result, key=str) == sorted(account.truth("location"), key=str)


def test_the_sdk_finds_the_vendors(account: Account, sdk: Square) -> None:
    result = [{"external_id": vendor.id, "name": vendor.name} for vendor in sdk.vendors.search().vendors or []]
    assert sorted(result, key=str) == sorted(account.truth("vendor"), key=str)


def test_the_sdk_raises_the_errors_the_simulator_sends(account: Account, sdk: Square) -> None:
    with pytest.raises(ApiError) as refused:
        sdk.orders.search(location_ids=["x"] * 11)
    assert refused.value.status_code == 400


def test_a_second_delete_at_the_same_time_is_refused(account: Account, sdk: Square) -> None:
    account.faults(delete_seconds=60.0)
    sdk.catalog.object.delete(object_id=account.world.catalog.item_id(3))
    with pytest.raises(ApiError) as refused:
        sdk.catalog.object.delete(object_id=account.world.catalog.item_id(4), request_options={"max_retries": 0})
    assert refused.value.status_code == 429


def test_the_answer_echoes_the_version(account: Account, sdk: Square) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "square-version": "2025-01-23"}
    assert account.control.get("/v2/locations", headers=headers).headers["square-version"] == "2025-01-23"
