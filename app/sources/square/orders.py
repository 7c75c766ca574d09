"""Square's orders as our records; pure. ``order_wire`` has their fields, ``order_lines`` maps their lines."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from app.domain import Order, to_json
from app.domain.order_lines import RETURNED, SERVICE, TIP, OrderLine
from app.sources.square.catalog_wire import Json, Money, rest, typed
from app.sources.square.order_lines import refund_line, refunded, returned_lines, sold_lines
from app.sources.square.order_wire import Amounts, OrderData, Return
from app.sources.square.times import last_change, version_of
from app.sources.values import moment

SETTLING = timedelta(minutes=2)
"""How long after its creation an order may still come without its line items."""

_ORDER = frozenset({"id", "location_id", "reference_id", "customer_id", "state", "updated_at", "line_items"})
_SUMS = frozenset(
    {"total_money", "total_tax_money", "total_discount_money", "total_tip_money", "total_service_charge_money"}
    | {"net_amounts"}
)
_LINE = frozenset(
    {"uid", "name", "quantity", "catalog_object_id", "base_price_money", "total_money", "total_tax_money"}
    | {"total_discount_money"}
)


def order(data: Json, zones: Mapping[str, str]) -> Order:
    """Map an order; ``zones`` has each location's time zone, which decides the business date (UTC if unknown).

    Square records a return as an order of its own: ``total_money`` and the line items are what it sells, ``returns``
    what comes back. Our record has one sum of both.
    """
    wire = _with_returns(typed(data, OrderData))
    bill = _bill(wire)
    money, sums = bill.money, bill.sums
    return Order(
        external_id=wire.id,
        number=wire.reference_id or None,
        type=_type(wire, bill.lines),
        status=wire.state,
        location_id=wire.location_id,
        party_id=wire.customer_id or _payer(wire),
        channel=(wire.source.name or None) if wire.source else None,
        ordered_on=_business_date(wire, zones),
        subtotal_minor=None if money.amount is None else money.amount - _on_top(sums),
        discount_minor=_minor(sums.discount_money),
        tax_minor=_minor(sums.tax_money),
        service_charge_minor=_minor(sums.service_charge_money),
        tip_minor=_minor(sums.tip_money),
        total_minor=money.amount,
        net_minor=None if money.amount is None else money.amount - bill.refunded,
        currency=money.currency,
        lines=to_json(bill.lines),
        extra=to_json(_extra(data)),
        version=version_of(wire.updated_at, wire.created_at),
        modified_at=last_change(wire.updated_at, wire.created_at),
    )


class _Bill(NamedTuple):
    """An order's lines, its total, what was ``refunded`` of it in money (minor units), and its sums."""

    lines: list[OrderLine]
    money: Money
    refunded: int
    sums: Amounts


def _bill(wire: OrderData) -> _Bill:
    """A refund of an order that sells nothing is a line of its own and lowers the total."""
    sold, back = sold_lines(wire), returned_lines(wire)
    given = 0 if wire.returns else refunded(wire)
    money = _money(wire, sold, back)
    if given and not _sells(wire):
        back = [*back, refund_line(given, money.currency)]
        money, given = Money((money.amount or 0) - given, money.currency), 0
    return _Bill([*sold, *back], money, given, _sums(wire, back))


def is_settling(data: Json, now: datetime) -> bool:
    """Whether the order is so young that Square may not show its line items yet."""
    wire = typed(data, OrderData)
    created = moment(wire.created_at, "created_at")
    has_something = wire.line_items or wire.returns or wire.refunds
    return not has_something and created is not None and now - created < SETTLING


def _with_returns(wire: OrderData) -> OrderData:
    """The order with a return for a returned sum that none of its returns explains."""
    amounts = wire.return_amounts
    if wire.returns or amounts is None or not _minor(amounts.total_money):
        return wire
    return msgspec.structs.replace(wire, returns=[Return(return_amounts=amounts)])


def _sells(wire: OrderData) -> bool:
    return bool(wire.line_items or wire.service_charges)


def _type(wire: OrderData, lines: Sequence[OrderLine]) -> str:
    if any(line.kind == RETURNED for line in lines):
        return "exchange" if wire.line_items else "return"
    return "refund" if not _sells(wire) and (wire.returns or refunded(wire)) else "sale"


def _payer(wire: OrderData) -> str | None:
    """The customer of the first tender that names one."""
    return next((tender.customer_id for tender in wire.tenders or [] if tender.customer_id), None)


