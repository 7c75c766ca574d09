"""Resolves the ids in an item to names, for the readable columns of its listings."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from app.domain import CATEGORY_JOINT, Listing, to_json
from app.sources.square.catalog_wire import Json
from app.sources.square.mentions import Known, data_of, modifier_lists, objects, of_listing, texts, value_name

Things = Mapping[str, Json]

_UNITS = {
    "IMPERIAL_WEIGHT_OUNCE": "oz",
    "IMPERIAL_POUND": "lb",
    "IMPERIAL_STONE": "st",
    "METRIC_MILLIGRAM": "mg",
    "METRIC_GRAM": "g",
    "METRIC_KILOGRAM": "kg",
    "GENERIC_FLUID_OUNCE": "fl oz",
    "GENERIC_CUP": "cup",
    "GENERIC_PINT": "pt",
    "GENERIC_QUART": "qt",
    "GENERIC_GALLON": "gal",
    "IMPERIAL_CUBIC_INCH": "in³",
    "IMPERIAL_CUBIC_FOOT": "ft³",
    "IMPERIAL_CUBIC_YARD": "yd³",
    "METRIC_MILLILITER": "ml",
    "METRIC_LITER": "l",
    "IMPERIAL_INCH": "in",
    "IMPERIAL_FOOT": "ft",
    "IMPERIAL_YARD": "yd",
    "METRIC_MILLIMETER": "mm",
    "METRIC_CENTIMETER": "cm",
    "METRIC_METER": "m",
    "IMPERIAL_SQUARE_FOOT": "ft²",
    "METRIC_SQUARE_METER": "m²",
    "GENERIC_SECOND": "s",
    "GENERIC_MINUTE": "min",
    "GENERIC_HOUR": "h",
    "GENERIC_DAY": "d",
    "UNIT": "unit",
}
"""How people write Square's units; any other unit is spelled as Square does."""


def detailed(listing: Listing, item: Json, variation: Json, known: Known) -> Listing:
    """The listing with these columns, from the data of its item and of its variation, and the objects they mention."""
    things = known.things
    path_ids, names = _path(listing.category_id, things)
    unit = _data(things, variation.get("measurement_unit_id"), "measurement_unit_data")
    return replace(
        listing,
        category=names[-1] if names else None,
        category_path=CATEGORY_JOINT.join(names) or None,
        unit=_unit(unit),
        unit_precision=_digits(unit),
        images=to_json(_images([*texts(variation.get("image_ids")), *texts(item.get("image_ids"))], things)),
        options=to_json([_option(one, things) for one in objects(variation.get("item_option_values"))]),
        modifiers=to_json([_modifier_list(one, things) for one in modifier_lists(item)]),
        taxes=to_json([_tax(text, things) for text in texts(item.get("tax_ids"))]),
        mentions=to_json(sorted(of_listing(item, variation) | path_ids)),
    )


def _path(category_id: str | None, things: Things) -> tuple[set[str], list[str]]:
    """The ids of a category and of those above it, and their names from the root down."""
    if category_id is None:
        return set(), []
    data = _data(things, category_id, "category_data")
    above = objects(data.get("path_to_root"))
    names = [_text(data, "name"), *(_text(node, "category_name") for node in above)]
    ids = {category_id, *texts([node.get("category_id") for node in above])}
    return ids, [name for name in reversed(names) if name] if names[0] else []


def _unit(data: Json) -> str | None:
    for kind, name in data_of(data, "measurement_unit").items():
        if kind == "custom_unit" and isinstance(name, dict):
            return _text(name, "name") or _text(name, "abbreviation")
        if kind.endswith("_unit") and isinstance(name, str):
            return _UNITS.get(name) or name.lower().replace("_", " ")
    return None


def _images(ids: Iterable[str], things: Things) -> list[Json]:
    data = {id_: _data(things, id_, "image_data") for id_ in ids}
    return [_present({"id": one, "name": _text(own, "name"), "url": _text(own, "url")}) for one, own in data.items()]


def _option(chosen: Json, things: Things) -> Json:
    option_id, value_id = _text(chosen, "item_option_id"), _text(chosen, "item_option_value_id")
    name = _text(_data(things, option_id, "item_option_data"), "name")
    return _present({"id": option_id, "name": name, "value_id": value_id, "value": value_name(chosen, things)})


def _modifier_list(info: Json, things: Things) -> Json:
    list_id = _text(info, "modifier_list_id")
    data = _data(things, list_id, "modifier_list_data")
    choices = [
        _modifier(modifier) for modifier in objects(data.get("modifiers")) if modifier.get("is_deleted") is not True
    ]
    fields = {"id": list_id, "name": _text(data, "name"), "selection": _text(data, "selection_type")}
    return _present({**fields, "modifiers": choices or None})


def _modifier(thing: Json) -> Json:
    data = data_of(thing, "modifier_data")
    price = data_of(data, "price_money")
    fields = {"id": _text(thing, "id"), "name": _text(data, "name")}
    return _present({**fields, "price_minor": _whole(price.get("amount")), "currency": _text(price, "currency")})


def _tax(tax_id: str, things: Things) -> Json:
    data = _data(things, tax_id, "tax_data")
    fields = {"id": tax_id, "name": _text(data, "name"), "percentage": _text(data, "percentage")}
    is_off = True if data.get("enabled") is False else None
    return _present({**fields, "inclusion": _text(data, "inclusion_type"), "off": is_off})


def _data(things: Things, id_: Any, field: str) -> Json:
    """The data of a related object, empty where it is not there."""
    return data_of(things.get(id_, {}) if isinstance(id_, str) else {}, field)


def _text(data: Json, field: str) -> str | None:
    value = data.get(field)
    return value if isinstance(value, str) and value else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _digits(unit: Json) -> int | None:
    """The number of decimal places of a unit: 0 to 5, and 3 (Square's documented default) where there is none."""
    if not unit:
        return None
    digits = 3 if unit.get("precision") is None else _whole(unit["precision"])
    return digits if digits is not None and 0 <= digits <= 5 else None


def _present(data: Json) -> Json:
    return {name: value for name, value in data.items() if value is not None}
