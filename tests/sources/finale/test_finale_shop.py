"""The simulated shop, as it opens and as it lives on, makes what real accounts have."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.domain import Kind
from tests.sources.finale.finale_account import AUTH, Account
from tests.sources.finale.finale_copy import Copy, in_order

Simulate = Callable[..., Account]
LOGIN = {"username": "u", "password": "p"}


def get(account: Account, path: str) -> Any:
    answer = account.control.get(path, auth=AUTH)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(account: Account, path: str) -> httpx.Response:
    return account.control.post(path, auth=AUTH, json={})


def rows(account: Account, collection: str) -> list[dict[str, Any]]:
    columns = get(account, f"/demo/api/{collection}/")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.fixture
def account(simulate: Simulate) -> Account:
    return simulate(products=300, orders=60)


def prices(account: Account) -> list[dict[str, Any]]:
    return [price for row in rows(account, "product") for price in row["priceList"]]


def test_some_list_prices_are_below_a_cent(account: Account) -> None:
    row = [price.get("price") or 0 for price in prices(account) if price["productPriceTypeId"] == "LIST_PRICE"]
    assert [price for price in row if round(price, 2) != price]


@pytest.mark.parametrize("field", ["price", "currencyUomId"])
def test_some_price_fields_are_null(account: Account, field: str) -> None:
    assert [price for price in prices(account) if field in price and price[field] is None]


@pytest.mark.parametrize("column", ["supplierList", "statusId", "reorderGuidelineList", "category", "leadTime"])
def test_some_cells_of_products_are_null_and_others_not(account: Account, column: str) -> None:
    cells = [row[column] for row in rows(account, "product")]
    assert (None in cells, any(cells)) == (True, True)


@pytest.mark.parametrize("blank", [{}, {"supplierPartyUrl": None, "leadTime": None}])
def test_some_suppliers_are_blank(account: Account, blank: dict[str, None]) -> None:
    assert [row for row in rows(account, "product") if blank in (row["supplierList"] or [])]


def test_a_category_is_spelled_in_the_older_or_in_the_newer_way(account: Account) -> None:
    documented = {(row["category"] is None, row["userCategory"] is None) for row in rows(account, "product")}
    assert documented == {(False, True), (True, False)}


def test_the_customization_names_every_category_of_the_older_spelling(account: Account) -> None:
    named = {one["attrName"] for one in get(account, "/demo/api/customization/")["productUserCategoryList"]}
    assert {row["userCategory"] for row in rows(account, "product")} - {None} <= named


def test_the_old_login_spells_its_addresses_in_both_ways(simulate: Simulate) -> None:
    answer = simulate(legacy_cookie=True).control.post("/demo/api/auth", json=LOGIN).json()
    assert answer["resourceProduct"] == answer["resourceProductUrl"] == "/demo/api/product/"


def orders(account: Account) -> list[dict[str, Any]]:
    """Every order of its own."""
    return [get(account, url) for url in get(account, "/demo/api/order/")["orderUrl"]]


def lived(account: Account) -> Account:
    """After many events, of which an order is mainly about most."""
    account.change(200, "order", "shipment")
    return account


ORDERS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "without a place": lambda o: o["originFacilityUrl"] is None and o["destinationFacilityUrl"] is None,
    "of nobody": lambda o: not o["orderRoleList"],
    "with roles that are null": lambda o: o["orderRoleList"] is None,
    "with a line of no product": lambda o: any(line["productUrl"] is None for line in o["orderItemList"]),
    "with a line without a price": lambda o: any(line["unitPrice"] is None for line in o["orderItemList"]),
    "below a cent": lambda o: any(round(x["unitPrice"] or 0, 2) != (x["unitPrice"] or 0) for x in o["orderItemList"]),
    "with an adjustment without an amount": lambda o: any(
        x["amount"] is None for x in o["orderAdjustmentList"] or []
    ),
    "with a tax by its URL": lambda o: any("taxAuthorityRateProductUrl" in x for x in o["orderAdjustmentList"] or []),
    "with a promotion by its URL": lambda o: any("productPromoUrl" in x for x in o["orderAdjustmentList"] or []),
    "with adjustments that are null": lambda o: o["orderAdjustmentList"] is None,
    "with a reference": lambda o: o["referenceNumber"] is not None,
    "of a channel": lambda o: o["saleSourceId"] is not None,
    "with a shipment": lambda o: bool(o["shipmentUrlList"]),
    "with two shipments": lambda o: len(o["shipmentUrlList"] or []) == 2,
}


@pytest.mark.parametrize("wanted", ORDERS.values(), ids=list(ORDERS))
def test_the_shop_opens_with_orders(account: Account, wanted: Callable[[dict[str, Any]], bool]) -> None:
    assert any(map(wanted, orders(account)))


@pytest.mark.parametrize("wanted", ORDERS.values(), ids=list(ORDERS))
def test_the_shop_goes_on_making_orders(simulate: Simulate, wanted: Callable[[dict[str, Any]], bool]) -> None:
    assert any(map(wanted, orders(lived(simulate(products=300, orders=0)))))


def test_a_shop_that_lives_on_is_still_the_truth(account: Account) -> None:
    copy = Copy(account.source())
    copy.delta(Kind.ORDER, Kind.STOCK)
    lived(account)
    copy.delta(Kind.ORDER, Kind.STOCK)
    assert copy.told(Kind.ORDER) == in_order(account.truth("order"))
    assert copy.told(Kind.STOCK) == in_order(account.truth("stock"))


def coming(account: Account) -> dict[str, Any]:
    return next(row for row in rows(account, "shipment") if row["statusId"] == "SHIPMENT_INPUT")


def test_a_shipment_is_read_by_its_url_and_not_by_its_label(account: Account) -> None:
    row = coming(account)
    assert get(account, row["shipmentUrl"])["shipmentIdUser"] == row["shipmentIdUser"]
    assert account.control.get(f"/demo/api/shipment/{row['shipmentIdUser']}", auth=AUTH).status_code == 404


def test_a_list_of_shipments_leaves_out_what_only_a_single_one_has(account: Account) -> None:
    row = coming(account)
    assert set(get(account, row["shipmentUrl"])) - set(row) >= {"trackingCode", "carrierPartyUrl"}


def stock(account: Account, state: str) -> float:
    return sum(float(row["quantity"]) for row in account.truth("stock") if row["state"] == state)


def test_goods_that_arrive_are_on_hand_and_on_order_no_longer(account: Account) -> None:
    row = coming(account)
    count = sum(item["quantity"] for item in row["shipmentItemList"])
    before = stock(account, "on_hand"), stock(account, "on_order")
    assert post(account, row["actionUrlReceive"]).json()["statusId"] == "SHIPMENT_DELIVERED"
    assert (stock(account, "on_hand"), stock(account, "on_order")) == (before[0] + count, before[1] - count)


def test_goods_that_arrive_do_not_change_the_purchase(account: Account) -> None:
    row = coming(account)
    before = get(account, row["primaryOrderUrl"])
    post(account, row["actionUrlReceive"])
    assert get(account, row["primaryOrderUrl"]) == before


def test_goods_arrive_once(account: Account) -> None:
    row = coming(account)
    assert [post(account, row["actionUrlReceive"]).status_code for _ in range(2)] == [200, 403]


def test_a_purchase_that_is_called_off_calls_off_its_shipments(account: Account) -> None:
    row = coming(account)
    assert post(account, f"{row['primaryOrderUrl']}/cancel").status_code == 200
    assert get(account, row["shipmentUrl"])["statusId"] == "SHIPMENT_CANCELLED"


def test_a_draft_without_a_place_cannot_be_locked(account: Account) -> None:
    sent = {"orderTypeId": "SALES_ORDER"}
    draft = account.control.post("/demo/api/order/", auth=AUTH, json=sent).json()
    assert post(account, draft["actionUrlLock"]).status_code == 403


def test_stock_in_no_place_is_named_and_harms_nothing_else(simulate: Simulate) -> None:
    account = simulate(products=30, unplaced_stock=3)
    assert sum(row["facilityUrl"] is None for row in rows(account, "inventoryitem")) == 3
    pages = list(account.source().full(Kind.STOCK))
    assert len([bad for page in pages for bad in page.failed]) == 3
    assert sum(len(page.records) for page in pages) == len(account.truth("stock"))
