"""Square's catalog as our records; pure. ``counts``, ``orders`` and ``parties`` map the rest.

Nothing is lost: what has no field of its own goes to ``extra``, the item's part of it under ``item``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec

from app.domain import INT64, Category, Listing, quantity, to_json
from app.errors import Unmappable
from app.sources.shapes import explained
from app.sources.square.objects import is_live_item
from app.sources.square.times import later, moment

Json = dict[str, Any]
Shape = TypeVar("Shape")

MICROS = 1000
"""Times a catalog version gives microseconds since 1970, the shape of every version of ours."""

ONLY_VARIATION = "Regular"
"""The name Square gives to the variation of an item that has just one."""


Whole = Annotated[int, msgspec.Meta(ge=-INT64, le=INT64 - 1)]
"""What fits a column of 64 bits."""


Id = Annotated[str, msgspec.Meta(min_length=1)]
"""What a record is known by. An empty one would make a row that no later record replaces."""


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
    item_data: Json | None = None
    item_variation_data: Json | None = None
    category_data: Json | None = None


class ItemData(msgspec.Struct):
    """The fields of an item that we map."""

    name: str | None = None
    description: str | None = None
    categories: list[Named] | None = None
    reporting_category: Named | None = None
    category_id: str | None = None
    is_archived: bool = False
    variations: list[Any] | None = None


class Override(msgspec.Struct):
    """What differs at one location."""

    location_id: str | None = None
    price_money: Money | None = None
    inventory_alert_type: str | None = None
    inventory_alert_threshold: Whole | None = None


class Supply(msgspec.Struct):
    """One vendor of a variation (``vendor_information``, SDK 46)."""

    vendor_id: str | None = None
    vendor_code: str | None = None
    unit_cost_money: Money | None = None


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


class CategoryData(msgspec.Struct):
    """The fields of a category that we map."""

    name: str | None = None
    parent_category: Named | None = None


_ENVELOPE = frozenset(
    {"id", "type", "version", "updated_at", "is_deleted", "item_data", "item_variation_data", "category_data"}
)
_ITEM = frozenset({"description", "variations"})
_VARIATION = frozenset(
    {"item_id", "sku", "upc", "price_money", "inventory_alert_type", "inventory_alert_threshold"}
    | {"vendor_information", "location_overrides"}
)
_OVERRIDE = frozenset({"price_money", "inventory_alert_type", "inventory_alert_threshold"})


def typed(data: Any, shape: type[Shape], at: str = "") -> Shape:
    """A dictionary, which stands ``at`` a path in the record, as a struct. Numbers may come as text.

    Raises ``Unmappable`` naming the field, what stands there and what was expected.
    """
    try:
        return msgspec.convert(data, shape, strict=False)
    except msgspec.ValidationError as error:
        raise Unmappable(explained(error, data, at)) from error


def rest(data: Mapping[str, Any], mapped: frozenset[str]) -> Json:
    """The fields that have no place of their own, without those that say nothing."""
    return {key: value for key, value in data.items() if key not in mapped and value not in (None, "", [], {})}


def listings(item: Json) -> Iterator[Listing]:
    """A listing for every variation nested in a live ITEM object."""
    variations, listing = variations_of(item)
    return map(listing, variations)


def variations_of(item: Json) -> tuple[list[Any], Callable[[Any], Listing]]:
    """The variations nested in an ITEM object, and what makes the listing of one: that may raise for one only."""
    envelope = typed(item, CatalogObject)
    if envelope.item_data is None:  # else it would seem to have no variation any more
        raise Unmappable("item_data is missing")
    data = typed(envelope.item_data, ItemData, "item_data")
    variations = [variation for variation in data.variations or [] if variation is not None]
    item_rest = {**_envelope_rest(item), **rest(envelope.item_data, _ITEM)}
    return variations, partial(_listing, envelope, data, item_rest, len(variations) == 1)


def live_listings(thing: Json | None) -> list[Listing]:
    """The listings of an object; none for one that is deleted, unknown or no item."""
    return list(listings(thing)) if is_live_item(thing) else []


def item_of(variation: Json) -> str | None:
    """The id of the item a variation object belongs to."""
    return typed(variation.get("item_variation_data") or {}, VariationData, "item_variation_data").item_id


def _listing(item: CatalogObject, data: ItemData, item_rest: Json, alone: bool, variation: Json) -> Listing:
    """Item and variation change independently, so the newer of the two is the listing's version."""
    envelope = typed(variation, CatalogObject)
    own = typed(envelope.item_variation_data or {}, VariationData, "item_variation_data")
    overrides = own.location_overrides or []
    supplies = own.vendor_information or []
    main = supplies[0] if supplies else Supply()
    price, cost = own.price_money or Money(), main.unit_cost_money or Money()
    return Listing(
        external_id=envelope.id,
        parent_id=item.id,
        sku=own.sku or None,
        name=full_name(data.name, own.name, alone),
        description=data.description or None,
        active=not data.is_archived and _is_present(item) and _is_present(envelope),
        category_id=_category_id(data),
        barcode=own.upc or None,
        price_minor=price.amount,
        cost_minor=cost.amount,
        currency=price.currency or cost.currency,
        prices=to_json(_prices(overrides)),
        supplier_id=main.vendor_id,
        supplier_sku=main.vendor_code,
        suppliers=to_json([_supply(supply) for supply in supplies]),
        reorder_point=_reorder_point(own),
        reorders=to_json(_reorders(overrides)),
        extra=to_json(_extra(variation, envelope.item_variation_data or {}, item_rest)),
        deleted=envelope.is_deleted,
        version=max(item.version, envelope.version) * MICROS,
        modified_at=moment(later(item.updated_at, envelope.updated_at)),
    )


