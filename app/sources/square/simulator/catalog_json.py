"""Catalog objects as the simulated API shows them; nulls are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.sources.square.simulator.catalog_things import CategoryState, Found, Item, Variation
from app.sources.square.simulator.clock import catalog_text

Json = dict[str, Any]


class Shower:
    """Writes objects of one account; ``categories`` is the account's own, growing list."""

    def __init__(self, categories: Sequence[CategoryState], locations: Sequence[str], vendors: Sequence[str]) -> None:
        self.categories = categories
        self._locations = locations
        self._vendors = vendors

    def object_json(self, found: Found) -> Json:
        """An object as the API shows it."""
        if isinstance(found, CategoryState):
            return self.category_json(found)
        item, variation = found
        return self.item_json(item) if variation is None else self.variation_json(item, variation)

    def item_json(self, item: Item) -> Json:
        """A deleted item keeps its data but loses its variations."""
        data: Json = {
            "name": item.name,
            "description": f"{item.name}, made to last.",
            "product_type": "REGULAR",
            "categories": [{"id": self.categories[item.category].id, "ordinal": 0}],
            "reporting_category": {"id": self.categories[item.category].id, "ordinal": 0},
        }
        if item.archived:
            data["is_archived"] = True
        if not item.deleted:
            data["variations"] = [self.variation_json(item, one) for one in item.live()]
        return {**_envelope("ITEM", item), **self._presence(item), "item_data": data}

    def variation_json(self, item: Item, variation: Variation) -> Json:
        """A variation, nested or as a row of its own."""
        data: Json = {
            "item_id": item.id,
            "name": variation.name,
            "sku": variation.sku,
            "ordinal": 1,
            "pricing_type": "FIXED_PRICING",
            "price_money": {"amount": variation.price, "currency": "USD"},
            "track_inventory": True,
            **self._alert(variation),
            **self._supply(variation),
        }
        if overrides := self._overrides(variation):
            data["location_overrides"] = overrides
        return {**_envelope("ITEM_VARIATION", variation), **self._presence(item), "item_variation_data": data}

    def category_json(self, category: CategoryState) -> Json:
        """A category."""
        data: Json = {"name": category.name, "category_type": "REGULAR_CATEGORY", "is_top_level": True}
        if category.parent is not None:
            data |= {
                "parent_category": {"id": self.categories[category.parent].id, "ordinal": 0},
                "is_top_level": False,
            }
        return {**_envelope("CATEGORY", category), "present_at_all_locations": True, "category_data": data}

    def _presence(self, item: Item) -> Json:
        here = {"present_at_location_ids": [self._locations[0]]} if item.present == "somewhere" else {}
        return {"present_at_all_locations": item.present == "everywhere", **here}

    def _alert(self, variation: Variation) -> Json:
        if variation.ware % 2:
            return {}
        return {"inventory_alert_type": "LOW_QUANTITY", "inventory_alert_threshold": variation.threshold}

    def _supply(self, variation: Variation) -> Json:
        if not self._vendors or variation.ware % 4 == 3:
            return {}
        cost = {"amount": variation.cost, "currency": "USD"}
        vendor = self._vendors[variation.supplier]
        return {
            "vendor_information": [
                {"vendor_id": vendor, "vendor_code": f"S-{variation.sku}", "unit_cost_money": cost}
            ]
        }

    def _overrides(self, variation: Variation) -> list[Json]:
        if variation.ware % 7:
            return []
        money = {"amount": variation.price * 11 // 10, "currency": "USD"}
        return [{"location_id": self._locations[-1], "price_money": money, "track_inventory": True}]


def _envelope(kind: str, thing: Item | Variation | CategoryState) -> Json:
    return {
        "type": kind,
        "id": thing.id,
        "updated_at": catalog_text(thing.version),
        "version": thing.version,
        "is_deleted": thing.deleted,
    }
