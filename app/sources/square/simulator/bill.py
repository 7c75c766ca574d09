"""The simulated orders, and what they charge, bring back and show of it: all amounts follow from an order's number."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.sources.simulating.answers import Json, decimal_text

GIFT_CARD = 2500  # cents


@dataclass
class Line:
    """Some of one variation, at a price; amounts in minor units, ``modifier`` for each."""

    variation_id: str  # empty for a gift card
    name: str
    variation_name: str
    quantity: str
    price: int
    modifier: int = 0
    discount: int = 0
    tax: int = 0
    item_type: str = "ITEM"

    def is_ware(self) -> bool:
        """Whether it takes something out of stock; a gift card does not."""
        return self.item_type == "ITEM"

    def ware(self) -> int:
        """The number of the ware that it sells."""
        return int(self.variation_id[-9:])

    def modifiers(self) -> int:
        """What its modifier comes to."""
        return round(float(self.quantity) * self.modifier)

    def gross(self) -> int:
        """Before discount and tax, modifiers included."""
        return round(float(self.quantity) * self.price) + self.modifiers()

    def total(self) -> int:
        """What is paid for it."""
        return self.gross() - self.discount + self.tax


@dataclass
class Order:
    """A sale, a return or both; times in milliseconds. ``version`` is ``None`` for the point of sale."""

    id: str
    location: int
    state: str
    created: int
    updated: int
    version: int | None
    lines: list[Line] = field(default_factory=list)
    shown_from: int = 0
    closed: int | None = None
    returned: list[Line] = field(default_factory=list)
    service: int = 0
    tip: int = 0
    refund: int = 0  # without lines
    customer: str = ""

    def sold(self) -> int:
        """Minor units: what is paid for what is bought."""
        return sum(line.total() for line in self.lines) + self.service + self.tip

    def total(self) -> int:
        """Minor units: what is sold less what comes back."""
        return self.sold() - sum(line.total() for line in self.returned) - self.refund


def charge(order: Order, number: int) -> None:
    """Modifiers, discounts, taxes, a gift card, a service charge, a tip, a customer: each for some orders."""
    for place, line in enumerate(order.lines):
        line.modifier = 75 if (number + place) % 4 == 0 else 0
        line.discount = line.gross() // 10 if number % 3 == 0 else 0
        line.tax = (line.gross() - line.discount) * 8 // 100 if number % 2 == 0 else 0
    if number % 13 == 6 and number % 9 not in (4, 7):  # those bring something back, and a gift card nobody does
        order.lines.append(Line("", "eGift Card", "", "1", GIFT_CARD, item_type="GIFT_CARD"))
    order.service = sum(line.total() for line in order.lines) * 5 // 100 if number % 5 == 0 else 0
    order.tip = 250 if number % 5 == 1 else 0
    order.customer = f"CUST{number % 7}" if number % 4 == 1 else ""


def bring_back(order: Order, number: int) -> None:
    """Makes a return, an exchange or a refund of some orders."""
    if number % 9 == 4:
        order.lines, order.returned, order.service, order.tip = [], order.lines, 0, 0
    elif number % 9 == 7:
        order.lines, order.returned = order.lines[1:] or list(order.lines), order.lines[:1]
    elif number % 11 == 5:
        order.refund, order.lines, order.service, order.tip = order.sold() // 2 or 1, [], 0, 0


def contents(order: Order, location_id: str) -> Json:
    """What an order is made of, as the API shows it."""
    back = {"uid": f"{order.id[:8]}-r", "return_line_items": _lines(order, order.returned, "return_modifiers")}
    refund = order.refund or max(-order.total(), 0)
    parts = {
        "line_items": _lines(order, order.lines, "modifiers"),
        "service_charges": [_service(order)] if order.service else [],
        "returns": [{**back, "return_amounts": _amounts(order.returned)}] if order.returned else [],
        "refunds": [_refund(order, refund, location_id)] if refund else [],
        "tenders": [_tender(order)] if order.total() > 0 and order.closed else [],
    }
    return {name: part for name, part in parts.items() if part}


def sums(order: Order) -> Json:
    """The order's totals; with a return also what comes back, and the difference."""
    fields = {
        "total_money": usd(order.sold()),
        "total_tax_money": usd(sum(line.tax for line in order.lines)),
        "total_discount_money": usd(sum(line.discount for line in order.lines)),
        "total_tip_money": usd(order.tip),
        "total_service_charge_money": usd(order.service),
    }
    if not order.returned:
        return fields
    sold, back = _amounts(order.lines, order.service, order.tip), _amounts(order.returned)
    net = {name: usd(sold[name]["amount"] - back[name]["amount"]) for name in sold}
    return {**fields, "return_amounts": back, "net_amounts": net}


