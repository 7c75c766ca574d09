"""The row of a simulated product in a perfect copy, in the copy's own words."""

from typing import Any

from app.domain import CATEGORY_JOINT, to_json
from app.sources.square.simulator.catalog import Catalog
from app.sources.square.simulator.catalog_related import Thing, image_url, modifier_choices, value_of
from app.sources.square.simulator.catalog_things import Item, Variation

Json = dict[str, Any]


def true_product(catalog: Catalog, item: Item, variation: Variation) -> Json:
    """The row of a live variation."""
    price = None if catalog.json.is_variable(variation) else variation.price
    supply = _supply(catalog, variation)
    named = len(item.live()) > 1 or variation.name != "Regular"
    return {
        "external_id": variation.id,
        "parent_id": item.id,
        "sku": variation.sku,
        "name": f"{item.name} - {variation.name}" if named else item.name,
        "active": item.present != "nowhere" and not item.archived,
        "archived": item.archived,
        "category_id": catalog.categories[item.category].id,
        **_category(catalog, item.category),
        "price_minor": price,
        "currency": None if price is None and supply["cost_minor"] is None else "USD",
        **supply,
        **_related(catalog, item, variation),
    }


def _category(catalog: Catalog, place: int | None) -> Json:
    names: list[str] = []
    while place is not None:
        category = catalog.categories[place]
        names.insert(0, category.name)
        place = category.parent
    return {"category": names[-1], "category_path": CATEGORY_JOINT.join(names)}


def _supply(catalog: Catalog, variation: Variation) -> Json:
    vendor = catalog.json.vendor_of(variation)
    return {
        "supplier_id": vendor,
        "supplier_sku": None if vendor is None else f"S-{variation.sku}",
        "cost_minor": variation.cost if vendor is not None or catalog.json.has_usual_cost(variation) else None,
    }


def _related(catalog: Catalog, item: Item, variation: Variation) -> Json:
    things = catalog.things
    unit = things.unit(variation)
    images = [{"id": one.id, "name": one.name, "url": image_url(one)} for one in things.images(item)]
    taxes = [
        {"id": one.id, "name": one.name, "percentage": "8.5", "inclusion": "ADDITIVE"} for one in things.taxes(item)
    ]
    return {
        "unit": None if unit is None else unit.name,
        "unit_precision": None if unit is None else 2,
        "images": to_json(images),
        "options": to_json([_option(one, variation) for one in things.options(item, variation)]),
        "modifiers": to_json([_modifier_list(one) for one in things.modifiers(item)]),
        "taxes": to_json(taxes),
        "sold_out": to_json([{"location_id": place} for place in catalog.json.sold_out_at(variation)]),
    }


def _option(thing: Thing, variation: Variation) -> Json:
    value_id, value = value_of(thing, variation.name)
    return {"id": thing.id, "name": thing.name, "value_id": value_id, "value": value}


def _modifier_list(thing: Thing) -> Json:
    choices = [
        {"id": id_, "name": name, "price_minor": cents, "currency": "USD"}
        for id_, name, cents in modifier_choices(thing)
    ]
    return {"id": thing.id, "name": thing.name, "selection": "MULTIPLE", "modifiers": choices}
