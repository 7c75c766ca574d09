"""The simulated Events API and webhook subscriptions, as strict as Square.

Subscriptions belong to the application, so only its personal access token may see them (``gate``). A notification URL
must be https, unless the option ``plain_http`` allows http for trials on one machine. Lists never show a signature
key, and show disabled subscriptions only on request.
"""

import hashlib
from functools import partial
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.domain.decoding import decode
from app.sources.simulating.answers import Json
from app.sources.square.simulator.answers import ApiError, invalid, not_found, reply, without_nothing
from app.sources.square.simulator.clock import trimmed
from app.sources.square.simulator.pages import from_place
from app.sources.square.simulator.request_orders import (
    EventFilter,
    EventQuery,
    EventSearch,
    KeyRotation,
    SubscriptionCreation,
    SubscriptionFields,
    SubscriptionTest,
    SubscriptionUpdate,
    TimeRange,
)
from app.sources.square.simulator.scopes import known_types
from app.sources.square.simulator.strict import check_version, flag, one_of, parameters, request_body, stamp, whole
from app.sources.square.simulator.webhooks import API_VERSION, TEST, Event, Subscription
from app.sources.square.simulator.world import World

MOST_ROWS = 100


class EventsApi:
    """/v2/events and /v2/webhooks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: dict[str, tuple[Json, Json]] = {}
        one = "/v2/webhooks/subscriptions/{subscription_id}"
        self.routes = [
            Route("/v2/events", self.search, methods=["POST"]),
            Route("/v2/events/types", self.types),
            Route("/v2/events/enable", self.enable, methods=["PUT"]),
            Route("/v2/events/disable", self.disable, methods=["PUT"]),
            Route("/v2/webhooks/event-types", self.types),
            Route("/v2/webhooks/subscriptions", self.list_, methods=["GET"]),
            Route("/v2/webhooks/subscriptions", self.create, methods=["POST"]),
            Route(one, self.get, methods=["GET"]),
            Route(one, self.update, methods=["PUT"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/test", self.test, methods=["POST"]),
            Route(f"{one}/signature-key", self.rotate, methods=["POST"]),
        ]

    async def search(self, request: Request) -> Response:
        """Events that happened while the API was enabled, in the last 28 days."""
        if not self._world.options.events_enabled:
            raise ApiError(
                403, "AUTHENTICATION_ERROR", "FORBIDDEN", "Events search is disabled for this application."
            )
        body, wanted = await request_body(request, EventSearch)
        query = wanted.query or EventQuery()
        filter_ = query.filter or EventFilter()
        times = filter_.created_at or TimeRange()
        events = self._world.outbox.recorded(stamp(times.start_at, 0), stamp(times.end_at, 1 << 62))
        events = [one for one in events if not filter_.event_types or one.type in filter_.event_types]
        if filter_.merchant_ids or filter_.location_ids:
            events = [one for one in events if _is_at(one, filter_)]
        rows = events[:: -1 if query.sort and query.sort.order == "DESC" else 1]
        events, cursor = self._world.pages.page("events", body, partial(from_place, rows), wanted.limit or MOST_ROWS)
        metadata = [{"event_id": one.id, "api_version": API_VERSION} for one in events]
        shown = [msgspec.Raw(one.body) for one in events]
        return reply(events=shown, metadata=metadata, cursor=cursor)

    async def types(self, request: Request) -> Response:
        """The event types of the requested version of the API, else of the newest one."""
        version = parameters(request, "api_version").get("api_version")
        check_version(version, "api_version")
        types = {name: one for name, one in known_types().items() if version is None or one.since <= version}
        rows = [
            {"event_type": name, "api_version_introduced": one.since, "release_status": one.release}
            for name, one in types.items()
        ]
        return reply(event_types=list(types), metadata=rows)

    async def enable(self, request: Request) -> Response:
        """From now on events are kept."""
        parameters(request)
        self._world.options.events_enabled = True
        return self._changed()

    async def disable(self, request: Request) -> Response:
        """From now on they are not."""
        parameters(request)
        self._world.options.events_enabled = False
        return self._changed()

    async def list_(self, request: Request) -> Response:
        """The oldest first, without keys; disabled ones only on request."""
        given = parameters(request, "cursor", "include_disabled", "sort_order", "limit")
        order, limit = given.get("sort_order", "ASC"), whole(given, "limit")
        one_of([order], ("ASC", "DESC"), "sort_order")
        if limit is not None and not 1 <= limit <= MOST_ROWS:
            raise invalid(f"limit must lie between 1 and {MOST_ROWS}.", "INVALID_VALUE", "limit")
        with_disabled = flag(given, "include_disabled")
        shown = [one for one in self._world.outbox.subscriptions.values() if one.enabled or with_disabled]
        rows = shown[:: -1 if order == "DESC" else 1]
        body = {name: value for name, value in given.items() if name != "limit"}
        found, cursor = self._world.pages.page("subscriptions", body, partial(from_place, rows), limit or MOST_ROWS)
        return reply(subscriptions=[_json(one, with_key=False) for one in found], cursor=cursor)

    async def create(self, request: Request) -> Response:
        """Make a subscription with its key. The same idempotency key with the same body gives the same answer."""
        body, wanted = await request_body(request, SubscriptionCreation)
        key = wanted.idempotency_key or ""
        if key in self._made:
            before, answer = self._made[key]
            if before != body:
                raise invalid("The idempotency key was used with another body.", "IDEMPOTENCY_KEY_REUSED")
            return reply(subscription=answer)
        self._check(wanted.subscription)
        for lacking in ("notification_url", "event_types"):
            if not getattr(wanted.subscription, lacking):
                raise invalid(f"{lacking} is required.", "MISSING_REQUIRED_PARAMETER", f"subscription.{lacking}")
        answer = _json(self._make(wanted.subscription), with_key=True)
        if key:
            self._made[key] = (body, answer)
        return self._changed(subscription=answer)

    def _make(self, wanted: SubscriptionFields) -> Subscription:
        now = self._world.clock.tick_us()
        name = hashlib.sha256(f"{self._world.options.seed}/{now}".encode()).hexdigest()
        made = Subscription(
            id=f"wbhk_{name[:32]}",
            name=wanted.name or "",
            url=wanted.notification_url or "",
            key=name[32:54],
            event_types=wanted.event_types or [],
            api_version=wanted.api_version or API_VERSION,
            enabled=wanted.enabled is not False,
            created_us=now,
            updated_us=now,
        )
        self._world.outbox.subscriptions[made.id] = made
        return made

    async def get(self, request: Request) -> Response:
        """One subscription, with its key."""
        return reply(subscription=_json(self._one(request), with_key=True))

    async def update(self, request: Request) -> Response:
        """Change what the request names."""
        one, wanted = self._one(request), (await request_body(request, SubscriptionUpdate))[1].subscription
        self._check(wanted)
        one.name = one.name if wanted.name is None else wanted.name
        one.enabled = one.enabled if wanted.enabled is None else wanted.enabled
        one.event_types = wanted.event_types or one.event_types
        one.url = wanted.notification_url or one.url
        one.api_version = wanted.api_version or one.api_version
        one.updated_us = self._world.clock.tick_us()
        return self._changed(subscription=_json(one, with_key=False))

    async def delete(self, request: Request) -> Response:
        """Delete the subscription that the path names; 404 when there is none."""
        del self._world.outbox.subscriptions[self._one(request).id]
        return self._changed()

    async def test(self, request: Request) -> Response:
        """Send a test event; a requested type must be one of the subscription's."""
        one, (_, wanted) = self._one(request), await request_body(request, SubscriptionTest)
        if wanted.event_type is not None and wanted.event_type not in one.event_types:
            raise invalid("The event type is not one of the subscription's.", "INVALID_VALUE", "event_type")
        self._world.outbox.publish(TEST, "webhooks", "simulated")
        return self._changed(subscription_test_result={"id": "simulated", "status_code": 200})

    async def rotate(self, request: Request) -> Response:
        """Make a new signature key."""
        one = self._one(request)
        await request_body(request, KeyRotation)
        return self._changed(signature_key=self._world.outbox.rotate_key(one))

    def _one(self, request: Request) -> Subscription:
        wanted = request.path_params["subscription_id"]
        if wanted not in self._world.outbox.subscriptions:
            raise not_found(f"Could not find webhook subscription with id {wanted}.")
        return self._world.outbox.subscriptions[wanted]

    def _check(self, given: SubscriptionFields) -> None:
        """Raises a 400 for a value that fits its field and yet is none."""
        one_of(given.event_types or (), known_types(), "subscription.event_types")
        check_version(given.api_version, "subscription.api_version")
        if given.notification_url is not None and not self._is_taken(given.notification_url):
            raise invalid("URL is not valid.", "INVALID_VALUE", "subscription.notification_url")

    def _is_taken(self, url: str) -> bool:
        parts = urlsplit(url)
        schemes = ("https", "http") if self._world.options.plain_http else ("https",)
        return parts.scheme in schemes and bool(parts.hostname)

    def _changed(self, **fields: object) -> Response:
        self._world.on_change()
        return reply(**fields)


def _is_at(event: Event, filter_: EventFilter) -> bool:
    """Whether an event is about one of the merchants and locations."""
    envelope = decode(event.body, _Envelope)
    here = not filter_.location_ids or envelope.location_id in filter_.location_ids
    return here and (not filter_.merchant_ids or envelope.merchant_id in filter_.merchant_ids)


class _Envelope(msgspec.Struct):
    merchant_id: str | None = None
    location_id: str | None = None


def _json(one: Subscription, *, with_key: bool) -> Json:
    return without_nothing(
        {
            "id": one.id,
            "name": one.name,
            "event_types": one.event_types or list(known_types()),
            "notification_url": one.url,
            "api_version": one.api_version,
            "signature_key": one.key if with_key else None,
            "created_at": trimmed(one.created_us) if one.created_us else None,
            "updated_at": trimmed(one.updated_us) if one.updated_us else None,
        }
    ) | {"enabled": one.enabled}
