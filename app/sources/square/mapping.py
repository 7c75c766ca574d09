"""Square's catalog as our records; pure. ``counts``, ``orders`` and ``parties`` map the rest.

Nothing is lost: what has no field of its own goes to ``extra``, the item's part of it under ``item``.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from app.domain import Category, Listing, to_json
from app.errors import Unmappable
from app.sources.square.catalog_wire import (
    MICROS,
    CatalogObject,
    CategoryData,
    ItemData,
    Json,
    Money,
    Override,
    VariationData,
    rest,
    typed,
)
from app.sources.square.details import detailed
from app.sources.square.mentions import NOTHING_KNOWN, Known, category_ids, data_of
from app.sources.square.supplies import cost_of, main_supply, supplies_of, supply_json
from app.sources.square.times import later
from app.sources.values import amount_of, moment

ONLY_VARIATION = "Regular"
"""The name Square gives to the variation of an item that has just one."""


_ENVELOPE = frozenset(
    {"id", "type", "version", "updated_at", "is_deleted", "item_data", "item_variation_data", "category_data"}
)
_ITEM = frozenset({"description", "variations", "image_ids", "tax_ids", "item_options", "is_archived"})
_VARIATION = frozenset(
    {"item_id", "sku", "upc", "price_money", "inventory_alert_type", "inventory_alert_threshold"}
    | {"vendor_information", "item_variation_vendor_infos", "default_unit_cost", "location_overrides"}
    | {"image_ids", "item_option_values"}
)
_OVERRIDE = frozenset(
    {"price_money", "inventory_alert_type", "inventory_alert_threshold", "sold_out", "sold_out_valid_until"}
)


def variations_of(item: Json, known: Known = NOTHING_KNOWN) -> tuple[list[Any], Callable[[Any], Listing]]:
    """The variations nested in an ITEM object, and what makes the listing of one: that may raise for one only."""
    envelope = typed(item, CatalogObject)
    if envelope.item_data is None:  # else it would seem to have no variation any more
        raise Unmappable("item_data is missing, expected an object")
    data = typed(envelope.item_data, ItemData, "item_data")
    envelope.item_data = data_of(item, "item_data")
    variations = [variation for variation in data.variations or [] if variation is not None]
    item_rest = {**_envelope_rest(item), **rest(envelope.item_data, _ITEM)}
    return variations, partial(_listing, envelope, data, item_rest, known, len(variations) == 1)


def item_of(variation: Json) -> str | None:
    """The id of the item a variation object belongs to."""
    return typed(variation.get("item_variation_data") or {}, VariationData, "item_variation_data").item_id


def _listing(
    item: CatalogObject, data: ItemData, item_rest: Json, known: Known, alone: bool, variation: Json
) -> Listing:
    """Item and variation change independently, so the newer of the two is the listing's version."""
    envelope = typed(variation, CatalogObject)
    own = typed(envelope.item_variation_data or {}, VariationData, "item_variation_data")
    overrides = own.location_overrides or []
    supplies = supplies_of(own)
    main = main_supply(supplies)
    price, cost = own.price_money or Money(), cost_of(own, main)
    item_data, variation_data = item.item_data or {}, data_of(variation, "item_variation_data")
    listing = Listing(
        external_id=envelope.id,
        parent_id=item.id,
        sku=own.sku or None,
        name=full_name(data.name, own.name, alone),
        description=data.description or data.description_plaintext or None,
        active=not data.is_archived and _is_sold_somewhere(item, envelope, known.places),
        category_id=next(iter(category_ids(item_data)), None),
        archived=data.is_archived,
        sold_out=to_json(_sold_out(overrides)),
        barcode=own.upc or None,
        price_minor=price.amount,
        cost_minor=cost.amount,
        currency=price.currency or cost.currency,
        prices=to_json(_prices(overrides)),
        supplier_id=main.vendor_id,
        supplier_sku=main.vendor_code,
        suppliers=to_json([supply_json(supply) for supply in supplies]),
        reorder_point=_reorder_point(own),
        reorders=to_json(_reorders(overrides)),
        extra=to_json(_extra(variation, variation_data, item_rest)),
        deleted=envelope.is_deleted,
        version=max(item.version, envelope.version) * MICROS,
        modified_at=moment(later(item.updated_at, envelope.updated_at)),
    )
    return detailed(listing, item_data, variation_data, known)


def full_name(item: str | None, variation: str | None, alone: bool) -> str | None:
    """``Item - Variation``, or just ``Item`` when the variation adds nothing: unnamed, or the only, "Regular" one."""
    if not variation or variation == item or (alone and variation == ONLY_VARIATION):
        return item or None
    return f"{item} - {variation}" if item else variation


def _is_sold_somewhere(item: CatalogObject, variation: CatalogObject, places: Collection[str]) -> bool:
    """Whether there is a location at which both are present; ``places`` are the open ones, empty where they are not
    known: then what is present anywhere is sold."""
    only = [set(one.present_at_location_ids or ()) for one in (item, variation) if not _is_everywhere(one)]
    but = {place for one in (item, variation) if _is_everywhere(one) for place in one.absent_at_location_ids or ()}
    if only:
        left = set.intersection(*only) - but
        return bool(left & set(places) if places else left)
    return not but or not places or bool(set(places) - but)


def _is_everywhere(thing: CatalogObject) -> bool:
    """Present at all locations but those named as absent: the default."""
    return thing.present_at_all_locations is not False


def _sold_out(overrides: Sequence[Override]) -> list[Json]:
    """The locations where it is sold out, with the end of that where it has one."""
    return [
        {"location_id": at.location_id, **({"until": at.sold_out_valid_until} if at.sold_out_valid_until else {})}
        for at in overrides
        if at.sold_out
    ]


def _prices(overrides: Sequence[Override]) -> list[Json]:
    return [
        {"location_id": at.location_id, "price_minor": at.price_money.amount, "currency": at.price_money.currency}
        for at in overrides
        if at.price_money
    ]


def _threshold(kind: str | None, threshold: int | None) -> Decimal | None:
    if kind != "LOW_QUANTITY" or threshold is None:
        return None
    return amount_of(threshold, "inventory_alert_threshold")


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