def full_name(item: str | None, variation: str | None, alone: bool) -> str | None:
    """``Item - Variation``, or just ``Item`` when the variation adds nothing: unnamed, or the only, "Regular" one."""
    if not variation or variation == item or (alone and variation == ONLY_VARIATION):
        return item or None
    return f"{item} - {variation}" if item else variation


def _is_present(thing: CatalogObject) -> bool:
    """Sold somewhere: everywhere (the default) or at least at one named location."""
    return thing.present_at_all_locations is not False or bool(thing.present_at_location_ids)


def _category_id(item: ItemData) -> str | None:
    """The reporting category, else the first one, else the deprecated single one."""
    if item.reporting_category and item.reporting_category.id:
        return item.reporting_category.id
    return next((category.id for category in item.categories or [] if category.id), item.category_id)


def _prices(overrides: Sequence[Override]) -> list[Json]:
    return [
        {"location_id": at.location_id, "price_minor": at.price_money.amount, "currency": at.price_money.currency}
        for at in overrides
        if at.price_money
    ]


def _supply(supply: Supply) -> Json:
    cost = supply.unit_cost_money or Money()
    return {
        "supplier_id": supply.vendor_id,
        "supplier_sku": supply.vendor_code,
        "cost_minor": cost.amount,
        "currency": cost.currency,
    }


def _threshold(kind: str | None, threshold: int | None) -> Decimal | None:
    if kind != "LOW_QUANTITY" or threshold is None:
        return None
    try:
        return quantity(threshold)
    except ValueError as error:
        raise Unmappable(f"inventory_alert_threshold is {threshold}, expected at most 15 digits") from error


def _reorder_point(own: VariationData) -> Decimal | None:
    """The variation's own threshold, else the highest of any location: better to warn early than late."""
    general = _threshold(own.inventory_alert_type, own.inventory_alert_threshold)
    local = [_threshold(at.inventory_alert_type, at.inventory_alert_threshold) for at in own.location_overrides or []]
    return general if general is not None else max((at for at in local if at is not None), default=None)


def _reorders(overrides: Sequence[Override]) -> list[Json]:
    return [
        {"location_id": at.location_id, "reorder_point": at.inventory_alert_threshold}
        for at in overrides
        if _threshold(at.inventory_alert_type, at.inventory_alert_threshold) is not None
    ]


def _envelope_rest(thing: Mapping[str, Any]) -> Json:
    """The envelope's further fields; presence everywhere is the default and says nothing."""
    left = rest(thing, _ENVELOPE)
    if left.get("present_at_all_locations") is True:
        del left["present_at_all_locations"]
    return left


def _extra(variation: Json, data: Json, item_rest: Json) -> Json:
    overrides = [rest(at, _OVERRIDE) for at in data.get("location_overrides") or []]
    further = [left for left in overrides if left.keys() - {"location_id"}]
    extra = {**_envelope_rest(variation), **rest(data, _VARIATION)}
    if further:
        extra["location_overrides"] = further
    if item_rest:
        extra["item"] = item_rest
    return extra


def deleted_listing(variation: Json) -> Listing:
    """The tombstone of a deleted ITEM_VARIATION object."""
    envelope = typed(variation, CatalogObject)
    own = typed(envelope.item_variation_data or {}, VariationData, "item_variation_data")
    return Listing(
        external_id=envelope.id,
        parent_id=own.item_id,
        sku=own.sku or None,
        active=False,
        deleted=True,
        version=envelope.version * MICROS,
        modified_at=moment(envelope.updated_at, "updated_at"),
    )


def category(thing: Json) -> Category:
    """A CATEGORY object, deleted or not."""
    envelope = typed(thing, CatalogObject)
    data = typed(envelope.category_data or {}, CategoryData, "category_data")
    left = rest(envelope.category_data or {}, frozenset({"name", "parent_category"}))
    return Category(
        external_id=envelope.id,
        parent_id=data.parent_category.id if data.parent_category else None,
        name=data.name,
        extra=to_json({**_envelope_rest(thing), **left}),
        deleted=envelope.is_deleted,
        version=envelope.version * MICROS,
        modified_at=moment(envelope.updated_at, "updated_at"),
    )