def _money(wire: OrderData, sold: Sequence[OrderLine], back: Sequence[OrderLine]) -> Money:
    """The order's total less its returns, from Square's own sums where there are any, else from the lines."""
    total = wire.total_money or Money()
    currencies = (line.currency for line in (*sold, *back) if line.currency)
    currency = total.currency or next(currencies, None) or _refund_currency(wire)
    amount = _total(sold) if total.amount is None else total.amount
    if not wire.returns:
        return Money(amount, currency)
    net = wire.net_amounts.total_money if wire.net_amounts else None
    if net and net.amount is not None:
        return Money(net.amount, net.currency or currency)
    return Money((amount or 0) - _returned(wire, back), currency)


def _total(lines: Sequence[OrderLine]) -> int | None:
    """The sum of the lines, ``None`` where a line has no total or there are no lines."""
    known = [line.total_minor for line in lines if line.total_minor is not None]
    return sum(known) if known and len(known) == len(lines) else None


def _refund_currency(wire: OrderData) -> str | None:
    return next((refund.amount_money.currency for refund in wire.refunds or [] if refund.amount_money), None)


def _returned(wire: OrderData, back: Sequence[OrderLine]) -> int:
    """The returned amount: the order's sum, else those of its parts, else that of the lines."""
    parts = [wire.return_amounts] if wire.return_amounts else [part.return_amounts for part in wire.returns or []]
    known = [_minor(part.total_money) for part in parts if part]
    if len(known) == len(parts) and None not in known:
        return sum(amount or 0 for amount in known)
    return -sum(line.total_minor or 0 for line in back)


def _sums(wire: OrderData, back: Sequence[OrderLine]) -> Amounts:
    """Tax, discount, tip and service charge: sold less returned."""
    sold = Amounts(
        tax_money=wire.total_tax_money,
        discount_money=wire.total_discount_money,
        tip_money=wire.total_tip_money,
        service_charge_money=wire.total_service_charge_money,
    )
    if not wire.returns:
        return sold
    parts = [wire.return_amounts] if wire.return_amounts else [part.return_amounts for part in wire.returns]
    known = [amounts for amounts in parts if amounts]
    backs = known if len(known) == len(parts) else [_reckoned(back)]  # as ``_returned`` does
    net = wire.net_amounts or Amounts()
    return Amounts(*(_less(name, net, sold, backs) for name in Amounts.__struct_fields__))


def _reckoned(back: Sequence[OrderLine]) -> Amounts:
    """The returned sums, computed from the lines."""
    charges = [line for line in back if line.kind == SERVICE]
    return Amounts(
        tax_money=_taken_back(line.tax_minor for line in back),
        discount_money=_taken_back(line.discount_minor for line in back),
        tip_money=_taken_back(line.total_minor for line in back if line.kind == TIP),
        service_charge_money=_taken_back((line.total_minor or 0) - (line.tax_minor or 0) for line in charges),
    )


def _taken_back(amounts: Iterable[int | None]) -> Money | None:
    known = [amount for amount in amounts if amount is not None]
    return Money(-sum(known)) if known else None


def _less(name: str, net: Amounts, sold: Amounts, backs: Sequence[Amounts]) -> Money | None:
    """One of the sums: Square's net sum, else computed."""
    own: Money | None = getattr(net, name)
    if own and own.amount is not None:
        return own
    parts = [_minor(getattr(sold, name)), *(_minor(getattr(back, name)) for back in backs)]
    known = [amount for amount in parts if amount is not None]
    return Money((parts[0] or 0) - sum(amount or 0 for amount in parts[1:])) if known else None


def _on_top(sums: Amounts) -> int:
    """What the total has beside the subtotal; cash rounding belongs to the subtotal."""
    added = (sums.tax_money, sums.service_charge_money, sums.tip_money)
    return sum(_minor(money) or 0 for money in added) - (_minor(sums.discount_money) or 0)


def _minor(money: Money | None) -> int | None:
    return money.amount if money else None


def _business_date(wire: OrderData, zones: Mapping[str, str]) -> str | None:
    created = moment(wire.created_at, "created_at")
    if created is None:
        return None
    return created.astimezone(zone_of(zones.get(wire.location_id or "", "UTC"))).date().isoformat()


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """A location's time zone; UTC for one that we do not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the name may be that of a folder of zones, not of a file
        return UTC


def _extra(data: Json) -> Json:
    """Everything unmapped; of line items only what ``lines`` lacks, beside their ids. The sums of an order with
    returns are kept because they say more than ours."""
    extra = rest(data, _ORDER if data.get("returns") else _ORDER | _SUMS)
    further = [
        {"uid": line.get("uid"), **left} for line in data.get("line_items") or [] if (left := rest(line, _LINE))
    ]
    if further:
        extra["line_items"] = further
    return extra
