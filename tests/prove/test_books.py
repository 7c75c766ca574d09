"""One cent too many or too few, anywhere in an order, is found."""

from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.domain import Kind, Order, to_json
from app.domain.order_lines import MONEY_COLUMNS, OrderLine
from app.prove.real.books import Books, Line, wrong
from app.prove.real.stack import Stack
from app.prove.real.truth import difference
from app.stores import catalog

NOW = datetime(2026, 6, 1, tzinfo=UTC)

MUG = Line("sold", "MUG", Decimal(2), Decimal("10.25"), 2009, discount_minor=205, tax_minor=164)
WRAP = Line("modifier", None, Decimal(2), Decimal("0.75"), 150)
BACK = Line("returned", "CUP", Decimal(-1), Decimal("0.015"), -2)
SERVICE, TIP = (Line(kind, None, None, None, amount) for kind, amount in (("service", 100), ("tip", 250)))
LINES = [MUG, WRAP, BACK, SERVICE, TIP]
SUMS = dict(zip(MONEY_COLUMNS, (2198, 205, 164, 100, 250, 2507, 2507), strict=True))
THEIRS = Books("USD", {"total_minor": 2507}, [Line(*line[:5]) for line in LINES])


def found(columns: dict[str, int] = SUMS, lines: list[Line] = LINES) -> list[str]:
    return list(wrong(THEIRS, Books("USD", columns, lines)))


def test_an_order_as_the_books_have_it_is_right() -> None:
    assert found() == []


@pytest.mark.parametrize("name", [name for name in MONEY_COLUMNS if name != "net_minor"])
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
    other: dict[str, Any] = {name: {"listing_id": "CUP", "kind": "returned"}.get(name, Decimal(7))}
    assert found(lines=[MUG._replace(**other), *LINES[1:]])


def test_a_line_that_is_missing_is_found() -> None:
    assert found(lines=LINES[:-1])


# --- in the tables ---

ORDER = Order(
    "O1",
    location_id="1",
    currency="USD",
    version=1,
    lines=to_json(
        [
            OrderLine(
                kind=line.kind,
                listing_id=line.listing_id,
                quantity=None if line.quantity is None else f"{line.quantity}",
                unit_price=None if line.unit_price is None else f"{line.unit_price}",
                total_minor=line.total_minor,
                discount_minor=line.discount_minor or None,
                tax_minor=line.tax_minor or None,
            )
            for line in LINES
        ]
    ),
    **SUMS,  # type: ignore[arg-type]
)


def shown(line: Line) -> list[Any]:
    """As a simulator tells it: exact numbers as text."""
    return [f"{part}" if isinstance(part, Decimal) else part for part in line[:5]]


class Vendor:
    """A simulated vendor whose only order is the one above."""

    def truth(self, kind: Kind) -> list[dict[str, Any]]:
        assert kind is Kind.ORDER
        return [{"external_id": "O1", "total_minor": 2507, "lines": [shown(line) for line in LINES]}]


@pytest.fixture
def stack(database_url: str, tmp_path: Path) -> Stack:
    kept = Stack(tmp_path, {"TALLYHOOK_DATABASE_URL": database_url})
    kept.simulated["shop"] = Vendor()  # type: ignore[assignment]
    with closing(kept.database()) as database, database.begin() as conn:
        catalog.apply(conn, "shop", [ORDER], read_at=NOW, now=NOW)
    return kept


def spoil(stack: Stack, column: str, value: str) -> None:
    with closing(stack.database()) as database, database.begin() as conn:
        conn.execute(text(f"UPDATE orders SET {column} = {value} WHERE external_id = 'O1'"))


def test_rows_as_the_books_have_them_are_no_difference(stack: Stack) -> None:
    assert difference(stack, "shop", Kind.ORDER) == []


@pytest.mark.parametrize("column", MONEY_COLUMNS[:-1])
def test_a_cent_in_a_row_is_a_difference(stack: Stack, column: str) -> None:
    spoil(stack, column, f"{column} + 1")
    assert difference(stack, "shop", Kind.ORDER)


@pytest.mark.parametrize(
    ("right", "wrong_"), [("2009", "2010"), ("10.25", "10.26"), ('"tax_minor":164', '"tax_minor":165')]
)
def test_a_cent_in_a_line_of_a_row_is_a_difference(stack: Stack, right: str, wrong_: str) -> None:
    spoil(stack, "lines", f"replace(lines, '{right}', '{wrong_}')".replace(":", r"\:"))
    assert difference(stack, "shop", Kind.ORDER)
