"""Compares orders and their lines, to the cent, with the simulated vendors' books."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from app.domain.money import exponent
from app.domain.order_lines import DISCOUNT, MONEY_COLUMNS, SERVICE, TAX, TIP

_LINES = "kind, listing_id, quantity, unit_price, total_minor, discount_minor, tax_minor"
OURS = (
    f"SELECT external_id, currency, {', '.join(MONEY_COLUMNS)} FROM orders WHERE connection = :slug AND NOT deleted"
)
OUR_LINES = f"SELECT order_id, {_LINES} FROM order_lines WHERE connection = :slug ORDER BY order_id, position"


class Line(NamedTuple):
    """One line of an order; quantity and price are exact, money is in minor units."""

    kind: str
    listing_id: str | None
    quantity: Decimal | None
    unit_price: Decimal | None
    total_minor: int | None
    discount_minor: int = 0
    tax_minor: int = 0


class Books(NamedTuple):
    """An order in somebody's books: its columns, and its lines."""

    currency: str
    columns: Mapping[str, int | None]
    lines: Sequence[Line]

    def sum(self, *kinds: str) -> int:
        """The sum of the lines of some kinds, or of all lines."""
        return sum(line.total_minor or 0 for line in self.lines if not kinds or line.kind in kinds)

    def goods(self) -> int:
        """The sum of the goods before discount and tax, with whatever is neither goods nor charge."""
        return sum(
            _gross(line, self.currency) for line in self.lines if line.kind not in (SERVICE, TIP, TAX, DISCOUNT)
        )

    def column(self, name: str) -> int:
        """A column's amount; zero where the books have none."""
        return self.columns.get(name) or 0


def wrong(theirs: Books, ours: Books) -> Iterator[str]:
    """One sentence for every amount that differs."""
    for name, amount in theirs.columns.items():
        if ours.columns[name] != amount:
            yield f"{name} is {ours.columns[name]}, the books say {amount}"
    yield from _unlike("subtotal_minor", ours.column("subtotal_minor"), theirs.goods())
    yield from _unlike("service_charge_minor", ours.column("service_charge_minor"), theirs.sum(SERVICE))
    yield from _unlike("tip_minor", ours.column("tip_minor"), theirs.sum(TIP))
    on_top = theirs.sum() - theirs.goods() - theirs.sum(SERVICE, TIP)
    yield from _unlike("tax less discount", ours.column("tax_minor") - ours.column("discount_minor"), on_top)
    yield from _unlike("the sum of the lines", ours.sum(), ours.column("total_minor"))
    taxes, discounts = ours.sum(TAX), -ours.sum(DISCOUNT)
    yield from _unlike("tax_minor", ours.column("tax_minor"), taxes + sum(line.tax_minor for line in ours.lines))
    yield from _unlike(
        "discount_minor", ours.column("discount_minor"), discounts + sum(line.discount_minor for line in ours.lines)
    )
    true_lines, our_lines = [line[:5] for line in theirs.lines], [line[:5] for line in ours.lines]
    if true_lines != our_lines:
        yield f"lines are {list(map(_shown, our_lines))}, the books say {list(map(_shown, true_lines))}"


def vendor_books(row: Mapping[str, Any]) -> Books:
    """The books in a row of a simulator's truth."""
    columns = {name: row[name] for name in MONEY_COLUMNS if name in row}
    return Books(row.get("currency") or "USD", columns, [_line(*each) for each in row["lines"]])


def our_books(row: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> Books:
    """The books in a row of our orders and its lines: rows of ``order_lines``, or the JSON lines, which leave out
    empty fields."""
    names = [name.strip() for name in _LINES.split(",")]
    books_lines = [_line(*[line.get(name) for name in names]) for line in lines]
    return Books(row["currency"] or "USD", {name: row[name] for name in MONEY_COLUMNS}, books_lines)


def _line(
    kind: Any, listing_id: Any, quantity: Any, price: Any, total: Any, discount: Any = None, tax: Any = None
) -> Line:
    return Line(kind, listing_id, _exact(quantity), _exact(price), total, int(discount or 0), int(tax or 0))


def _exact(value: Any) -> Decimal | None:
    """A number in the form that both databases and JSON share."""
    return None if value is None else Decimal(str(value)).normalize()


def _gross(line: Line, currency: str) -> int:
    if line.quantity is None or line.unit_price is None:
        return line.total_minor or 0
    return round((line.quantity * line.unit_price).scaleb(exponent(currency)))


def _unlike(what: str, ours: int, theirs: int) -> Iterator[str]:
    if ours != theirs:
        yield f"{what} is {ours}, the lines make it {theirs}"


def _shown(line: Sequence[Any]) -> str:
    return " ".join(f"{part:f}" if isinstance(part, Decimal) else str(part) for part in line)
