"""What Square's orders come to: returns, exchanges, refunds, taxes, discounts, charges, tips, to the cent."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.domain import Order
from app.domain.order_lines import OrderLine
from app.sources import square
from app.sources.square import orders

SHAPES = Path(square.__file__).parent / "samples" / "orders_reduced"


def raw(name: str) -> dict[str, Any]:
    return dict(msgspec.json.decode((SHAPES / f"{name}.json").read_bytes())["order"])


def read(name: str) -> Order:
    return orders.order(raw(name), {"L1": "America/Los_Angeles"})


def lines_of(order: Order) -> list[OrderLine]:
    return msgspec.json.decode(order.lines or "[]", type=list[OrderLine])


def money(order: Order) -> tuple[int | None, ...]:
    charges = (order.discount_minor, order.tax_minor, order.service_charge_minor, order.tip_minor)
    return (order.subtotal_minor, *charges, order.total_minor, order.net_minor)


@pytest.mark.parametrize("name", [file.stem for file in sorted(SHAPES.glob("*.json"))])
def test_the_lines_of_an_order_add_up_to_its_total(name: str) -> None:
    parsed = read(name)
    assert sum(line.total_minor or 0 for line in lines_of(parsed)) == parsed.total_minor


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("return", "return"),
        ("exchange", "exchange"),
        ("restaurant", "sale"),
        ("refund_without_lines", "refund"),
        ("sale_refunded", "sale"),
    ],
)
def test_an_order_has_the_type_of_what_it_is(name: str, type_: str) -> None:
    assert read(name).type == type_


def test_a_return_takes_its_money_away() -> None:
    assert money(read("return")) == (-5900, 0, -460, 0, 0, -6360, -6360)


def test_a_returned_line_is_negative() -> None:
    (line,) = lines_of(read("return"))
    assert (line.kind, line.quantity, line.unit_price, line.tax_minor, line.total_minor) == (
        "returned",
        "-1",
        "59",
        -460,
        -6360,
    )


def test_a_return_without_sums_of_its_own_is_what_its_parts_come_to() -> None:
    bare = {key: value for key, value in raw("return").items() if key not in ("return_amounts", "net_amounts")}
    assert orders.order(bare, {}).total_minor == -6360


def test_a_return_whose_parts_have_no_sums_either_is_what_its_lines_come_to() -> None:
    bare = {key: value for key, value in raw("return").items() if key not in ("return_amounts", "net_amounts")}
    bare["returns"] = [{key: value for key, value in bare["returns"][0].items() if key != "return_amounts"}]
    assert orders.order(bare, {}).total_minor == -6360


def test_a_returned_amount_without_lines_is_a_refund() -> None:
    bare = raw("return")
    bare["returns"] = [{"uid": "ret", "return_amounts": {"total_money": {"amount": 6360, "currency": "USD"}}}]
    parsed = orders.order(bare, {})
    assert (parsed.type, [(line.kind, line.total_minor) for line in lines_of(parsed)]) == (
        "refund",
        [("refund", -6360)],
    )


def test_an_exchange_has_both_lines_and_their_difference() -> None:
    exchange = read("exchange")
    kinds = [(line.kind, line.listing_id, line.total_minor) for line in lines_of(exchange)]
    assert (kinds, exchange.net_minor) == ([("sold", "V2", 300), ("returned", "V3", -500)], -200)


def test_a_sale_with_all_kinds_of_charges_shows_each() -> None:
    assert money(read("restaurant")) == (2602, 260, 202, 187, 300, 3031, 3031)


def test_modifiers_charges_tips_and_rounding_are_lines() -> None:
    kinds = [(line.kind, line.name, line.total_minor) for line in lines_of(read("restaurant"))]
    assert kinds == [
        ("sold", "Coffee", 1941),
        ("modifier", "Oat milk", 100),
        ("sold", "Cake", 486),
        ("service", "Service", 202),
        ("tip", None, 300),
        ("rounding", "Cash rounding", 2),
    ]


def test_a_modifier_says_which_line_it_is_part_of() -> None:
    assert [line.part_of for line in lines_of(read("restaurant")) if line.kind == "modifier"] == ["a"]


def test_a_refund_without_lines_takes_money_away_unless_it_was_rejected() -> None:
    parsed = read("refund_without_lines")
    assert (parsed.total_minor, parsed.net_minor, parsed.currency) == (-750, -750, "USD")


def test_a_refund_within_a_sale_is_off_its_net() -> None:
    parsed = read("sale_refunded")
    assert (parsed.total_minor, parsed.net_minor) == (1000, 600)


@pytest.mark.parametrize(
    ("name", "party"), [("exchange", "C7"), ("restaurant", "C8"), ("sale_refunded", "C1"), ("return", None)]
)
def test_a_customer_is_also_the_one_of_a_tender(name: str, party: str | None) -> None:
    assert read(name).party_id == party


@pytest.mark.parametrize(("name", "channel"), [("return", "Point of Sale"), ("exchange", None)])
def test_an_order_says_where_it_was_sold(name: str, channel: str | None) -> None:
    assert read(name).channel == channel


def test_a_charge_that_its_lines_hold_already_is_counted_once() -> None:
    data = raw("sale_refunded")
    data["line_items"][0] |= {
        "total_service_charge_money": {"amount": 100, "currency": "USD"},
        "total_money": {"amount": 1100, "currency": "USD"},
    }
    charge = {
        "uid": "s",
        "treatment_type": "APPORTIONED_TREATMENT",
        "total_money": {"amount": 100, "currency": "USD"},
    }
    parsed = orders.order({**data, "service_charges": [charge], "total_money": {"amount": 1100}}, {})
    assert [(line.kind, line.total_minor) for line in lines_of(parsed)] == [("sold", 1000), ("service", 100)]


def test_a_yen_price_has_no_decimals() -> None:
    data = raw("sale_refunded")
    data["line_items"][0]["base_price_money"] = {"amount": 1999, "currency": "JPY"}
    assert lines_of(orders.order(data, {}))[0].unit_price == "1999"


def usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


def test_a_returned_amount_that_no_return_explains_takes_money_away() -> None:
    bare = {key: value for key, value in raw("return").items() if key not in ("returns", "refunds")}
    parsed = orders.order(bare, {})
    assert (parsed.type, parsed.total_minor, [line.kind for line in lines_of(parsed)]) == (
        "refund",
        -6360,
        ["refund"],
    )


def test_a_return_without_sums_takes_its_tax_away_too() -> None:
    bare = {key: value for key, value in raw("return").items() if key not in ("return_amounts", "net_amounts")}
    bare["returns"] = [{key: value for key, value in bare["returns"][0].items() if key != "return_amounts"}]
    parsed = orders.order(bare, {})
    assert (parsed.subtotal_minor, parsed.tax_minor) == (-5900, -460)


def test_of_two_returns_the_one_without_sums_takes_its_tax_away_too() -> None:
    both = {key: value for key, value in raw("return").items() if key not in ("return_amounts", "net_amounts")}
    result = both["returns"][0]
    both["returns"] = [result, {key: value for key, value in result.items() if key != "return_amounts"}]
    parsed = orders.order(both, {})
    assert (parsed.subtotal_minor, parsed.tax_minor) == (2 * -5900, 2 * -460)


def test_a_total_that_is_not_shown_is_what_the_lines_come_to() -> None:
    bare = {key: value for key, value in raw("sale_refunded").items() if key != "total_money"}
    assert orders.order(bare, {}).total_minor == 1000


def test_an_exchange_without_any_sums_is_what_its_lines_come_to() -> None:
    bare = {key: value for key, value in raw("exchange").items() if not key.endswith(("_money", "_amounts"))}
    bare["returns"] = [{"return_line_items": bare["returns"][0]["return_line_items"]}]
    assert orders.order(bare, {}).total_minor == -200


def test_a_line_without_a_price_has_the_currency_of_its_total() -> None:
    data = raw("sale_refunded")
    del data["line_items"][0]["base_price_money"]
    assert lines_of(orders.order(data, {}))[0].currency == "USD"


def test_a_delivery_that_was_paid_back_is_a_sale() -> None:
    charge = {"uid": "d", "name": "Delivery", "total_money": usd(500), "applied_money": usd(500)}
    sold = {"total_money": usd(500), "service_charges": [charge], "line_items": None}
    parsed = orders.order(raw("sale_refunded") | sold, {})
    assert (parsed.type, parsed.total_minor, parsed.net_minor) == ("sale", 500, 100)


@pytest.mark.parametrize("status", ["REJECTED", "FAILED"])
def test_a_refund_that_came_to_nothing_makes_no_refund_of_an_order(status: str) -> None:
    bare = raw("refund_without_lines")
    bare["refunds"] = [{"id": "g", "status": status, "amount_money": usd(99)}]
    parsed = orders.order(bare, {})
    assert (parsed.type, parsed.total_minor, parsed.net_minor, parsed.lines) == ("sale", 0, 0, None)


def test_a_tip_that_only_the_sums_of_a_return_show_is_a_line() -> None:
    data = raw("return")
    tipped = {"total_money": usd(6560), "tax_money": usd(460), "tip_money": usd(200)}
    data["return_amounts"] = data["returns"][0]["return_amounts"] = tipped
    data["net_amounts"] = {"total_money": usd(-6560), "tax_money": usd(-460), "tip_money": usd(-200)}
    parsed = orders.order(data, {})
    kinds = [(line.kind, line.total_minor) for line in lines_of(parsed)]
    assert (kinds, parsed.total_minor, parsed.tip_minor) == ([("returned", -6360), ("tip", -200)], -6560, -200)
