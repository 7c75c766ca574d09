"""Catalog searches of the simulator: which objects fit a query, and in what order they come."""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from app.sources.simulating.answers import Json
from app.sources.square.simulator.answers import invalid
from app.sources.square.simulator.catalog_related import data_of, named
from app.sources.square.simulator.request_catalog import AnyOf, CatalogQuery, Exact, Prefix, Range, Sorted, Text

Fits = Callable[[Json], bool]

SEARCHABLE = {
    "name": (
        "ITEM", "ITEM_VARIATION", "CATEGORY", "TAX", "DISCOUNT", "MODIFIER", "MODIFIER_LIST", "ITEM_OPTION",
        "ITEM_OPTION_VAL",
    ),
    "description": ("ITEM", "ITEM_OPTION_VAL"),
    "abbreviation": ("ITEM",),
    "upc": ("ITEM_VARIATION",),
    "sku": ("ITEM_VARIATION",),
    "caption": ("IMAGE",),
    "display_name": ("ITEM_OPTION",),
}  # fmt: skip
"""The attributes that a search accepts, and the types that have them, as documented at ``CatalogQuery``."""

COMBINABLE = {"exact_query", "prefix_query", "range_query", "text_query", "sorted_attribute_query"}
SHORTEST_WORD = 3  # alphanumeric characters; shorter keywords are ignored


class Query(NamedTuple):
    """A query in an evaluated form: the condition on objects, their order, and the type that it is about."""

    fits: tuple[Fits, ...] = ()
    order: Sorted | None = None
    about: str | None = None

    def matches(self, thing: Json) -> bool:
        """Whether an object fits."""
        return (self.about in (None, thing["type"])) and all(fits(thing) for fits in self.fits)


def understood(query: CatalogQuery | None) -> Query:
    """The query; raises a 400 for a combination or an attribute that Square does not have."""
    if query is None:
        return Query()
    given = {name for name in query.__struct_fields__ if getattr(query, name) is not None}
    if len(given) > 1 and not given <= COMBINABLE:
        raise invalid("These queries cannot be combined.", "CONFLICTING_PARAMETERS", "query")
    for name in given:
        _check_attribute(getattr(query, name), f"query.{name}.attribute_name")
    fits = tuple(_CONDITIONS[name](getattr(query, name)) for name in given if name in _CONDITIONS)
    about = next((_ABOUT[name] for name in given if name in _ABOUT), None)
    return Query(fits, query.sorted_attribute_query, about)


def in_order(things: Iterable[Json], by: Sorted) -> list[Json]:
    """The objects in the requested order, from the first requested value on, without those that lack the attribute."""
    rows = [(value.casefold(), one) for one in things if (value := value_of(one, by.attribute_name)) is not None]
    down, first = by.sort_order == "DESC", by.initial_attribute_value
    if first is not None:
        bound = first.casefold()
        rows = [row for row in rows if (row[0] <= bound if down else row[0] >= bound)]
    return [one for _, one in sorted(rows, key=lambda row: row[0], reverse=down)]


def value_of(thing: Json, name: str) -> str | None:
    """A searchable attribute of an object; ``None`` where its type has none."""
    if thing["type"] not in SEARCHABLE[name]:
        return None
    value = data_of(thing).get(name)
    return str(value) if value else None


def _check_attribute(part: Any, field: str) -> None:
    name = getattr(part, "attribute_name", None)
    if name is not None and name not in SEARCHABLE:
        raise invalid(f"The attribute {name} cannot be searched or sorted by.", "INVALID_VALUE", field)
    if isinstance(part, Range):
        raise invalid(f"The attribute {name} is no number.", "INVALID_VALUE", field)  # as no searchable attribute is


def _exact(part: Exact) -> Fits:
    """Documented as partial in one place; a test on the real API showed that it is not (forum 8820)."""
    return lambda thing: _folded(thing, part.attribute_name) == part.attribute_value.casefold()


def _prefix(part: Prefix) -> Fits:
    begin = part.attribute_prefix.casefold()
    return lambda thing: (_folded(thing, part.attribute_name) or "\0").startswith(begin)


def _any_of(part: AnyOf) -> Fits:
    wanted = {value.casefold() for value in part.attribute_values}
    return lambda thing: _folded(thing, part.attribute_name) in wanted


def _text(part: Text) -> Fits:
    """Every keyword begins a word of some searchable attribute."""
    wanted = [word for word in part.keywords if len(re.sub(r"\W|_", "", word)) >= SHORTEST_WORD]
    return lambda thing: has_words(thing, wanted)


def has_words(thing: Json, words: Iterable[str]) -> bool:
    """Whether each of the words begins a word of some searchable attribute."""
    present = _words(thing)
    return all(any(one.startswith(word.casefold()) for one in present) for word in words)


def _any_id(wanted: list[str], path: str) -> Fits:
    return lambda thing: bool(set(wanted) & set(named(thing, path)))


def _all_ids(wanted: list[str] | None, path: str) -> Fits:
    return lambda thing: set(wanted or ()) <= set(named(thing, path))


_CONDITIONS: dict[str, Callable[[Any], Fits]] = {
    "exact_query": _exact,
    "prefix_query": _prefix,
    "text_query": _text,
    "set_query": _any_of,
    "items_for_tax_query": lambda part: _any_id(part.tax_ids, "tax_ids"),
    "items_for_modifier_list_query": lambda part: _any_id(
        part.modifier_list_ids, "modifier_list_info.modifier_list_id"
    ),
    "items_for_item_options_query": lambda part: _all_ids(part.item_option_ids, "item_options.item_option_id"),
    "item_variations_for_item_option_values_query": lambda part: _all_ids(
        part.item_option_value_ids, "item_option_values.item_option_value_id"
    ),
    "modifiers_for_child_list_query": lambda part: lambda thing: False,  # no modifier of this account nests a list
}
"""For each query the condition on objects that it makes."""

_ABOUT = {
    "items_for_tax_query": "ITEM",
    "items_for_modifier_list_query": "ITEM",
    "items_for_item_options_query": "ITEM",
    "item_variations_for_item_option_values_query": "ITEM_VARIATION",
    "modifiers_for_child_list_query": "MODIFIER",
}
"""The type whose objects can mention what a query names."""


def _folded(thing: Json, name: str) -> str | None:
    value = value_of(thing, name)
    return None if value is None else value.casefold()


def _words(thing: Json) -> list[str]:
    values = [value for name in SEARCHABLE if (value := _folded(thing, name))]
    return [*(word for value in values for word in re.findall(r"\w+", value)), *values]
