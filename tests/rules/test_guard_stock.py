"""The guard's rules for stock: what sells out, and what is left out."""

from dataclasses import replace

import pytest

from app.rules.guard.stock import StockEvidence, stock_findings


def rules(evidence: StockEvidence) -> list[str]:
    return [finding.rule for finding in stock_findings(evidence)]


@pytest.mark.parametrize("total", [7, 16, 90])
def test_two_products_may_sell_out_at_once_in_a_small_shop(total: int) -> None:
    sold = StockEvidence(total, units=14.0 * total, zeroed=2, zeroed_units=28, falls=2, all_zeroed=2, changed=4)
    assert rules(sold) == []


def test_many_full_shelves_do_not_sell_out_over_night() -> None:
    sold = StockEvidence(400, units=5600, zeroed=60, zeroed_units=840, falls=60, all_zeroed=60)
    assert rules(sold) == ["full shelves"]


@pytest.mark.parametrize(("total", "products"), [(16, 3), (90, 3), (900, 20), (9_000, 200)])
def test_products_whose_counts_are_left_out_are_held_from_three_and_a_hundredth_on(total: int, products: int) -> None:
    assert rules(left_out(total, products, units=6.0)) == ["left out"]


@pytest.mark.parametrize(("total", "products"), [(90, 2), (900, 9), (9_000, 90)])
def test_a_few_products_whose_counts_are_left_out_are_sold_out(total: int, products: int) -> None:
    assert rules(left_out(total, products, units=6.0)) == []


def test_two_full_shelves_that_a_small_list_leaves_out_are_held() -> None:
    assert rules(left_out(16, 2, units=14.0, omitted_falls=2)) == ["left out"]


@pytest.mark.parametrize(("rows", "units"), [(3, 15.0), (4, 2.0)])
def test_a_fifth_of_the_counts_or_units_left_out_is_held(rows: int, units: float) -> None:
    assert "left out" in rules(replace(left_out(14, rows, units=units), omitted_products=1))


def left_out(total: int, products: int, *, units: float, omitted_falls: int = 0) -> StockEvidence:
    """So many products with so many units each, in a shop of 14 units a row."""
    return StockEvidence(
        total,
        units=14.0 * total,
        zeroed=products,
        zeroed_units=units * products,
        omitted=products,
        omitted_units=units * products,
        omitted_falls=omitted_falls,
        omitted_products=products,
    )
