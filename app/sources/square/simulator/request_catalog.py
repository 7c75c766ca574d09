"""The request bodies of the simulated catalog and inventory calls, with every field in Square's SDK 46.0.0.

A null means that a field is not set. Any other field is refused.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

Field = TypeVar("Field")

Direction = Literal["ASC", "DESC"]
ObjectType = Literal[
    "ITEM", "IMAGE", "CATEGORY", "ITEM_VARIATION", "TAX", "DISCOUNT", "MODIFIER_LIST", "MODIFIER", "PRICING_RULE",
    "PRODUCT_SET", "TIME_PERIOD", "MEASUREMENT_UNIT", "SUBSCRIPTION_PLAN_VARIATION", "ITEM_OPTION", "ITEM_OPTION_VAL",
    "CUSTOM_ATTRIBUTE_DEFINITION", "QUICK_AMOUNTS_SETTINGS", "SUBSCRIPTION_PLAN", "AVAILABILITY_PERIOD",
]  # fmt: skip
State = Literal[
    "CUSTOM", "IN_STOCK", "SOLD", "RETURNED_BY_CUSTOMER", "RESERVED_FOR_SALE", "SOLD_ONLINE", "ORDERED_FROM_VENDOR",
    "RECEIVED_FROM_VENDOR", "IN_TRANSIT_TO", "NONE", "WASTE", "UNLINKED_RETURN", "COMPOSED", "DECOMPOSED",
    "SUPPORTED_BY_NEWER_VERSION", "IN_TRANSIT", "UNTRACKED",
]  # fmt: skip
ChangeType = Literal["PHYSICAL_COUNT", "ADJUSTMENT", "TRANSFER"]
Included = Literal["INCLUDE_NESTED_MODIFIERS", "INCLUDE_ANCESTOR_MODIFIERS"]

ProductType = Literal[
    "REGULAR", "GIFT_CARD", "APPOINTMENTS_SERVICE", "FOOD_AND_BEV", "EVENT", "DIGITAL", "DONATION",
    "LEGACY_SQUARE_ONLINE_SERVICE", "LEGACY_SQUARE_ONLINE_MEMBERSHIP",
]  # fmt: skip
ArchivedState = Literal["ARCHIVED_STATE_NOT_ARCHIVED", "ARCHIVED_STATE_ARCHIVED", "ARCHIVED_STATE_ALL"]

Hundred = Annotated[int, Meta(ge=1, le=100)]
Thousand = Annotated[int, Meta(ge=1, le=1000)]


class RequestBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A body, or a part of one."""


class Sort(RequestBody, Generic[Field]):
    """The order of an answer."""

    field: Field | None = None
    order: Direction | None = None


class Exact(RequestBody):
    """Equal, ignoring case."""

    attribute_name: str
    attribute_value: str


class AnyOf(RequestBody):
    """Equal to one of several."""

    attribute_name: str
    attribute_values: Annotated[list[str], Meta(max_length=250)]


class Prefix(RequestBody):
    """The beginning of a value."""

    attribute_name: str
    attribute_prefix: str


class Range(RequestBody):
    """Numbers between two ends, both inclusive."""

    attribute_name: str
    attribute_min_value: int | None = None
    attribute_max_value: int | None = None


class Text(RequestBody):
    """Words, all of which must occur."""

    keywords: Annotated[list[str], Meta(min_length=1, max_length=3)]


class Sorted(RequestBody):
    """The order of the answer, by an attribute."""

    attribute_name: str
    initial_attribute_value: str | None = None
    sort_order: Direction | None = None


class ForTaxes(RequestBody):
    """Items with any of these taxes."""

    tax_ids: list[str]


class ForModifierLists(RequestBody):
    """Items with any of these modifier lists."""

    modifier_list_ids: list[str]


class ForOptions(RequestBody):
    """Items with all of these options."""

    item_option_ids: list[str] | None = None


class ForOptionValues(RequestBody):
    """Variations with all of these values."""

    item_option_value_ids: list[str] | None = None


class ForChildLists(RequestBody):
    """Modifiers that nest any of these lists."""

    child_modifier_list_ids: list[str]


class CatalogQuery(RequestBody):
    """The query of a catalog search."""

    exact_query: Exact | None = None
    prefix_query: Prefix | None = None
    range_query: Range | None = None
    text_query: Text | None = None
    sorted_attribute_query: Sorted | None = None
    set_query: AnyOf | None = None
    items_for_tax_query: ForTaxes | None = None
    items_for_modifier_list_query: ForModifierLists | None = None
    items_for_item_options_query: ForOptions | None = None
    item_variations_for_item_option_values_query: ForOptionValues | None = None
    modifiers_for_child_list_query: ForChildLists | None = None


class IncludeOptions(RequestBody):
    """More details of modifier lists within modifiers, which this account does not have."""

    include: list[Included] | None = None


class CatalogDetails(RequestBody, kw_only=True):
    """What else of objects is wanted, and whether also of deleted ones."""

    include_deleted_objects: bool | None = None
    include_related_objects: bool | None = None
    include_category_path_to_root: bool | None = None
    include_options: IncludeOptions | None = None


class CatalogSearch(CatalogDetails):
    """POST /v2/catalog/search; a ``limit`` out of range is documented as ignored."""

    cursor: str | None = None
    object_types: list[ObjectType] | None = None
    begin_time: datetime | None = None
    query: CatalogQuery | None = None
    limit: int | None = None


class CatalogBatch(CatalogDetails):
    """POST /v2/catalog/batch-retrieve."""

    object_ids: Annotated[list[str], Meta(max_length=1000)]
    catalog_version: int | None = None


class ItemSearch(RequestBody):
    """POST /v2/catalog/search-catalog-items."""

    text_filter: str | None = None
    category_ids: list[str] | None = None
    stock_levels: list[Literal["OUT", "LOW"]] | None = None
    enabled_location_ids: list[str] | None = None
    cursor: str | None = None
    limit: Hundred | None = None
    sort_order: Direction | None = None
    product_types: list[ProductType] | None = None
    custom_attribute_filters: list[dict[str, Any]] | None = None
    archived_state: ArchivedState | None = None
    include_options: IncludeOptions | None = None


class CountsRequest(RequestBody):
    """POST /v2/inventory/counts/batch-retrieve."""

    catalog_object_ids: list[str] | None = None
    location_ids: list[str] | None = None
    updated_after: datetime | None = None
    cursor: str | None = None
    states: list[State] | None = None
    limit: Thousand | None = None


class ReasonId(RequestBody):
    """The reason of an adjustment."""

    type: str
    custom_reason_id: str | None = None


class ChangesRequest(RequestBody):
    """POST /v2/inventory/changes/batch-retrieve."""

    catalog_object_ids: list[str] | None = None
    location_ids: list[str] | None = None
    types: list[ChangeType] | None = None
    states: list[State] | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    cursor: str | None = None
    limit: Thousand | None = None
    sort: Sort[Literal["OCCURRED_AT"]] | None = None
    reason_ids: list[ReasonId] | None = None
