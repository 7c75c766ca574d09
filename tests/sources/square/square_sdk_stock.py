"""Calls of Square's SDK that read inventory."""

from tests.sources.square.square_sdk_reads import Call, change_ids, places, stock, variation

INVENTORY = [
    Call(
        "counts",
        lambda sdk, _: sdk.inventory.batch_get_counts(limit=1000),
        lambda got, shop: len(got.items) == stock(shop),
    ),
    Call(
        "counts of a state",
        lambda sdk, _: sdk.inventory.batch_get_counts(states=["IN_STOCK"], limit=1000),
        lambda got, shop: len(got.items) == stock(shop, state="on_hand"),
    ),
    Call(
        "counts of no state",
        lambda sdk, _: sdk.inventory.batch_get_counts(states=["NONE"], limit=1000),
        lambda got, shop: len(got.items) == stock(shop),
    ),
    Call(
        "counts of a location",
        lambda sdk, shop: sdk.inventory.batch_get_counts(location_ids=places(shop)[:1], limit=1000),
        lambda got, shop: len(got.items) == stock(shop, location_id=places(shop)[0]),
    ),
    Call(
        "counts of some",
        lambda sdk, shop: sdk.inventory.batch_get_counts(catalog_object_ids=[variation(shop)]),
        lambda got, shop: {item.catalog_object_id for item in got.items} == {variation(shop)},
    ),
    Call(
        "counts since",
        lambda sdk, _: sdk.inventory.batch_get_counts(updated_after="2099-01-01T00:00:00Z"),
        lambda got, _: not got.items,
    ),
    Call(
        "counts, as it was called",
        lambda sdk, _: sdk.inventory.deprecated_batch_get_counts(limit=3),
        lambda got, _: len(got.counts) == 3,
    ),
    Call(
        "counts of one",
        lambda sdk, shop: sdk.inventory.get(variation(shop)),
        lambda got, shop: len(got.items) == stock(shop, listing_id=variation(shop)),
    ),
    Call(
        "counts of one here",
        lambda sdk, shop: sdk.inventory.get(variation(shop), location_ids=places(shop)[0]),
        lambda got, shop: {one.location_id for one in got.items} == {places(shop)[0]},
    ),
    Call(
        "changes",
        lambda sdk, _: sdk.inventory.batch_get_changes(limit=1000),
        lambda got, _: {one.type for one in got.items} == {"PHYSICAL_COUNT", "ADJUSTMENT"},
    ),
    Call(
        "stock takes",
        lambda sdk, _: sdk.inventory.batch_get_changes(types=["PHYSICAL_COUNT"]),
        lambda got, _: all(one.physical_count.state == "IN_STOCK" for one in got.items),
    ),
    Call(
        "adjustments of a state",
        lambda sdk, _: sdk.inventory.batch_get_changes(types=["ADJUSTMENT"], states=["SOLD"]),
        lambda got, _: all(one.adjustment.to_state == "SOLD" for one in got.items),
    ),
    Call(
        "adjustments of a reason",
        lambda sdk, _: sdk.inventory.batch_get_changes(types=["ADJUSTMENT"], reason_ids=[{"type": "RECEIVED"}]),
        lambda got, _: {one.adjustment.reason_id.type for one in got.items} == {"RECEIVED"},
    ),
    Call(
        "changes, newest first",
        lambda sdk, _: sdk.inventory.batch_get_changes(sort={"field": "OCCURRED_AT", "order": "DESC"}, limit=1),
        lambda got, _: bool(got.items) and got.has_next,
    ),
    Call(
        "changes of some",
        lambda sdk, shop: sdk.inventory.batch_get_changes(catalog_object_ids=[variation(shop)]),
        lambda got, _: bool(got.items),
    ),
    Call(
        "changes before",
        lambda sdk, _: sdk.inventory.batch_get_changes(updated_before="2020-01-01T00:00:00Z"),
        lambda got, _: not got.items,
    ),
    Call(
        "changes, as it was called",
        lambda sdk, _: sdk.inventory.deprecated_batch_get_changes(limit=2),
        lambda got, _: len(got.changes) == 2,
    ),
    Call("changes of one", lambda sdk, shop: sdk.inventory.changes(variation(shop)), lambda got, _: bool(got.items)),
    Call(
        "changes of one here",
        lambda sdk, shop: sdk.inventory.changes(variation(shop), location_ids="LNONE"),
        lambda got, _: not got.items,
    ),
    Call(
        "an adjustment",
        lambda sdk, _: sdk.inventory.get_adjustment(change_ids(sdk, "ADJUSTMENT")[0]),
        lambda got, _: bool(got.adjustment.to_state),
    ),
    Call(
        "an adjustment, as it was called",
        lambda sdk, _: sdk.inventory.deprecated_get_adjustment(change_ids(sdk, "ADJUSTMENT")[1]),
        lambda got, _: bool(got.adjustment.from_state),
    ),
    Call(
        "a stock take",
        lambda sdk, _: sdk.inventory.get_physical_count(change_ids(sdk, "PHYSICAL_COUNT")[0]),
        lambda got, _: got.count.state == "IN_STOCK",
    ),
]
