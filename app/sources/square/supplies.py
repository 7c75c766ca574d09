"""The suppliers of a variation and its cost, in every spelling of Square's versions."""

from collections.abc import Iterable, Sequence

from app.sources.square.catalog_wire import Json, Money, Supply, VariationData


def supplies_of(own: VariationData) -> list[Supply]:
    """The vendors, blank entries left out; the newer spelling comes first, where both are there."""
    return _named_entries(map(_filled, own.vendor_information or ())) or _named_entries(_older(own))


def main_supply(supplies: Sequence[Supply]) -> Supply:
    """The main vendor: the first entry that names one, else the first."""
    return next((supply for supply in supplies if supply.vendor_id), supplies[0] if supplies else Supply())


def _named_entries(entries: Iterable[Supply]) -> list[Supply]:
    return [entry for entry in entries if entry.vendor_id or entry.vendor_code or entry.unit_cost_money]


def _filled(supply: Supply) -> Supply:
    return Supply(supply.vendor_id or None, supply.vendor_code or None, supply.unit_cost_money)


def _older(own: VariationData) -> list[Supply]:
    """``item_variation_vendor_infos`` in the merchant's order."""
    living = [info for info in own.item_variation_vendor_infos or [] if not info.is_deleted]
    supplies = [data for one in living if (data := one.item_variation_vendor_info_data) is not None]
    return [
        Supply(one.vendor_id or None, one.sku or None, one.price_money)
        for one in sorted(supplies, key=lambda one: one.ordinal)
    ]


def cost_of(own: VariationData, main: Supply) -> Money:
    """The main vendor's price, else the usual cost."""
    costs = (main.unit_cost_money, own.default_unit_cost)
    return next((cost for cost in costs if cost is not None and cost.amount is not None), Money())


def supply_json(supply: Supply) -> Json:
    """One vendor as an entry of ``Listing.suppliers``."""
    cost = supply.unit_cost_money or Money()
    return {
        "supplier_id": supply.vendor_id,
        "supplier_sku": supply.vendor_code,
        "cost_minor": cost.amount,
        "currency": cost.currency,
    }
