"""Catalog objects in the form of older versions of Square's API."""

from collections.abc import Sequence

from app.sources.square.simulator.answers import Json

VENDOR_INFORMATION_SINCE = "2026-01-01"
"""Older versions have ``item_variation_vendor_infos``. Which version of 2026 changed that is not known."""


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
    fields = [_older_info(f"{thing['id'][:-1]}V", one) for one in data.pop("vendor_information")]
    return {**thing, "item_variation_data": {**data, "item_variation_vendor_infos": fields}}


def _older_info(id_: str, info: Json) -> Json:
    fields = {"vendor_id": info["vendor_id"], "sku": info["vendor_code"], "price_money": info["unit_cost_money"]}
    envelope = {"type": "ITEM_VARIATION_VENDOR_INFO", "id": id_, "is_deleted": False}
    return {**envelope, "item_variation_vendor_info_data": {**fields, "ordinal": 0}}
