"""The fields of Square's catalog that we map, as they come."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec

from app.domain import INT64
from app.domain.decoding import convert
from app.errors import Unmappable
from app.sources.shapes import explained

Json = dict[str, Any]
Shape = TypeVar("Shape")

MICROS = 1000
"""A catalog version times this is microseconds since 1970, the form of all our versions."""

Whole = Annotated[int, msgspec.Meta(ge=-INT64, le=INT64 - 1)]
"""A number that fits a column of 64 bits."""

Id = Annotated[str, msgspec.Meta(min_length=1)]
"""The id of a record. An empty one would make a row that no later record replaces."""


class Money(msgspec.Struct):
    """Integer minor units."""

    amount: Whole | None = None
    currency: str | None = None


class Named(msgspec.Struct):
    """A mention of another object by its id."""

    id: str | None = None


class CatalogObject(msgspec.Struct):
    """The envelope of every catalog object. ``version`` was ``updated_at`` in milliseconds wherever it was seen."""

    id: Id
    type: str
    version: Annotated[int, msgspec.Meta(ge=0, le=INT64 // 1000 - 1)] = 0
    updated_at: str | None = None
    is_deleted: bool = False
    present_at_all_locations: bool | None = None
    present_at_location_ids: list[str] | None = None
    absent_at_location_ids: list[str] | None = None
    item_data: Json | None = None
    item_variation_data: Json | None = None
    category_data: Json | None = None


class ItemData(msgspec.Struct):
    """The fields of an item that we map."""

    name: str | None = None
    description: str | None = None
    description_plaintext: str | None = None
    is_archived: bool = False
    variations: list[Any] | None = None


class Override(msgspec.Struct):
    """What differs at one location."""

    location_id: str | None = None
    price_money: Money | None = None
    inventory_alert_type: str | None = None
    inventory_alert_threshold: Whole | None = None
    sold_out: bool = False
    sold_out_valid_until: str | None = None


class Supply(msgspec.Struct):
    """One vendor of a variation. Versions before 2026 have ``sku`` for the code, ``price_money`` for the cost, and an order
    (``ordinal``)."""

    vendor_id: str | None = None
    vendor_code: str | None = None
    unit_cost_money: Money | None = None
    sku: str | None = None
    price_money: Money | None = None
    ordinal: Whole = 0


class SupplyObject(msgspec.Struct):
    """An entry of ``item_variation_vendor_infos``."""

    is_deleted: bool = False
    item_variation_vendor_info_data: Supply | None = None


class VariationData(msgspec.Struct):
    """The fields of a variation that we map."""

    item_id: str | None = None
    name: str | None = None
    sku: str | None = None
    upc: str | None = None
    price_money: Money | None = None
    location_overrides: list[Override] | None = None
    inventory_alert_type: str | None = None
    inventory_alert_threshold: Whole | None = None
    vendor_information: list[Supply] | None = None
    item_variation_vendor_infos: list[SupplyObject] | None = None
    default_unit_cost: Money | None = None


class CategoryData(msgspec.Struct):
    """The fields of a category that we map."""

    name: str | None = None
    parent_category: Named | None = None


def typed(data: Any, shape: type[Shape], at: str = "") -> Shape:
    """A dictionary, which stands ``at`` a path in the record, as a struct. Numbers may come as text.

    Raises ``Unmappable`` naming the field, what stands there and what was expected.
    """
    try:
        return convert(data, shape, strict=False)
    except msgspec.ValidationError as error:
        read = partial(convert, shape=shape, strict=False)
        raise Unmappable(explained(error, data, at, read=read)) from error


def rest(data: Mapping[str, Any], mapped: frozenset[str]) -> Json:
    """The fields that have no place of their own, without those that say nothing."""
    return {key: value for key, value in data.items() if key not in mapped and value not in (None, "", [], {})}
