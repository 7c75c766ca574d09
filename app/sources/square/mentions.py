"""The objects that an item only names by id: its categories, images, unit, options, modifier lists and taxes.

A field of an unexpected shape mentions nothing, so that it does no harm.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from app.domain import INT64, Mentioned
from app.sources.square.catalog_wire import MICROS, Json

TYPES = (
    "CATEGORY",
    "IMAGE",
    "ITEM_OPTION",
    "ITEM_OPTION_VAL",
    "MEASUREMENT_UNIT",
    "MODIFIER_LIST",
    "MODIFIER",
    "TAX",
)
"""The types of these objects, and of those parts of them that are objects of their own."""

_PARTS = {
    "ITEM_OPTION_VAL": ("item_option_value_data", "item_option_id"),
    "MODIFIER": ("modifier_data", "modifier_list_id"),
}
"""Where a part names the object that items mention."""


class Known(NamedTuple):
    """What is known besides the items: objects by id, and the ids of the open locations."""

    things: Mapping[str, Json] = {}
    places: Collection[str] = ()


NOTHING_KNOWN = Known()


def mentioned(item: Json) -> Iterator[str]:
    """The ids of all objects whose names or values belong in the item's listings."""
    own = data_of(item, "item_data")
    yield from category_ids(own)[:1]
    yield from _of_item(own)
    for variation in objects(own.get("variations")):
        yield from _of_variation(data_of(variation, "item_variation_data"))


def separate_values(item: Json, things: Mapping[str, Json]) -> Iterator[str]:
    """The ids of an item's option values that its options do not include: they are objects of their own."""
    for variation in objects(data_of(item, "item_data").get("variations")):
        for chosen in objects(data_of(variation, "item_variation_data").get("item_option_values")):
            if value_name(chosen, things) is None:
                yield from texts([chosen.get("item_option_value_id")])


def value_name(chosen: Json, things: Mapping[str, Json]) -> str | None:
    """The name of a chosen option value: from its option, else from the value's own object."""
    option_id, value_id = (next(iter(texts([chosen.get(f"item_option_{part}")])), "") for part in ("id", "value_id"))
    option = data_of(things.get(option_id, {}), "item_option_data")
    values = [one for one in objects(option.get("values")) if one.get("id") == value_id]
    names = [data_of(one, "item_option_value_data").get("name") for one in [*values, things.get(value_id, {})]]
    return next(iter(texts(names)), None)


def data_of(thing: Json, field: str) -> Json:
    """The data of a catalog object, its image of the older spelling (``image_id``) among its ``image_ids``; empty where
    it has none."""
    data = next(iter(objects([thing.get(field)])), {})
    older = texts([thing.get("image_id")])
    return {**data, "image_ids": [*texts(data.get("image_ids")), *older]} if older else data


def is_mentioned(row: Any) -> bool:
    """Whether a catalog object is one that items only mention."""
    return isinstance(row, dict) and row.get("type") in TYPES


def changed(rows: Iterable[Any]) -> list[Mentioned]:
    """The mentioned objects among rows that changed. A row without a readable id is left out."""
    versions = [(id_, _version(row)) for row in rows if is_mentioned(row) for id_ in texts([_named_by(row)])]
    return [Mentioned(id_, version) for id_, version in versions]


def _named_by(row: Json) -> Any:
    data, field = _PARTS.get(row["type"], ("", ""))
    owners = [own.get(field) for own in objects([row.get(data)])]
    return owners[0] if owners else row.get("id") if not data else None


def _version(row: Json) -> int:
    version = row.get("version")
    return version * MICROS if isinstance(version, int) and 0 <= version <= INT64 // MICROS - 1 else 0


def of_listing(item_data: Json, variation_data: Json) -> set[str]:
    """The same for one variation of an item, without its category."""
    return {*_of_item(item_data), *_of_variation(variation_data)}


def _of_item(data: Json) -> Iterator[str]:
    yield from texts(data.get("image_ids"))
    yield from texts(data.get("tax_ids"))
    yield from texts([one.get("modifier_list_id") for one in modifier_lists(data)])


def _of_variation(data: Json) -> Iterator[str]:
    yield from texts(data.get("image_ids"))
    yield from texts([data.get("measurement_unit_id")])
    for one in objects(data.get("item_option_values")):
        yield from texts([one.get("item_option_id")])


def category_ids(data: Json) -> list[str]:
    """An item's categories: the one it is reported under, then the others, then the deprecated single one."""
    named = [*objects([data.get("reporting_category")]), *objects(data.get("categories"))]
    return texts([*(one.get("id") for one in named), data.get("category_id")])


def modifier_lists(data: Json) -> list[Json]:
    """The modifier lists that are on for an item."""
    return [entry for entry in objects(data.get("modifier_list_info")) if entry.get("enabled") is not False]


def objects(value: Any) -> list[Json]:
    """The objects in what should be a list of them."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """The texts in what should be a list of them."""
    return [entry for entry in value if isinstance(entry, str) and entry] if isinstance(value, list) else []
