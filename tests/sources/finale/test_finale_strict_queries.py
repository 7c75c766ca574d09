"""A simulated report or GraphQL query with anything unknown in it is refused; one that is known is answered as asked."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from tests.sources.finale.finale_account import Account, api

Simulate = Callable[..., Account]


@pytest.fixture
def account(simulate: Simulate) -> Account:
    return simulate(products=12, orders=6)


REPORT = "doc/report/pivotTable/1/Report.json"
PLAIN = {"format": "jsonObject", "data": "product"}


@pytest.mark.parametrize(
    "params",
    [
        {"format": "xls"},
        {"data": "weather"},
        {"rowDimensions": "productProductId_86|productColour_50"},
        {"metrics": "productWeightSum_54__V2VpZ2h0"},
        {"metrics": "~nonsense"},
        {"metrics": "~kZLNAfSjT2Rk"},  # a field of number 500
        {"filters": "bm9uc2Vuc2U"},
        {"filters": base64.b64encode(b'[["productColour",["red"]]]').decode()},
        {"filters": base64.b64encode(b'[["productManufacturer",["Maker 1"]]]').decode()},
        {"columns": "all"},
    ],
    ids=str,
)
def test_a_report_of_what_it_does_not_have_is_refused(account: Account, params: dict[str, str]) -> None:
    answer = api(account, "GET", REPORT, params={**PLAIN, **params})
    assert (answer.status_code, "html" in answer.headers["content-type"]) == (400, True)


def test_a_report_that_is_no_json_is_not_found(account: Account) -> None:
    assert api(account, "GET", "doc/report/pivotTable/1/Report.csv").status_code == 404


def test_a_report_has_the_columns_it_was_asked_for(account: Account) -> None:
    result = "productStockQuantityOnHandUnitsSum_54__VW5pdHNcblFvSA=="
    params = {**PLAIN, "rowDimensions": "productProductId_86", "metrics": result, "reportTitle": "Stock"}
    rows = api(account, "GET", REPORT, params=params).json()
    assert {tuple(row) for row in rows} == {("Product ID", "Units\nQoH")}


def test_a_report_shows_only_the_products_of_its_filter(account: Account) -> None:
    active = base64.b64encode(b'[["productStatus",["PRODUCT_ACTIVE"]],["productCategory",null]]').decode()
    rows = api(account, "GET", REPORT, params={**PLAIN, "filters": active}).json()
    wanted = {row["sku"] for row in account.truth("product") if row["active"]}
    assert {row["Product ID"] for row in rows[:-1]} == wanted


def graphql(account: Account, query: str, **body: Any) -> Any:
    answer = api(account, "POST", "api/graphql", json={"query": query, **body})
    assert answer.status_code == 200
    return answer.json()


NODES = "{ edges { node { productId } } }"


@pytest.mark.parametrize(
    "query",
    [
        "query { weatherViewConnection { edges { node { id } } } }",
        f'query {{ productViewConnection(colour: "red") {NODES} }}',
        f"query {{ productViewConnection(last: 3) {NODES} }}",
        f'query {{ productViewConnection(formatter: "fancy") {NODES} }}',
        f'query {{ productViewConnection(sort: [{{field: "colour", mode: "asc"}}]) {NODES} }}',
        f'query {{ productViewConnection(sort: [{{field: "productId", mode: "up"}}]) {NODES} }}',
        "query { productViewConnection { edges { node { productId colour } } } }",
        "query { productViewConnection { edges { node { productId { name } } } } }",
        "query { productViewConnection { edges { weight } } }",
        "query { productViewConnection { total } }",
        "query { productViewConnection { edges } }",
        "query { productViewConnection { pageInfo { lastPage } edges { node { productId } } } }",
        f"query {{ productViewConnection(first: $n) {NODES} }}",
        f"query {{ productViewConnection {NODES} ",
        f"mutation {{ productViewConnection {NODES} }}",
        f'query {{ productViewConnection(first: "many") {NODES} }}',
        "",
    ],
)
def test_a_query_with_anything_unknown_fails_as_a_whole(account: Account, query: str) -> None:
    answer = graphql(account, query)
    assert (answer["data"], bool(answer["errors"][0]["message"])) == (None, True)


def test_a_query_with_an_unknown_key_beside_it_fails(account: Account) -> None:
    assert graphql(account, f"query {{ productViewConnection {NODES} }}", extensions={})["errors"]


def test_a_query_is_answered_with_what_it_asks_for_and_nothing_else(account: Account) -> None:
    query = "query Page($n: Int) { page: productViewConnection(first: $n) { edges { node { sku: productId } } } }"
    answer = graphql(account, query, variables={"n": 2})["data"]
    assert [sorted(edge) for edge in answer["page"]["edges"]] == [["node"], ["node"]]
    assert list(answer["page"]["edges"][0]["node"]) == ["sku"]


@pytest.mark.parametrize("mode", ["asc", "desc"])
def test_a_query_is_sorted_as_it_asks(account: Account, mode: str) -> None:
    query = f'query {{ productViewConnection(sort: [{{field: "productId", mode: "{mode}"}}]) {NODES} }}'
    edges = graphql(account, query)["data"]["productViewConnection"]["edges"]
    result = [edge["node"]["productId"] for edge in edges]
    assert result == sorted(result, reverse=mode == "desc")
