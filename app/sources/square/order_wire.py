"""The fields of Square's orders that we map, as they come."""

from typing import Any

import msgspec

from app.sources.square.catalog_wire import Id, Money


class Line(msgspec.Struct):
    """A line item, a returned one, a modifier of one, a tip that is given back, or the rounding of cash: each has some of
    these fields.

    ``catalog_object_id`` is the variation, that of a modifier the modifier; ``total_price_money`` is a modifier's, for the
    whole line.
    """

    uid: str | None = None
    name: str | None = None
    variation_name: str | None = None
    quantity: str | int | float | None = None
    catalog_object_id: str | None = None
    base_price_money: Money | None = None
    total_price_money: Money | None = None
    total_discount_money: Money | None = None
    total_tax_money: Money | None = None
    total_service_charge_money: Money | None = None
    total_money: Money | None = None
    amount_money: Money | None = None
    applied_money: Money | None = None
    modifiers: list[Any] | None = None
    return_modifiers: list[Any] | None = None


class Charge(msgspec.Struct):
    """A service charge; an apportioned one is part of the totals of its lines."""

    uid: str | None = None
    name: str | None = None
    total_tax_money: Money | None = None
    total_money: Money | None = None


class Amounts(msgspec.Struct):
    """The sums of an order or of a return."""

    total_money: Money | None = None
    tax_money: Money | None = None
    discount_money: Money | None = None
    tip_money: Money | None = None
    service_charge_money: Money | None = None


class Return(msgspec.Struct):
    """What was brought back of one earlier sale."""

    uid: str | None = None
    return_line_items: list[Any] | None = None
    return_service_charges: list[Any] | None = None
    return_tips: list[Any] | None = None
    rounding_adjustment: Line | None = None
    return_amounts: Amounts | None = None


class Refund(msgspec.Struct):
    """Money given back."""

    id: str | None = None
    status: str | None = None
    amount_money: Money | None = None


class Tender(msgspec.Struct):
    """A means of payment."""

    customer_id: str | None = None


class Origin(msgspec.Struct):
    """The application that made an order."""

    name: str | None = None


class OrderData(msgspec.Struct):
    """An order. Point-of-sale orders have no ``version``."""

    id: Id
    location_id: str | None = None
    reference_id: str | None = None
    customer_id: str | None = None
    state: str | None = None
    source: Origin | None = None
    created_at: str | None = None
    updated_at: str | None = None
    line_items: list[Any] | None = None
    service_charges: list[Any] | None = None
    rounding_adjustment: Line | None = None
    returns: list[Return] | None = None
    refunds: list[Refund] | None = None
    tenders: list[Tender] | None = None
    total_money: Money | None = None
    total_tax_money: Money | None = None
    total_discount_money: Money | None = None
    total_tip_money: Money | None = None
    total_service_charge_money: Money | None = None
    return_amounts: Amounts | None = None
    net_amounts: Amounts | None = None
