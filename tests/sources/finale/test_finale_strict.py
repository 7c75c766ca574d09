"""The simulated account refuses what it does not know, in Finale's manner, and ignores only what Finale ignores."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.sources.finale.finale_account import Account, api

Simulate = Callable[..., Account]
LISTS = ("product/", "inventoryitem/", "order/", "facility/", "partygroup/", "shipment/")


def filtered(account: Account, collection: str, text: Any) -> httpx.Response:
    encoded = base64.b64encode(json.dumps(text).encode()).decode()
    return api(account, "GET", f"api/{collection}", params={"filter": encoded})


def is_html(answer: httpx.Response) -> bool:
    return "html" in answer.headers["content-type"] and answer.text.startswith("<html>")


@pytest.fixture
def account(simulate: Simulate) -> Account:
    return simulate(products=12, orders=6)


@pytest.mark.parametrize(
    ("collection", "field"),
    [
        ("product/", "sku"),  # nobody's
        ("product/", "priceList"),  # a list
        ("order/", "orderItemList"),
        ("facility/", "lastUpdatedDate"),  # of other collections
        ("partygroup/", "lastUpdatedDate"),
    ],
)
def test_a_filter_by_what_is_no_field_is_refused(account: Account, collection: str, field: str) -> None:
    answer = filtered(account, collection, {field: ["2026-01-01", "2026-01-02"]})
    assert (answer.status_code, is_html(answer), field in answer.text) == (400, True, True)


@pytest.mark.parametrize(
    "bounds", [[1, 2], [{}, {}], [True, True], "ab", ["a"]], ids=["numbers", "objects", "bools", "text", "one"]
)
def test_a_filter_whose_bounds_cannot_be_compared_is_refused(account: Account, bounds: Any) -> None:
    assert filtered(account, "product/", {"productId": bounds}).status_code == 400


def test_a_filter_of_the_stock_list_is_refused(account: Account) -> None:
    assert filtered(account, "inventoryitem/", {"productId": ["A", "A"]}).status_code == 400


def test_an_empty_filter_is_refused(account: Account) -> None:
    assert api(account, "GET", "api/product/", params={"filter": ""}).status_code == 400


@pytest.mark.parametrize("path", [*(f"api/{one}" for one in LISTS), "api/facility/10000", "api/customization/"])
def test_an_unknown_query_parameter_is_refused(account: Account, path: str) -> None:
    answer = api(account, "GET", path, params={"orderTypeId": "SALES_ORDER"})
    assert (answer.status_code, is_html(answer), "orderTypeId" in answer.text) == (400, True, True)


@pytest.mark.parametrize("path", ["api/product/", "api/graphql"])
def test_a_post_takes_no_query_parameters(account: Account, path: str) -> None:
    body = {"query": "query { productViewConnection { edges { node { productId } } } }"}
    assert api(account, "POST", path, params={"limit": 1}, json=body).status_code == 400


def test_a_parameter_given_twice_is_refused(account: Account) -> None:
    assert api(account, "GET", "api/product/?limit=1&limit=2").status_code == 400


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5", ""])
def test_a_limit_that_is_no_positive_number_is_refused(account: Account, limit: str) -> None:
    assert api(account, "GET", "api/product/", params={"limit": limit}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "api/product/", "GET, POST"),
        ("PATCH", "api/product/X", "GET, POST"),
        ("DELETE", "api/order/00001", "GET, POST"),
        ("HEAD", "api/product/", "GET, POST"),
        ("POST", "api/inventoryitem/", "GET"),
        ("POST", "api/customization/", "GET"),
        ("GET", "api/graphql", "POST"),
        ("PUT", "api/graphql", "POST"),
        ("GET", "api/auth", "POST"),
        ("GET", "api/order/00001/lock", "POST"),
        ("POST", "doc/report/pivotTable/1/Report.json", "GET"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_refused(
    account: Account, method: str, path: str, allowed: str
) -> None:
    answer = api(account, method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (405, allowed)
    assert "html" in answer.headers["content-type"]


@pytest.mark.parametrize("action", ["explode", "lock/now", "activate"])
def test_an_action_that_does_not_exist_is_a_404_page(account: Account, action: str) -> None:
    answer = api(account, "POST", f"api/order/{next(iter(account.world.orders))}/{action}", json={})
    assert (answer.status_code, is_html(answer)) == (404, True)


def test_wrong_credentials_come_before_everything_else(account: Account) -> None:
    assert account.control.put("/demo/api/product/?x=1", auth=("a", "b")).status_code == 401


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
@pytest.mark.parametrize("path", ["api/product/", "api/graphql"])
def test_a_body_that_is_no_json_object_is_refused(account: Account, path: str, body: bytes) -> None:
    assert api(account, "POST", path, content=body).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"manufaturer": "Acme"},  # a typing error
        {"statusId": "PRODUCT_INACTIVE"},  # has an action of its own
        {"productUrl": "/demo/api/product/OTHER"},
        {"productId": "OTHER"},
        {"lastUpdatedDate": "2020-01-01T00:00:00"},
        {"cost": "a lot"},
        {"priceList": {"price": 1}},
    ],
    ids=str,
)
def test_a_product_field_that_cannot_be_set_is_refused(account: Account, body: dict[str, Any]) -> None:
    tail = account.world.products[1].tail
    before = api(account, "GET", f"api/product/{tail}").json()
    answer = api(account, "POST", f"api/product/{tail}", json=body)
    assert (answer.status_code, next(iter(body)) in answer.text) == (400, True)
    assert api(account, "GET", f"api/product/{tail}").json() == before


def test_a_product_may_be_sent_back_as_it_was_read(account: Account) -> None:
    path = f"api/product/{account.world.products[1].tail}"
    before = api(account, "GET", path).json()
    after = api(account, "POST", path, json=before).json()
    assert {name for name in after if after[name] != before[name]} <= {"lastUpdatedDate"}


@pytest.mark.parametrize(
    "body",
    [
        {"colour": "red"},
        {"orderTypeId": "WISH_ORDER"},
        {"orderId": "x" * 21},
        {"originFacilityUrl": "/demo/api/facility/10001"},  # a sublocation
        {"originFacilityUrl": "/demo/api/facility/nowhere"},
        {"orderItemList": [{"quantity": 1, "colour": "red"}]},
        {"orderItemList": [{"quantity": "many"}]},
    ],
    ids=str,
)
def test_an_order_that_cannot_be_kept_is_refused(account: Account, body: dict[str, Any]) -> None:
    answer = api(account, "POST", "api/order/", json={"orderTypeId": "SALES_ORDER", **body})
    assert (answer.status_code, len(account.world.orders)) == (400, 6)


def test_an_order_id_that_is_taken_is_refused(account: Account) -> None:
    sent = {"orderTypeId": "SALES_ORDER", "orderId": next(iter(account.world.orders))}
    assert api(account, "POST", "api/order/", json=sent).status_code == 400


def test_a_purchase_needs_its_destination(account: Account) -> None:
    assert api(account, "POST", "api/order/", json={"orderTypeId": "PURCHASE_ORDER"}).status_code == 400


def test_an_order_is_kept_as_it_was_sent(account: Account) -> None:
    sent = {
        "orderId": "MINE-1",
        "orderTypeId": "PURCHASE_ORDER",
        "destinationFacilityUrl": "/demo/api/facility/10100",
        "orderRoleList": [{"roleTypeId": "SUPPLIER", "partyId": "10002"}],
        "orderAdjustmentList": [{"amount": 12.5, "description": "Freight"}],
        "orderItemList": [{"productUrl": "/demo/api/product/NOPE", "quantity": 2, "unitPrice": 0.015}],
        "referenceNumber": "R-1",
    }
    answer = api(account, "POST", "api/order/", json=sent).json()
    wanted = {**sent, "orderItemList": [{"productUrl": None, "quantity": 2, "unitPrice": 0.015}]}
    assert {name: answer[name] for name in sent} == wanted


@pytest.fixture
def old(simulate: Simulate) -> Account:
    return simulate(products=3, orders=0, legacy_cookie=True)


@pytest.mark.parametrize(
    "body", [{}, {"username": "u"}, {"username": "u", "password": "p", "remember": "yes"}], ids=str
)
def test_an_old_login_without_a_name_and_a_password_is_refused(old: Account, body: dict[str, str]) -> None:
    assert old.control.post("/demo/api/auth", json=body).status_code == 400


def test_an_old_login_may_be_a_form(old: Account) -> None:
    assert old.control.post("/demo/api/auth", data={"username": "u", "password": "p"}).status_code == 200


@pytest.mark.parametrize(("secret", "status"), [({}, 403), ({"sessionSecret": "x"}, 403)])
def test_a_post_of_an_old_login_must_name_its_session(old: Account, secret: dict[str, str], status: int) -> None:
    old.control.post("/demo/api/auth", json={"username": "u", "password": "p"})
    assert old.control.post("/demo/api/product/", json={"internalName": "Mug", **secret}).status_code == status


def test_a_post_of_an_old_login_that_names_its_session_is_taken(old: Account) -> None:
    old.control.post("/demo/api/auth", json={"username": "u", "password": "p"})
    secret = {"sessionSecret": old.control.cookies["JSESSIONID"]}
    answer = old.control.post("/demo/api/product/", json={"internalName": "Mug", **secret}).json()
    assert answer["internalName"] == "Mug"


def test_changes_with_an_unknown_wish_are_refused(account: Account) -> None:
    assert account.control.post("/_sim/changes", json={"cuont": 5}).status_code == 400
