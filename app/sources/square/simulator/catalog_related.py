"""The objects that simulated items mention: images, taxes, modifier lists, item options and units of measure.

There are a few of each, shared among the items; an item's place decides which it mentions. ``mentioned`` reads the ids
in an object's JSON, one level deep, as ``include_related_objects`` needs them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.sources.simulating.answers import Json
from app.sources.square.simulator.catalog_things import Item, Variation
from app.sources.square.simulator.clock import GENESIS_MS, catalog_text

IMAGES = 12
SIZES = ("Small", "Medium", "Large")
_OPENING = (
    ("TAX", "TAX", "Sales tax"),
    ("TAX", "TAX", "Bag fee"),
    ("MODIFIER_LIST", "MOD", "Gift wrap"),
    ("ITEM_OPTION", "OPT", "Size"),
    ("MEASUREMENT_UNIT", "UNT", "lb"),
    *(("IMAGE", "IMG", f"Photo {number}") for number in range(IMAGES)),
)
"""Type, beginning of the id, and name of each thing."""


@dataclass
class Thing:
    """One object that items mention."""

    id: str
    type: str
    name: str
    version: int


class Things:
    """All of these objects, in order of creation."""

    def __init__(self, tag: str) -> None:
        self.all = [
            Thing(f"{prefix}{tag}{place:09d}", type_, name, GENESIS_MS - 500 + place)
            for place, (type_, prefix, name) in enumerate(_OPENING)
        ]

    def json_of(self, object_id: str) -> Json | None:
        """The thing, or the part of one, with this id."""
        kin = [one for one in self.all if one.id[:-1] == object_id[:-1]]
        return next((row for one in kin for row in _rows(one) if row["id"] == object_id), None)

    def rows(self, type_: str, place: int) -> list[Json]:
        """The thing at a place if it is of a type, and its parts of that type."""
        return [row for row in _rows(self.all[place]) if row["type"] == type_]

    def of_item(self, item: Item) -> Json:
        """The fields by which an item mentions them."""
        fields: Json = {
            "image_ids": [one.id for one in self.images(item)],
            "tax_ids": [one.id for one in self.taxes(item)],
            "modifier_list_info": [{"modifier_list_id": one.id, "enabled": True} for one in self.modifiers(item)],
            "item_options": [{"item_option_id": one.id} for one in self._options(item)],
        }
        return {name: value for name, value in fields.items() if value}

    def of_variation(self, item: Item, variation: Variation) -> Json:
        """The fields by which a variation mentions them."""
        unit = self.unit(variation)
        chosen = [
            {"item_option_id": one.id, "item_option_value_id": value_id(one, variation.name)}
            for one in self.options(item, variation)
        ]
        return {
            **({"measurement_unit_id": unit.id} if unit else {}),
            **({"item_option_values": chosen} if chosen else {}),
        }

    def images(self, item: Item) -> list[Thing]:
        """The pictures of an item."""
        return [self._of("IMAGE")[item.index % IMAGES]] if item.index % 3 == 0 else []

    def taxes(self, item: Item) -> list[Thing]:
        """The taxes on an item."""
        return self._of("TAX")[: 2 if item.index % 10 == 0 else 1 if item.index % 2 == 0 else 0]

    def modifiers(self, item: Item) -> list[Thing]:
        """The modifier lists of an item."""
        return self._of("MODIFIER_LIST") if item.index % 8 == 1 else []

    def unit(self, variation: Variation) -> Thing | None:
        """The unit that a variation is sold by."""
        return self._of("MEASUREMENT_UNIT")[0] if variation.ware % 5 == 2 else None

    def options(self, item: Item, variation: Variation) -> list[Thing]:
        """The options that a variation has a value of."""
        return self._options(item) if variation.name in SIZES else []

    def _options(self, item: Item) -> list[Thing]:
        return self._of("ITEM_OPTION") if any(one.name in SIZES for one in item.variations) else []

    def _of(self, type_: str) -> list[Thing]:
        return [one for one in self.all if one.type == type_]


def _rows(thing: Thing) -> list[Json]:
    """A thing as the API shows it, and its parts that have ids of their own."""
    row = {**envelope(thing.type, thing.id, thing.version), f"{thing.type.lower()}_data": _data(thing)}
    parts = {"MODIFIER_LIST": _modifiers, "ITEM_OPTION": _values}.get(thing.type)
    return [row, *(parts(thing) if parts else ())]


def image_url(thing: Thing) -> str:
    """The picture's address; another file has another address."""
    return f"https://images.example/{thing.id}/{thing.version}.jpeg"


