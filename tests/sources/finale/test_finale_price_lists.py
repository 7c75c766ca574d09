"""The price list that counts is chosen by its id or by the name that the account gave it."""

from typing import Any

import pytest

from app.domain import Kind, Listing, Ref
from tests.sources.finale.finale_stub import PRODUCTS, Refusal, columns, product, stub

CUSTOMIZATION = "customization/"
NAMED: dict[str, Any] = {
    "customizationId": "PRIMARY",
    "productUserCategoryList": [{"attrName": "##user7", "label": "Wholesale"}],
    "productUserPriceList": [{"attrName": "##user5", "label": "Web"}, {"attrName": "##user6", "label": "Wholesale"}],
}
PRICES = [
    {"productPriceTypeId": "LIST_PRICE", "price": 9},
    {"productPriceTypeId": "##user5", "price": 5},
    {"productPriceTypeId": "##user6", "price": 6},
]


def price(price_list: str, **answers: Any) -> int | None:
    row = product("A", priceList=PRICES)
    source = stub({PRODUCTS: columns([row]), f"{PRODUCTS}A": row, **answers}, price_list=price_list)
    (record,) = source.fetch([Ref(Kind.PRODUCT, "A")]).records
    assert isinstance(record, Listing)
    return record.price_minor


@pytest.mark.parametrize("price_list", ["Wholesale", "wholesale", "##user6"])
def test_a_price_list_is_named_by_id_or_name(price_list: str) -> None:
    assert price(price_list, **{CUSTOMIZATION: NAMED}) == 600


def test_a_name_that_the_account_does_not_have_chooses_nothing() -> None:
    assert price("Retail", **{CUSTOMIZATION: NAMED}) is None


@pytest.mark.parametrize("answer", [Refusal(404), {"productUserPriceList": "x"}, []])
def test_an_account_that_shows_no_names_has_none(answer: Any) -> None:
    assert price("Wholesale", **{CUSTOMIZATION: answer}) is None


def test_names_are_asked_for_once() -> None:
    row = product("A", priceList=PRICES)
    source = stub({f"{PRODUCTS}A": row, CUSTOMIZATION: NAMED}, price_list="Web")
    for _ in range(3):
        source.fetch([Ref(Kind.PRODUCT, "A")])
    assert source.calls() == 4


def test_an_id_needs_no_names() -> None:
    row = product("A", priceList=PRICES)
    source = stub({f"{PRODUCTS}A": row}, price_list="##user5")
    source.fetch([Ref(Kind.PRODUCT, "A")])
    assert source.calls() == 1
