"""The request bodies of the simulated calls for orders, vendors, events and webhooks, with every field of Square's SDK.

A null means that a field is not set. Any other field is refused, except in an order search, where Square was seen to
ignore it.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from app.sources.square.simulator.request_catalog import Direction, Hundred, RequestBody, Sort, Thousand

OrderState = Literal["OPEN", "COMPLETED", "CANCELED", "DRAFT"]
FulfillmentType = Literal["PICKUP", "SHIPMENT", "DELIVERY", "IN_STORE"]
FulfillmentState = Literal["PROPOSED", "RESERVED", "PREPARED", "COMPLETED", "CANCELED", "FAILED"]

UpToTen = Annotated[list[str], Meta(max_length=10)]


class Lenient(RequestBody, forbid_unknown_fields=False):
    """A part of an order search."""


class TimeRange(Lenient):
    """A range of time; both ends are inclusive."""

    start_at: datetime | None = None
    end_at: datetime | None = None


class StateFilter(Lenient):
    """Orders in any of these states."""

    states: list[OrderState]


class DateTimeFilter(Lenient):
    """Orders by one of these times."""

    created_at: TimeRange | None = None
    updated_at: TimeRange | None = None
    closed_at: TimeRange | None = None


class FulfillmentFilter(Lenient):
    """Orders with a fulfillment of any of these types, and with one in any of these states."""

    fulfillment_types: list[FulfillmentType] | None = None
    fulfillment_states: list[FulfillmentState] | None = None


class SourceFilter(Lenient):
    """Orders from any of these applications."""

    source_names: UpToTen | None = None


class CustomerFilter(Lenient):
    """Orders of any of these customers, also by a tender."""

    customer_ids: UpToTen | None = None


class OrderFilter(Lenient):
    """All conditions together."""

    state_filter: StateFilter | None = None
    date_time_filter: DateTimeFilter | None = None
    fulfillment_filter: FulfillmentFilter | None = None
    source_filter: SourceFilter | None = None
    customer_filter: CustomerFilter | None = None


class OrderSort(Lenient):
    """The time to sort by."""

    sort_field: Literal["CREATED_AT", "UPDATED_AT", "CLOSED_AT"] | None = None
    sort_order: Direction | None = None


class OrdersQuery(Lenient):
    """The filter and the order of orders."""

    filter: OrderFilter | None = None
    sort: OrderSort | None = None


class OrderSearch(Lenient):
    """POST /v2/orders/search."""

    location_ids: UpToTen | None = None
    cursor: str | None = None
    query: OrdersQuery | None = None
    limit: Thousand | None = None
    return_entries: bool | None = None


class OrderBatch(RequestBody):
    """POST /v2/orders/batch-retrieve."""

    order_ids: Annotated[list[str], Meta(max_length=100)]
    location_id: str | None = None


class VendorFilter(RequestBody):
    """Vendors with any of these names and in any of these states."""

    name: list[str] | None = None
    status: list[Literal["ACTIVE", "INACTIVE"]] | None = None


class VendorSearch(RequestBody):
    """POST /v2/vendors/search. The body is flat: Square's own example wraps it wrongly in ``query``."""

    filter: VendorFilter | None = None
    sort: Sort[Literal["NAME", "CREATED_AT"]] | None = None
    cursor: str | None = None


class VendorBatch(RequestBody):
    """POST /v2/vendors/bulk-retrieve."""

    vendor_ids: list[str] | None = None


class EventFilter(RequestBody):
    """All conditions together."""

    event_types: list[str] | None = None
    merchant_ids: list[str] | None = None
    location_ids: list[str] | None = None
    created_at: TimeRange | None = None


class EventQuery(RequestBody):
    """The filter and the order of events."""

    filter: EventFilter | None = None
    sort: Sort[Literal["DEFAULT"]] | None = None


class EventSearch(RequestBody):
    """POST /v2/events."""

    cursor: str | None = None
    limit: Hundred | None = None
    query: EventQuery | None = None


class SubscriptionFields(RequestBody):
    """A webhook subscription; the fields that Square sets are taken and change nothing."""

    name: Annotated[str, Meta(max_length=64)] | None = None
    enabled: bool | None = None
    event_types: Annotated[list[str], Meta(min_length=1)] | None = None
    notification_url: str | None = None
    api_version: str | None = None
    id: Any = None
    signature_key: Any = None
    created_at: Any = None
    updated_at: Any = None


class SubscriptionUpdate(RequestBody):
    """PUT /v2/webhooks/subscriptions/{id}."""

    subscription: SubscriptionFields


class KeyRotation(RequestBody, kw_only=True):
    """POST /v2/webhooks/subscriptions/{id}/signature-key."""

    idempotency_key: Annotated[str, Meta(max_length=45)] | None = None


class SubscriptionCreation(KeyRotation):
    """POST /v2/webhooks/subscriptions."""

    subscription: SubscriptionFields


class SubscriptionTest(RequestBody):
    """POST /v2/webhooks/subscriptions/{id}/test."""

    event_type: str | None = None
