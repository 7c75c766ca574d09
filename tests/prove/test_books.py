"""One cent too many or too few, anywhere in an order, is found."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.prove.real.books import COLUMNS, Books, Line, wrong

MUG = Line("sold", "MUG", Decimal(2), Decimal("10.25"), 2009, discount_minor=205, tax_minor=164)
WRAP = Line("modifier", None, Decimal(2), Decimal("0.75"), 150)
BACK = Line("returned", "CUP", Decimal(-1), Decimal("0.015"), -2)
SERVICE, TIP = (Line(kind, None, None, None, amount) for kind, amount in (("service", 100), ("tip", 250)))
LINES = [MUG, WRAP, BACK, SERVICE, TIP]
SUMS = dict(zip(COLUMNS, (2198, 205, 164, 100, 250, 2507, 2507), strict=True))
THEIRS = Books("USD", {"total_minor": 2507}, [Line(*line[:5]) for line in LINES])


def found(columns: dict[str, int] = SUMS, lines: list[Line] = LINES) -> list[str]:
    return list(wrong(THEIRS, Books("USD", columns, lines)))


def test_an_order_as_the_books_have_it_is_right() -> None:
    assert found() == []


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "net_minor"])
@pytest.mark.parametrize("cents", [1, -1])
def test_a_cent_in_a_column_is_found(name: str, cents: int) -> None:
    assert found({**SUMS, name: SUMS[name] + cents})


def test_a_cent_that_is_both_tax_and_discount_is_found() -> None:
    assert found({**SUMS, "tax_minor": 165, "discount_minor": 206})


def test_a_column_that_the_books_tell_is_compared_as_it_is() -> None:
    told = THEIRS._replace(columns={"net_minor": 2000})
    assert list(wrong(told, Books("USD", SUMS, LINES))) == ["net_minor is 2507, the books say 2000"]


@pytest.mark.parametrize("index", range(len(LINES)))
@pytest.mark.parametrize("cents", [1, -1])
def test_a_cent_in_a_line_is_found(index: int, cents: int) -> None:
    lines = list(LINES)
    lines[index] = lines[index]._replace(total_minor=(lines[index].total_minor or 0) + cents)
    assert found(lines=lines)


@pytest.mark.parametrize("name", ["quantity", "unit_price", "listing_id", "kind", "tax_minor", "discount_minor"])
def test_anything_else_in_a_line_is_found(name: str) -> None:
    other = {"listing_id": "CUP", "kind": "returned"}.get(name, Decimal(7))
    assert found(lines=[MUG._replace(**{name: other}), *LINES[1:]])


def test_a_line_that_is_missing_is_found() -> None:
    assert found(lines=LINES[:-1])