def true_sums(order: Order) -> dict[str, int]:
    """The money columns of a perfect copy, in cents; what came back counts against what was sold."""
    both = [(1, line) for line in order.lines] + [(-1, line) for line in order.returned]
    discount, tax = (sum(sign * getattr(line, name) for sign, line in both) for name in ("discount", "tax"))
    total = order.total()
    return {
        "subtotal_minor": total - order.service - order.tip - tax + discount,
        "discount_minor": discount,
        "tax_minor": tax,
        "service_charge_minor": order.service,
        "tip_minor": order.tip,
        "total_minor": total,
        "net_minor": total,
    }


def true_lines(order: Order) -> Iterator[list[Any]]:
    """Every line a perfect copy has: kind, listing, quantity, unit price, total."""
    for kind, sign, lines in (("sold", 1, order.lines), ("returned", -1, order.returned)):
        if kind == "returned":
            yield from _true_charges(order)
        for line in lines:
            count = Decimal(line.quantity) * sign
            yield [
                kind,
                line.variation_id or None,
                decimal_text(count),
                dollars(line.price),
                sign * (line.total() - line.modifiers()),
            ]
            if line.modifier:
                yield ["modifier", None, decimal_text(count), dollars(line.modifier), sign * line.modifiers()]
    if order.refund:
        yield ["refund", None, None, None, -order.refund]


def _true_charges(order: Order) -> Iterator[list[Any]]:
    if order.service:
        yield ["service", None, None, None, order.service]
    if order.tip:
        yield ["tip", None, None, None, order.tip]


def usd(cents: int) -> Json:
    """Money as Square spells it."""
    return {"amount": cents, "currency": "USD"}


def dollars(cents: int) -> str:
    """A price as text: ``16.5``."""
    return decimal_text(Decimal(cents) / 100)


def _lines(order: Order, lines: list[Line], modifiers: str) -> list[Json]:
    return [_line(f"{order.id[:8]}-{modifiers[0]}{place}", line, modifiers) for place, line in enumerate(lines)]


def _line(uid: str, line: Line, modifiers: str) -> Json:
    fields = {
        "uid": uid,
        **({"catalog_object_id": line.variation_id} if line.is_ware() else {}),
        "name": line.name,
        **({"variation_name": line.variation_name} if line.is_ware() else {}),
        "quantity": line.quantity,
        "item_type": line.item_type,
        "base_price_money": usd(line.price),
        "total_tax_money": usd(line.tax),
        "total_discount_money": usd(line.discount),
        "total_money": usd(line.total()),
    }
    extra = {
        "uid": f"{uid}-m",
        "name": "Gift wrap",
        "base_price_money": usd(line.modifier),
        "total_price_money": usd(line.modifiers()),
    }
    return {**fields, modifiers: [extra]} if line.modifier else fields


def _service(order: Order) -> Json:
    return {
        "uid": f"{order.id[:8]}-s",
        "name": "Service",
        "applied_money": usd(order.service),
        "total_tax_money": usd(0),
        "total_money": usd(order.service),
    }


def _refund(order: Order, cents: int, location_id: str) -> Json:
    fields = {"id": "f" + order.id[1:], "location_id": location_id, "reason": "Brought back", "status": "COMPLETED"}
    return {**fields, "amount_money": usd(cents)}


def _tender(order: Order) -> Json:
    customer = {"customer_id": order.customer} if order.customer else {}
    tip = {"tip_money": usd(order.tip)} if order.tip else {}
    return {"id": "t" + order.id[1:], "type": "CARD", "amount_money": usd(order.total()), **tip, **customer}


def _amounts(lines: list[Line], service: int = 0, tip: int = 0) -> Json:
    return {
        "total_money": usd(sum(line.total() for line in lines) + service + tip),
        "tax_money": usd(sum(line.tax for line in lines)),
        "discount_money": usd(sum(line.discount for line in lines)),
        "tip_money": usd(tip),
        "service_charge_money": usd(service),
    }
