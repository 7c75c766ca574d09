"""The objects that simulated items mention: images, taxes, modifier lists, item options and units of measure.

There are a few of each, shared among the items; an item's place decides which it mentions. ``mentioned`` reads the ids
in an object's JSON, one level deep, as ``include_related_objects`` needs them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.sources.simulating.answers import Json
from app.sources.square.simulator.catalog_things import Item, Variation
from app.sources.square.simulator.clock import GENESIS_MS, catalog_text

IMAGES = 12
SIZES = ("Small", "Medium", "Large")
_NAMED = (
    ("TAX", "Sales tax"),
    ("TAX", "Bag fee"),
    ("MODIFIER_LIST", "Gift wrap"),
    ("ITEM_OPTION", "Size"),
    ("MEASUREMENT_UNIT", "lb"),
    *(("IMAGE", f"Photo {number}") for number in range(IMAGES)),
)
_PREFIXES = {
    "TAX": "TAX",
    "MODIFIER_LIST": "MOD",
    "ITEM_OPTION": "OPT",
    "MEASUREMENT_UNIT": "UNT",
    "IMAGE": "IMG",
}
TYPES = (*_PREFIXES, "MODIFIER", "ITEM_OPTION_VAL")


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
            Thing(f"{_PREFIXES[type_]}{tag}{place:09d}", type_, name, GENESIS_MS - 500 + place)
            for place, (type_, name) in enumerate(_NAMED)
        ]

    def json_of(self, object_id: str) -> Json | None:
        """The thing, or the part of one, with this id."""
        kin = [one for one in self.all if one.id[:-1] == object_id[:-1]]
        return next((row for one in kin for row in _rows(one) if row["id"] == object_id), None)

    def rows(self, type_: str, begin: int) -> list[Json]:
        """The things of a type that changed after ``begin`` (ms); parts come with their wholes."""
        changed = [one for one in self.all if one.version > begin]
        return [row for one in changed for row in _rows(one) if row["type"] == type_]

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
    row = {**_envelope(thing.type, thing.id, thing.version), f"{thing.type.lower()}_data": _data(thing)}
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
            **_envelope("MODIFIER", id_, thing.version),
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
            **_envelope("ITEM_OPTION_VAL", value_id(thing, size), thing.version),
            "item_option_value_data": {"item_option_id": thing.id, "name": size, "ordinal": place},
        }
        for place, size in enumerate(SIZES)
    ]


def value_id(thing: Thing, size: str) -> str:
    """The id of an option's value."""
    return f"{thing.id[:-1]}{size[0]}"


def _envelope(type_: str, id_: str, version: int) -> Json:
    fields = {"type": type_, "id": id_, "updated_at": catalog_text(version), "version": version}
    return {**fields, "is_deleted": False, "present_at_all_locations": True}


def mentioned(thing: Json) -> list[str]:
    """The ids that an object names, each once."""
    return list(dict.fromkeys(_mentioned(thing)))


def _mentioned(thing: Json) -> Iterator[str]:
    match thing["type"]:
        case "ITEM":
            yield from _of_item(thing)
        case "ITEM_VARIATION":
            yield thing["item_variation_data"]["item_id"]
            yield from _of_variation(thing)
        case "CATEGORY":
            yield from _ids([thing["category_data"].get("parent_category") or {}], "id")
        case "MODIFIER":
            yield thing["modifier_data"]["modifier_list_id"]
        case "ITEM_OPTION_VAL":
            yield thing["item_option_value_data"]["item_option_id"]


def _of_item(thing: Json) -> Iterator[str]:
    data = thing["item_data"]
    yield from categories_of(thing)
    yield from taxes_of(thing)
    yield from data.get("image_ids") or []
    yield from modifier_lists_of(thing)
    yield from options_of(thing)
    for variation in data.get("variations") or []:
        yield from _of_variation(variation)


def _of_variation(thing: Json) -> Iterator[str]:
    data = thing["item_variation_data"]
    yield from filter(None, [data.get("measurement_unit_id")])
    yield from _ids(data.get("item_option_values") or [], "item_option_id")
    yield from values_of(thing)


def categories_of(thing: Json) -> list[str]:
    """The categories of an item."""
    data = thing.get("item_data", {})
    return _ids([*(data.get("categories") or []), data.get("reporting_category") or {}], "id")


def taxes_of(thing: Json) -> list[str]:
    """The taxes of an item."""
    return list(thing.get("item_data", {}).get("tax_ids") or [])


def modifier_lists_of(thing: Json) -> list[str]:
    """The modifier lists that are on for an item."""
    lists = thing.get("item_data", {}).get("modifier_list_info") or []
    return _ids([one for one in lists if one.get("enabled") is not False], "modifier_list_id")


def options_of(thing: Json) -> list[str]:
    """The options of an item."""
    return _ids(thing.get("item_data", {}).get("item_options") or [], "item_option_id")


def values_of(thing: Json) -> list[str]:
    """The option values of a variation."""
    return _ids(thing.get("item_variation_data", {}).get("item_option_values") or [], "item_option_value_id")


def _ids(rows: list[Json], name: str) -> list[str]:
    return [row[name] for row in rows if row.get(name)]
