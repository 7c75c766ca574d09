"""The ids of other objects in a simulated catalog object, one level deep, as ``include_related_objects`` needs them."""

from collections.abc import Iterator

from app.sources.simulating.answers import Json


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
