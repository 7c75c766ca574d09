"""Calls of Square's SDK that read orders, places and events."""

from tests.sources.square.square_sdk import ids
from tests.sources.square.square_sdk_reads import Call, orders_by, places

ORDERS = [
    Call(
        "orders",
        lambda sdk, shop: sdk.orders.search(location_ids=places(shop)),
        lambda got, shop: set(ids(got.orders)) == {row["external_id"] for row in shop.truth("order")},
    ),
    Call(
        "orders, ids only",
        lambda sdk, shop: sdk.orders.search(location_ids=places(shop), return_entries=True),
        lambda got, shop: len(got.order_entries) == len(shop.truth("order")),
    ),
    Call(
        "orders of a location",
        lambda sdk, shop: sdk.orders.search(location_ids=places(shop)[:1]),
        lambda got, shop: {order.location_id for order in got.orders} == {places(shop)[0]},
    ),
    Call(
        "a page of orders",
        lambda sdk, shop: sdk.orders.search(location_ids=places(shop), limit=4),
        lambda got, _: (len(got.orders), bool(got.cursor)) == (4, True),
    ),
    Call(
        "orders of a state",
        orders_by(state_filter={"states": ["OPEN"]}),
        lambda got, _: {one.state for one in got.orders} == {"OPEN"},
    ),
    Call(
        "orders of a source",
        orders_by(source_filter={"source_names": ["Point of Sale"]}),
        lambda got, _: {one.source.name for one in got.orders} == {"Point of Sale"},
    ),
    Call(
        "orders of a customer",
        orders_by(customer_filter={"customer_ids": ["CUST1", "CUST2"]}),
        lambda got, _: all(one.tenders[0].customer_id in ("CUST1", "CUST2") for one in got.orders or []),
    ),
    Call(
        "orders to be picked up",
        orders_by(fulfillment_filter={"fulfillment_types": ["PICKUP"]}),
        lambda got, _: all(one.fulfillments[0].type == "PICKUP" for one in got.orders or []),
    ),
    Call(
        "orders since",
        orders_by(
            date_time_filter={"created_at": {"start_at": "2099-01-01T00:00:00Z", "end_at": "2099-01-02T00:00:00Z"}}
        ),
        lambda got, _: not got.orders,
    ),
    Call(
        "orders by closing",
        lambda sdk, shop: sdk.orders.search(
            location_ids=places(shop),
            query={
                "filter": {"date_time_filter": {"closed_at": {"start_at": "2020-01-01T00:00:00Z"}}},
                "sort": {"sort_field": "CLOSED_AT", "sort_order": "ASC"},
            },
        ),
        lambda got, _: [one.closed_at for one in got.orders] == sorted(one.closed_at for one in got.orders),
    ),
    Call(
        "an order",
        lambda sdk, shop: sdk.orders.get(shop.truth("order")[0]["external_id"]),
        lambda got, shop: got.order.id == shop.truth("order")[0]["external_id"],
    ),
    Call(
        "some orders",
        lambda sdk, shop: sdk.orders.batch_get(order_ids=[row["external_id"] for row in shop.truth("order")[:5]]),
        lambda got, _: len(got.orders) == 5,
    ),
    Call(
        "some orders of a location",
        lambda sdk, shop: sdk.orders.batch_get(
            order_ids=[row["external_id"] for row in shop.truth("order")], location_id=places(shop)[1]
        ),
        lambda got, shop: {one.location_id for one in got.orders} == {places(shop)[1]},
    ),
]

PLACES = [
    Call(
        "locations",
        lambda sdk, _: sdk.locations.list(),
        lambda got, shop: set(ids(got.locations)) == set(places(shop)),
    ),
    Call(
        "a location",
        lambda sdk, shop: sdk.locations.get(places(shop)[1]),
        lambda got, shop: got.location.id == places(shop)[1],
    ),
    Call(
        "the main location",
        lambda sdk, _: sdk.locations.get("main"),
        lambda got, shop: got.location.id == places(shop)[0],
    ),
    Call(
        "vendors",
        lambda sdk, _: sdk.vendors.search(),
        lambda got, shop: len(got.vendors) == len(shop.truth("vendor")),
    ),
    Call(
        "vendors by name",
        lambda sdk, _: sdk.vendors.search(sort={"field": "NAME", "order": "DESC"}),
        lambda got, _: (
            [vendor.name for vendor in got.vendors] == sorted((one.name for one in got.vendors), reverse=True)
        ),
    ),
    Call(
        "vendors of a state",
        lambda sdk, _: sdk.vendors.search(filter={"status": ["INACTIVE"]}),
        lambda got, _: not got.vendors,
    ),
    Call(
        "vendors of a name",
        lambda sdk, shop: sdk.vendors.search(filter={"name": [shop.truth("vendor")[2]["name"]]}),
        lambda got, shop: ids(got.vendors) == [shop.truth("vendor")[2]["external_id"]],
    ),
    Call(
        "a vendor",
        lambda sdk, shop: sdk.vendors.get(shop.truth("vendor")[0]["external_id"]),
        lambda got, shop: got.vendor.name == shop.truth("vendor")[0]["name"],
    ),
    Call(
        "some vendors",
        lambda sdk, shop: sdk.vendors.batch_get(vendor_ids=[row["external_id"] for row in shop.truth("vendor")[:3]]),
        lambda got, _: len(got.responses) == 3,
    ),
    Call(
        "merchants",
        lambda sdk, _: sdk.merchants.list(),
        lambda got, shop: ids(got.items) == [shop.world.options.merchant_id],
    ),
    Call(
        "the merchant",
        lambda sdk, _: sdk.merchants.get("me"),
        lambda got, shop: got.merchant.id == shop.world.options.merchant_id,
    ),
    Call(
        "event types",
        lambda sdk, _: sdk.events.list_event_types(),
        lambda got, _: "inventory.count.updated" in got.event_types,
    ),
    Call(
        "event types of a version",
        lambda sdk, _: sdk.webhooks.event_types.list(api_version="2020-01-01"),
        lambda got, _: "vendor.created" not in got.event_types,
    ),
    Call(
        "events",
        lambda sdk, _: sdk.events.search_events(limit=10),
        lambda got, _: len(got.events) == len(got.metadata),
    ),
    Call(
        "events of a type",
        lambda sdk, _: sdk.events.search_events(query={"filter": {"event_types": ["inventory.count.updated"]}}),
        lambda got, _: {event.type for event in got.events} == {"inventory.count.updated"},
    ),
    Call(
        "subscriptions",
        lambda sdk, _: sdk.webhooks.subscriptions.list(limit=5),
        lambda got, shop: ids(got.items) == [shop.world.outbox.own.id],
    ),
]
