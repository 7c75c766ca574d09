"""Catalog objects as the simulated API shows them, also in older versions of it; most nulls are left out."""

from collections.abc import Sequence

from app.sources.simulating.answers import Json
from app.sources.square.simulator.catalog_related import Things, envelope
from app.sources.square.simulator.catalog_things import CategoryState, Item, Variation

NULLABLE_ITEM = ("abbreviation", "is_archived", "image_ids", "tax_ids", "modifier_list_info", "item_options")
NULLABLE_VARIATION = ("upc", "location_overrides", "measurement_unit_id", "item_option_values", "user_data")
NULLABLE_CATEGORY = ("image_ids", "parent_category")
"""Fields that Square's specification allows to be null; now and then they are null where they are empty."""

VENDOR_INFORMATION_SINCE = "2026-01-01"
"""Older versions have ``item_variation_vendor_infos``. Which version of 2026 changed that is not known."""


class CatalogJson:
    """Writes objects of one account; ``categories`` is the account's own, growing list."""

    def __init__(
        self, categories: Sequence[CategoryState], things: Things, locations: Sequence[str], vendors: Sequence[str]
    ) -> None:
        self.categories = categories
        self._things = things
        self._locations = locations
        self._vendors = vendors

    def item_json(self, item: Item) -> Json:
        """A deleted item keeps its data but loses its variations."""
        data: Json = {
            "name": item.name,
            "description": f"{item.name}, made to last.",
            "product_type": "GIFT_CARD" if item.index % 59 == 33 else "REGULAR",
            "categories": [{"id": self.categories[item.category].id, "ordinal": 0}],
            "reporting_category": {"id": self.categories[item.category].id, "ordinal": 0},
            **self._things.of_item(item),
        }
        if item.archived:
            data["is_archived"] = True
        if item.index % 13 == 6:
            data = dict.fromkeys(NULLABLE_ITEM) | data
        if not item.deleted:
            data["variations"] = [self.variation_json(item, one) for one in item.live()]
        head = envelope("ITEM", item.id, item.version, deleted=item.deleted)
        return {**head, **self._presence(item), "item_data": data}

    def variation_json(self, item: Item, variation: Variation) -> Json:
        """A variation, nested or as a row of its own."""
        data: Json = {
            "item_id": item.id,
            "name": variation.name,
            "sku": variation.sku,
            "ordinal": 1,
            **self._price(variation),
            "track_inventory": True,
            **self._alert(variation),
            **self._supply(variation),
            **self._things.of_variation(item, variation),
        }
        if overrides := self._overrides(variation):
            data["location_overrides"] = overrides
        if variation.ware % 11 == 4:
            data = dict.fromkeys(NULLABLE_VARIATION) | data
        head = envelope("ITEM_VARIATION", variation.id, variation.version, deleted=variation.deleted)
        return {**head, **self._presence(item), "item_variation_data": data}

    def category_json(self, category: CategoryState, *, with_path: bool = False) -> Json:
        """A category, with those above it if they are asked for."""
        data: Json = {"name": category.name, "category_type": "REGULAR_CATEGORY", "is_top_level": True}
        if category.parent is not None:
            data |= {
                "parent_category": {"id": self.categories[category.parent].id, "ordinal": 0},
                "is_top_level": False,
            }
        if category.version % 3 == 1:
            data = dict.fromkeys(NULLABLE_CATEGORY) | data
        if with_path and category.parent is not None:
            data["path_to_root"] = self._above(category.parent)
        head = envelope("CATEGORY", category.id, category.version, deleted=category.deleted)
        return {**head, "category_data": data}

    def _above(self, place: int | None) -> list[Json]:
        path: list[Json] = []
        while place is not None:
            category = self.categories[place]
            path.append({"category_id": category.id, "category_name": category.name})
            place = category.parent
        return path

    def _presence(self, item: Item) -> Json:
        """An item that is sold nowhere says so in one of two ways."""
        if item.present == "nowhere" and item.index % 2:
            return {"present_at_all_locations": True, "absent_at_location_ids": list(self._locations)}
        here = {"present_at_location_ids": [self._locations[0]]} if item.present == "somewhere" else {}
        return {"present_at_all_locations": item.present == "everywhere", **here}

    def is_variable(self, variation: Variation) -> bool:
        """Whether its price is keyed in at the till."""
        return variation.ware % 17 == 9

    def _price(self, variation: Variation) -> Json:
        if self.is_variable(variation):
            return {"pricing_type": "VARIABLE_PRICING"}
        return {"pricing_type": "FIXED_PRICING", "price_money": {"amount": variation.price, "currency": "USD"}}

    def _alert(self, variation: Variation) -> Json:
        if variation.ware % 2:
            return {}
        return {"inventory_alert_type": "LOW_QUANTITY", "inventory_alert_threshold": variation.threshold}

    def vendor_of(self, variation: Variation) -> str | None:
        """Who supplies it."""
        return None if not self._vendors or variation.ware % 4 == 3 else self._vendors[variation.supplier]

    def has_usual_cost(self, variation: Variation) -> bool:
        """Whether a variation has a cost without a vendor."""
        return variation.ware % 8 == 3

    def _supply(self, variation: Variation) -> Json:
        """In one of the spellings that there are: items that were written by older versions keep theirs."""
        vendor, cost = self.vendor_of(variation), {"amount": variation.cost, "currency": "USD"}
        if vendor is None:
            return {"default_unit_cost": cost} if self.has_usual_cost(variation) else {}
        info = {"vendor_id": vendor, "vendor_code": f"S-{variation.sku}", "unit_cost_money": cost}
        if variation.ware % 3 == 0:
            return {"item_variation_vendor_infos": [_older_info(variation.id, info)]}
        return {"vendor_information": [info]}

    def _overrides(self, variation: Variation) -> list[Json]:
        if variation.ware % 7 or not self._locations:
            return []
        money = {"amount": variation.price * 11 // 10, "currency": "USD"}
        priced = {} if self.is_variable(variation) else {"price_money": money}
        sold_out = {"sold_out": True} if self.sold_out_at(variation) else {}
        return [{"location_id": self._locations[-1], **priced, "track_inventory": True, **sold_out}]

    def sold_out_at(self, variation: Variation) -> list[str]:
        """The locations where it is sold out."""
        return [] if variation.ware % 35 else list(self._locations[-1:])


def as_of(version: str, things: Sequence[Json]) -> list[Json]:
    """Objects in the spelling of a version."""
    return list(things) if version >= VENDOR_INFORMATION_SINCE else [_older(thing) for thing in things]


def _older(thing: Json) -> Json:
    if thing["type"] == "ITEM":
        data = thing["item_data"]
        if "variations" not in data:
            return thing
        return {**thing, "item_data": {**data, "variations": [_older(one) for one in data["variations"]]}}
    if thing["type"] != "ITEM_VARIATION" or not thing["item_variation_data"].get("vendor_information"):
        return thing
    data = {**thing["item_variation_data"]}
    fields = [_older_info(thing["id"], one) for one in data.pop("vendor_information")]
    return {**thing, "item_variation_data": {**data, "item_variation_vendor_infos": fields}}


def _older_info(variation_id: str, info: Json) -> Json:
    fields = {"vendor_id": info["vendor_id"], "sku": info["vendor_code"], "price_money": info["unit_cost_money"]}
    head = {"type": "ITEM_VARIATION_VENDOR_INFO", "id": f"{variation_id[:-1]}V", "is_deleted": False}
    return {**head, "item_variation_vendor_info_data": {**fields, "ordinal": 0}}
