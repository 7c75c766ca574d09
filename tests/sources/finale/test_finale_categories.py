"""A category in the older spelling has the name that the account gave it."""

from typing import Any

import pytest

from app.domain import Kind, Listing, Ref
from app.errors import TallyhookError
from tests.sources.finale.finale_stub import PRODUCTS, Refusal, columns, product, stub

CUSTOMIZATION = "customization/"
NAMED: dict[str, Any] = {
    "customizationId": "PRIMARY",
    "productUserCategoryList": [{"attrName": "##user00", "label": "Tea"}, {"attrName": "##user01", "label": "Soap"}],
}
OLDER = product("A", userCategory="##user01")


def listings(*rows: dict[str, Any], customization: Any = NAMED) -> list[Listing]:
    source = stub({PRODUCTS: columns(rows), CUSTOMIZATION: customization})
    return [record for page in source.full(Kind.PRODUCT) for record in page.records if isinstance(record, Listing)]


def test_a_category_by_its_id_has_its_name() -> None:
    (row,) = listings(OLDER)
    assert (row.category, row.category_path) == ("Soap", "Soap")


def test_the_newer_spelling_goes_before_the_older_one() -> None:
    (row,) = listings(product("A", userCategory="##user01", category="Bath"))
    assert row.category == "Bath"


@pytest.mark.parametrize("customization", [Refusal(404), Refusal(403), {}, {"productUserCategoryList": "x"}, []])
def test_a_category_that_has_no_name_stays_visible_as_its_id(customization: Any) -> None:
    (row,) = listings(OLDER, customization=customization)
    assert (row.category, row.extra) == (None, '{"userCategory":"##user01"}')


def test_a_product_alone_has_its_category_too() -> None:
    answer = stub({f"{PRODUCTS}A": OLDER, CUSTOMIZATION: NAMED}).fetch([Ref(Kind.PRODUCT, "A")])
    assert [record.category for record in answer.records if isinstance(record, Listing)] == ["Soap"]


def test_names_are_asked_for_only_where_products_need_them() -> None:
    source = stub({PRODUCTS: columns([product("A", category="Tea")])})
    list(source.full(Kind.PRODUCT))
    assert source.calls() == 1


def test_names_are_asked_for_once_in_each_complete_read() -> None:
    source = stub({PRODUCTS: columns([OLDER, product("B", userCategory="##user00")]), CUSTOMIZATION: NAMED})
    for _ in range(2):
        list(source.full(Kind.PRODUCT))
    assert source.calls() == 4


@pytest.mark.parametrize("options", [{}, {"price_list": "Web"}])
def test_a_fault_while_names_are_asked_for_is_no_fault_of_the_product(options: dict[str, str]) -> None:
    source = stub({f"{PRODUCTS}A": OLDER, CUSTOMIZATION: Refusal(200, b"<html>login</html>", "text/html")}, **options)
    with pytest.raises(TallyhookError):
        source.fetch([Ref(Kind.PRODUCT, "A")])
