"""Maps the lines of Square's orders to ours: goods sold and returned, and everything else that was paid; pure."""

from collections.abc import Iterator
from typing import Any

from app.domain.money import price_of_minor
from app.domain.order_lines import MODIFIER, REFUND, RETURNED, ROUNDING, SERVICE, SOLD, TIP, OrderLine
from app.sources.square.catalog_wire import Money, typed
from app.sources.square.mapping import full_name
from app.sources.square.order_wire import Charge, Line, OrderData, Return
from app.sources.values import amount_of

_NOTHING = Money()
_REFUSED = frozenset({"REJECTED", "FAILED"})


def sold_lines(order: OrderData) -> list[OrderLine]:
    """The lines that the order sells, in Square's order."""
    return list(_sold(order))


def returned_lines(order: OrderData) -> list[OrderLine]:
    """The lines that come back, negative, in Square's order."""
    return [line for number, part in enumerate(order.returns or []) for line in _back(part, number)]


def refunded(order: OrderData) -> int:
    """The money given back, in minor units, without refunds that failed."""
    given = (refund for refund in order.refunds or [] if refund.status not in _REFUSED)
    return sum((refund.amount_money or _NOTHING).amount or 0 for refund in given)


def refund_line(minor: int, currency: str | None) -> OrderLine:
    """A line for money given back without goods."""
    return OrderLine(kind=REFUND, total_minor=-minor, currency=currency)


def _sold(order: OrderData) -> Iterator[OrderLine]:
    for number, item in enumerate(order.line_items or []):
        yield from _item(item, f"line_items[{number}]", SOLD, 1)
    for number, charge in enumerate(order.service_charges or []):
        yield _service(charge, f"service_charges[{number}]", 1)
    if order.total_tip_money and order.total_tip_money.amount:
        yield _plain(TIP, None, order.total_tip_money, 1)
    yield from _rounding(order.rounding_adjustment, 1)


def _back(part: Return, number: int) -> Iterator[OrderLine]:
    """The lines of one return, or just its money."""
    at = f"returns[{number}]"
    for index, item in enumerate(part.return_line_items or []):
        yield from _item(item, f"{at}.return_line_items[{index}]", RETURNED, -1)
    for index, charge in enumerate(part.return_service_charges or []):
        yield _service(charge, f"{at}.return_service_charges[{index}]", -1)
    yield from _tips(part, at)
    yield from _rounding(part.rounding_adjustment, -1)
    sum_ = part.return_amounts and part.return_amounts.total_money
    if sum_ and sum_.amount and not (part.return_line_items or part.return_service_charges or part.return_tips):
        yield refund_line(sum_.amount, sum_.currency)


def _tips(part: Return, at: str) -> Iterator[OrderLine]:
    """The tips of a return; versions before ``return_tips`` only have their sum."""
    for index, tip in enumerate(part.return_tips or []):
        given = typed(tip, Line, f"{at}.return_tips[{index}]")
        yield _plain(TIP, given.uid, given.applied_money or _NOTHING, -1)
    tips = part.return_amounts and part.return_amounts.tip_money
    if tips and tips.amount and part.return_line_items and not part.return_tips:
        yield _plain(TIP, None, tips, -1)


def _item(data: Any, at: str, kind: str, sign: int) -> Iterator[OrderLine]:
    """A line and its modifiers. The line's total excludes the modifiers' prices and any service charge in it."""
    line = typed(data, Line, at)
    modifiers = [
        _modifier(typed(each, Line, f"{at}.modifiers[{number}]"), line, at, sign)
        for number, each in enumerate(line.modifiers or line.return_modifiers or [])
    ]
    price, total = line.base_price_money or _NOTHING, (line.total_money or _NOTHING).amount
    currency = price.currency or (line.total_money or _NOTHING).currency
    if total is not None:
        total -= (line.total_service_charge_money or _NOTHING).amount or 0
        total = sign * total - sum(modifier.total_minor or 0 for modifier in modifiers)
    yield OrderLine(
        line_id=line.uid,
        kind=kind,
        listing_id=line.catalog_object_id,
        name=full_name(line.name, line.variation_name, alone=True),
        quantity=None if line.quantity is None else format(sign * amount_of(line.quantity, f"{at}.quantity"), "f"),
        unit_price=_price(price),
        discount_minor=_signed(line.total_discount_money, sign),
        tax_minor=_signed(line.total_tax_money, sign),
        total_minor=total,
        currency=currency,
    )
    yield from modifiers


def _modifier(modifier: Line, line: Line, at: str, sign: int) -> OrderLine:
    """A modifier counts once for each of its line."""
    each = amount_of(1 if modifier.quantity is None else modifier.quantity, f"{at}.modifiers.quantity")
    count = each * amount_of(1 if line.quantity is None else line.quantity, f"{at}.quantity")
    price = modifier.base_price_money or _NOTHING
    return OrderLine(
        line_id=modifier.uid,
        kind=MODIFIER,
        listing_id=modifier.catalog_object_id,
        name=modifier.name,
        quantity=format(sign * count, "f"),
        unit_price=_price(price),
        total_minor=_signed(modifier.total_price_money, sign),
        currency=(modifier.total_price_money or price).currency,
        part_of=line.uid,
    )


def _service(data: Any, at: str, sign: int) -> OrderLine:
    charge = typed(data, Charge, at)
    return OrderLine(
        line_id=charge.uid,
        kind=SERVICE,
        name=charge.name,
        tax_minor=_signed(charge.total_tax_money, sign),
        total_minor=_signed(charge.total_money, sign),
        currency=(charge.total_money or _NOTHING).currency,
    )


def _rounding(adjustment: Line | None, sign: int) -> Iterator[OrderLine]:
    if adjustment and adjustment.amount_money and adjustment.amount_money.amount:
        yield _plain(ROUNDING, adjustment.uid, adjustment.amount_money, sign, adjustment.name)


def _plain(kind: str, line_id: str | None, money: Money, sign: int, name: str | None = None) -> OrderLine:
    total = _signed(money, sign)
    return OrderLine(line_id=line_id, kind=kind, name=name, total_minor=total, currency=money.currency)


def _price(price: Money) -> str | None:
    return None if price.amount is None else price_of_minor(price.amount, price.currency)


def _signed(money: Money | None, sign: int) -> int | None:
    return None if money is None or money.amount is None else sign * money.amount