def modifier_choices(thing: Thing) -> Iterator[tuple[str, str, int]]:
    """The choices of a modifier list: id, name and price in cents."""
    for number, (name, cents) in enumerate((("Ribbon", 150), ("Card", 300))):
        yield f"{thing.id[:-1]}{'XY'[number]}", name, cents


def _data(thing: Thing) -> Json:
    match thing.type:
        case "TAX":
            fields = {"percentage": "8.5", "inclusion_type": "ADDITIVE", "calculation_phase": "TAX_SUBTOTAL_PHASE"}
            return {"name": thing.name, **fields, "enabled": True}
        case "MODIFIER_LIST":
            return {"name": thing.name, "selection_type": "MULTIPLE", "modifiers": _modifiers(thing)}
        case "ITEM_OPTION":
            return {"name": thing.name, "display_name": thing.name, "values": _values(thing)}
        case "MEASUREMENT_UNIT":
            return {"measurement_unit": {"custom_unit": {"name": thing.name, "abbreviation": "lb"}}, "precision": 2}
        case _:
            return {"name": thing.name, "url": image_url(thing), "caption": ""}


def _modifiers(thing: Thing) -> list[Json]:
    return [
        {
            **envelope("MODIFIER", id_, thing.version),
            "modifier_data": {
                "name": name,
                "price_money": {"amount": cents, "currency": "USD"},
                "modifier_list_id": thing.id,
            },
        }
        for id_, name, cents in modifier_choices(thing)
    ]


def _values(thing: Thing) -> list[Json]:
    return [
        {
            **envelope("ITEM_OPTION_VAL", value_id(thing, size), thing.version),
            "item_option_value_data": {"item_option_id": thing.id, "name": size, "ordinal": place},
        }
        for place, size in enumerate(SIZES)
    ]


def value_id(thing: Thing, size: str) -> str:
    """The id of an option's value."""
    return f"{thing.id[:-1]}{size[0]}"


def envelope(type_: str, id_: str, version: int, *, deleted: bool = False) -> Json:
    """What every object begins with; most are present everywhere."""
    fields = {"type": type_, "id": id_, "updated_at": catalog_text(version), "version": version}
    return {**fields, "is_deleted": deleted, "present_at_all_locations": True}


_REFERENCES = {
    "ITEM": (
        "categories.id",
        "reporting_category.id",
        "tax_ids",
        "image_ids",
        "modifier_list_info.modifier_list_id",
        "item_options.item_option_id",
    ),
    "ITEM_VARIATION": (
        "item_id",
        "measurement_unit_id",
        "item_option_values.item_option_id",
        "item_option_values.item_option_value_id",
    ),
    "CATEGORY": ("parent_category.id",),
    "MODIFIER": ("modifier_list_id",),
    "ITEM_OPTION_VAL": ("item_option_id",),
}
"""Where the objects of a type name others, as ``named`` reads it."""


def mentioned(thing: Json) -> list[str]:
    """The ids that an object and its variations name, each once."""
    own = [id_ for path in _REFERENCES.get(thing["type"], ()) for id_ in named(thing, path)]
    nested = [id_ for one in data_of(thing).get("variations") or () for id_ in mentioned(one)]
    return list(dict.fromkeys([*own, *nested]))


def named(thing: Json, path: str) -> list[str]:
    """The ids at a path below an object's data, through lists; those that are null or missing are left out."""
    values: list[Any] = [data_of(thing)]
    for name in path.split("."):
        inner = [value.get(name) for value in values]
        values = [one for part in inner for one in (part if isinstance(part, list) else [part]) if one]
    return values


def data_of(thing: Json) -> Json:
    """The fields that an object has because of its type."""
    name = "item_option_value_data" if thing["type"] == "ITEM_OPTION_VAL" else f"{thing['type'].lower()}_data"
    return thing.get(name) or {}
