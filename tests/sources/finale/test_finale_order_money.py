"""What Finale's orders come to: exact prices, adjustments, returns, to the cent."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from app.domain import Order
from app.domain.order_lines import OrderLine
from app.sources.finale import orders
from app.sources.finale.columnar import single
from app.sources.finale.mapping import Terms

BEGAN = datetime(2026, 4, 2, tzinfo=UTC)


def line(quantity: float, price: float | None = None, **fields: Any) -> dict[str, Any]:
    return {"productUrl": "/a/api/product/P", "quantity": quantity, "unitPrice": price, **fields}


def order(*lines: dict[str, Any], added: list[dict[str, Any]] | None = None, **fields: Any) -> Order:
    usual = {"orderUrl": "/a/api/order/1", "orderId": "1", "orderTypeId": "SALES_ORDER"}
    row = {**usual, "orderItemList": list(lines), "orderAdjustmentList": added or [], **fields}
    (result,) = orders.orders(single(msgspec.json.encode(row)), Terms(), BEGAN)
    return result


def lines_of(parsed: Order) -> list[OrderLine]:
    return msgspec.json.decode(parsed.lines or "[]", type=list[OrderLine])


@pytest.mark.parametrize(
    ("quantity", "price", "shown", "total"), [(3000, 0.015, "0.015", 4500), (250, 0.33704, "0.33704", 8426)]
)
def test_a_price_below_a_cent_is_exact(quantity: int, price: float, shown: str, total: int) -> None:
    (parsed,) = lines_of(order(line(quantity, price)))
    assert (parsed.unit_price, parsed.total_minor) == (shown, total)


def test_what_rounding_the_lines_leaves_over_is_a_line() -> None:
    parsed = order(line(1, 0.004), line(1, 0.004), line(1, 0.004))
    assert [(each.kind, each.total_minor) for each in lines_of(parsed)] == [
        *[("sold", 0)] * 3,
        ("rounding", 1),
    ]
    assert parsed.total_minor == 1


ADDED: list[dict[str, Any]] = [
    {"amount": -1.5, "description": "Spring promotion", "productPromoUrl": "/a/api/productpromo/1"},
    {"amount": 2.25, "description": "Sales tax"},
    {"amount": 0.4, "taxAuthorityRateProductUrl": "/a/api/taxauthorityrateproduct/3"},
    {"amount": 7, "description": "Freight"},
    {"description": "nothing"},
]


def test_adjustments_are_discount_tax_and_charge() -> None:
    parsed = order(line(2, 10), added=ADDED)
    result = (parsed.subtotal_minor, parsed.discount_minor, parsed.tax_minor, parsed.service_charge_minor)
    assert (*result, parsed.total_minor, parsed.net_minor) == (2000, 150, 265, 700, 2815, 2815)


def test_lines_and_adjustments_add_up_to_the_total() -> None:
    parsed = order(line(7, 0.333), line(2, None), added=ADDED)
    assert sum(each.total_minor or 0 for each in lines_of(parsed)) == parsed.total_minor


@pytest.mark.parametrize("sign", [1, -1])
def test_a_return_is_negative_whichever_way_it_is_shown(sign: int) -> None:
    parsed = order(line(2 * sign, 10), orderTypeId="SALES_RETURN")
    (returned,) = lines_of(parsed)
    assert (returned.kind, returned.quantity, returned.total_minor, parsed.net_minor) == (
        "returned",
        "-2",
        -2000,
        -2000,
    )


@pytest.mark.parametrize(
    ("type_id", "kind"), [("SALES_ORDER", "sold"), ("PURCHASE_ORDER", "bought"), ("TRANSFER_ORDER", "moved")]
)
def test_a_line_says_what_became_of_the_goods(type_id: str, kind: str) -> None:
    assert [each.kind for each in lines_of(order(line(1, 2), orderTypeId=type_id))] == [kind]


def test_a_transfer_without_prices_has_lines_and_no_total() -> None:
    parsed = order(line(4), orderTypeId="TRANSFER_ORDER")
    assert (parsed.total_minor, lines_of(parsed)[0].quantity) == (None, "4")


def test_an_order_says_where_it_was_sold() -> None:
    assert order(line(1, 2), saleSourceId="Shopify").channel == "Shopify"


@pytest.mark.parametrize("quantity", [2, -2])
@pytest.mark.parametrize("price", [None, 0])
def test_what_comes_back_is_negative_whatever_it_costs(quantity: int, price: float | None) -> None:
    (returned,) = lines_of(order(line(quantity, price), orderTypeId="SALES_RETURN"))
    assert returned.quantity == "-2"


def test_a_fee_that_is_more_than_what_comes_back_is_ours() -> None:
    fee = [{"amount": -5, "description": "Restocking fee"}]
    parsed = order(line(1, 3), added=fee, orderTypeId="SALES_RETURN")
    assert ([each.total_minor for each in lines_of(parsed)], parsed.net_minor) == ([-300, 500], 200)


@pytest.mark.parametrize("type_id", ["PURCHASE_RETURN", "PURCHASE_RETURN_ORDER"])
def test_what_goes_back_to_a_supplier_is_no_return_of_a_sale(type_id: str) -> None:
    roles = [{"roleTypeId": role, "partyId": role.lower()} for role in ("CUSTOMER", "SUPPLIER")]
    parsed = order(line(2, 10), orderTypeId=type_id, orderRoleList=roles)
    assert (parsed.type, parsed.party_id, parsed.net_minor, [each.kind for each in lines_of(parsed)]) == (
        "purchase_return",
        "supplier",
        -2000,
        ["returned"],
    )


@pytest.mark.parametrize(
    ("added", "kind"),
    [
        ({"description": "Freight", "includeInTax": "Y"}, "service"),
        ({"description": "Freight", "taxable": True}, "service"),
        ({"description": "Taxi to the airport"}, "service"),
        ({"description": "VAT 20%"}, "tax"),
        ({"description": "GST"}, "tax"),
        ({"description": "State taxes"}, "tax"),
        ({"description": "sales_tax"}, "tax"),
        ({"description": "SalesTax"}, "tax"),
        ({"description": "TAX1"}, "tax"),
        ({"description": None, "taxAuthPartyId": "CA"}, "tax"),
    ],
)
def test_an_adjustment_is_a_tax_if_it_is_called_one(added: dict[str, Any], kind: str) -> None:
    assert lines_of(order(line(1, 2), added=[{"amount": 7, **added}]))[1].kind == kind


@pytest.mark.parametrize("type_id", ["WORK_ORDER", "ORDER_OF_SOME_KIND"])
def test_lines_of_an_order_of_an_unknown_type_are_not_sold(type_id: str) -> None:
    assert [each.kind for each in lines_of(order(line(1, 2), orderTypeId=type_id))] == ["other"]


def test_lines_of_an_order_that_shows_no_type_are_sold() -> None:
    assert [each.kind for each in lines_of(order(line(1, 2), orderTypeId=None))] == ["sold"]


@pytest.mark.parametrize("type_id", ["VENDOR_RETURN", "SUPPLIER_RETURN", "RETURN_TO_VENDOR"])
def test_a_return_that_names_the_supplier_goes_back_to_him(type_id: str) -> None:
    assert order(line(1, 2), orderTypeId=type_id).type == "purchase_return"


@pytest.mark.parametrize("type_id", ["CUSTOMER_RETURN", "RETURN_ORDER", "SalesReturn"])
def test_any_other_return_is_of_a_sale(type_id: str) -> None:
    assert order(line(1, 2), orderTypeId=type_id).type == "return"


@pytest.mark.parametrize("type_id", ["SALE", "SALE_ORDER", "Sales"])
def test_a_sale_may_be_called_so(type_id: str) -> None:
    assert order(line(1, 2), orderTypeId=type_id).type == "sale"


def test_a_place_whose_url_has_no_id_is_none() -> None:
    urls: dict[str, Any] = {"originFacilityUrl": "/a/api/facility/", "destinationFacilityUrl": "/a/api/facility/3"}
    assert order(line(1, 2), **urls).location_id == "3"
