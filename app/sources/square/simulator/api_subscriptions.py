"""The simulated webhook subscriptions: /v2/webhooks, as strict as Square.

They belong to the application, so only its personal access token may see them. A notification URL must be https,
unless the option ``plain_http`` allows http for trials on one machine. Lists never show a signature key, and show
disabled subscriptions only on request.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.simulating.answers import json_response
from app.sources.square.simulator.answers import ApiError, Json, body_of, invalid, not_found, page, without_nothing
from app.sources.square.simulator.api_events import types_answer
from app.sources.square.simulator.clock import trimmed
from app.sources.square.simulator.event_types import known_types
from app.sources.square.simulator.strict import is_version, parameters
from app.sources.square.simulator.subscriptions import API_VERSION, Subscription
from app.sources.square.simulator.world import World

LONGEST_KEY, LONGEST_NAME, MOST_ROWS = 45, 64, 100
FIELDS = ("name", "enabled", "event_types", "notification_url", "api_version")
READ_ONLY = ("id", "signature_key", "created_at", "updated_at")
OAUTH = "Webhook subscriptions are owned by the application: use its personal access token."


class Wanted(NamedTuple):
    """The fields of a subscription in a request, checked; ``None`` where there is none."""

    name: str | None
    enabled: bool | None
    event_types: list[str] | None
    url: str | None
    api_version: str | None


class SubscriptionsApi:
    """/v2/webhooks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: dict[str, tuple[Json, Json]] = {}
        one = "/v2/webhooks/subscriptions/{subscription_id}"
        self.routes = [
            Route("/v2/webhooks/event-types", self._guarded(self.event_types)),
            Route("/v2/webhooks/subscriptions", self._guarded(self.list_), methods=["GET"]),
            Route("/v2/webhooks/subscriptions", self._guarded(self.create), methods=["POST"]),
            Route(one, self._guarded(self.get), methods=["GET"]),
            Route(one, self._guarded(self.update), methods=["PUT"]),
            Route(one, self._guarded(self.delete), methods=["DELETE"]),
            Route(f"{one}/test", self._guarded(self.test), methods=["POST"]),
            Route(f"{one}/signature-key", self._guarded(self.rotate), methods=["POST"]),
        ]

    def _guarded(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            if self._world.options.oauth_token:
                raise ApiError(403, "AUTHENTICATION_ERROR", "FORBIDDEN", OAUTH)
            response: Response = await answer(request)
            return response

        return guarded

    async def event_types(self, request: Request) -> Response:
        """Every type that a subscription can name."""
        return json_response(types_answer(parameters(request, "api_version")))

    async def list_(self, request: Request) -> Response:
        """The oldest first, without keys; disabled ones only on request."""
        params = parameters(request, "cursor", "include_disabled", "sort_order", "limit")
        order = params.get("sort_order", "ASC")
        if order not in ("ASC", "DESC"):
            raise invalid(f"`{order}` is not a valid enum value.", field="sort_order")
        shown = [one for one in self._all() if one.enabled or _flag(params.get("include_disabled"))]
        rows = shown[:: -1 if order == "DESC" else 1]
        body: Json = {name: value for name, value in params.items() if name != "limit"}
        numbered = list(enumerate(rows))
        selected, cursor = page(
            self._world, "subscriptions", body, lambda at: iter(numbered[at or 0 :]), _limit(params.get("limit"))
        )
        bodies = [_json(one, with_key=False) for one in selected]
        return json_response(without_nothing({"subscriptions": bodies, "cursor": cursor}))

    async def create(self, request: Request) -> Response:
        """Make a subscription with its key. The same idempotency key with the same body gives the same answer."""
        body = await _body(request, "idempotency_key", "subscription")
        idempotency_key = _idempotency_key(body)
        if idempotency_key in self._made:
            before, answer = self._made[idempotency_key]
            if before != body:
                raise invalid("The idempotency key was used with another body.", "IDEMPOTENCY_KEY_REUSED")
            return json_response(answer)
        wanted = self._wanted(body)
        if not wanted.url or not wanted.event_types:
            lacking = "event_types" if wanted.url else "notification_url"
            raise invalid(f"{lacking} is required.", "MISSING_REQUIRED_PARAMETER", f"subscription.{lacking}")
        made = self._make(wanted)
        answer = {"subscription": _json(made, with_key=True)}
        if idempotency_key:
            self._made[idempotency_key] = (body, answer)
        return self._changed(answer)

    def _make(self, wanted: Wanted) -> Subscription:
        now = self._world.clock.tick_us()
        name = hashlib.sha256(f"{self._world.options.seed}/{now}".encode()).hexdigest()
        made = Subscription(
            id=f"wbhk_{name[:32]}",
            name=wanted.name or "",
            url=wanted.url or "",
            key=name[32:54],
            event_types=wanted.event_types or [],
            api_version=wanted.api_version or API_VERSION,
            enabled=wanted.enabled is not False,
            created_us=now,
            updated_us=now,
        )
        self._world.outbox.others[made.id] = made
        return made

    async def get(self, request: Request) -> Response:
        """One subscription, with its key."""
        return json_response({"subscription": _json(self._one(request), with_key=True)})

    async def update(self, request: Request) -> Response:
        """Change what the request names."""
        one, wanted = self._one(request), self._wanted(await _body(request, "subscription"))
        one.name = one.name if wanted.name is None else wanted.name
        one.enabled = one.enabled if wanted.enabled is None else wanted.enabled
        one.event_types = wanted.event_types or one.event_types
        one.url = wanted.url or one.url
        one.api_version = wanted.api_version or one.api_version
        one.updated_us = self._world.clock.tick_us()
        return self._changed({"subscription": _json(one, with_key=False)})

    async def delete(self, request: Request) -> Response:
        """Delete the subscription that the path names; 404 when there is none."""
        self._world.outbox.forget(self._one(request))
        return self._changed({})

    async def test(self, request: Request) -> Response:
        """Send a test event; a requested type must be one of the subscription's."""
        one, kind = self._one(request), (await _body(request, "event_type")).get("event_type")
        if kind is not None and kind not in one.event_types:
            raise invalid("The event type is not one of the subscription's.", "INVALID_VALUE", "event_type")
        self._world.outbox.publish("webhooks.test_notification", {"type": "webhooks", "id": "simulated"})
        return self._changed({"subscription_test_result": {"id": "simulated", "status_code": 200}})

    async def rotate(self, request: Request) -> Response:
        """Make a new signature key."""
        one = self._one(request)
        _idempotency_key(await _body(request, "idempotency_key"))
        return self._changed({"signature_key": self._world.outbox.rotate_key(one)})

    def _all(self) -> list[Subscription]:
        return self._world.outbox.subscriptions()

    def _one(self, request: Request) -> Subscription:
        wanted = request.path_params["subscription_id"]
        for one in self._all():
            if one.id == wanted:
                return one
        raise not_found(f"Could not find webhook subscription with id {wanted}.")

    def _wanted(self, body: Json) -> Wanted:
        given = body.get("subscription")
        if not isinstance(given, dict):
            raise invalid("subscription is required.", "MISSING_REQUIRED_PARAMETER", "subscription")
        if unknown := given.keys() - {*FIELDS, *READ_ONLY}:
            raise invalid(
                f"The parameter `{sorted(unknown)[0]}` is not recognized.",
                "UNKNOWN_BODY_PARAMETER",
                f"subscription.{sorted(unknown)[0]}",
            )
        name, enabled = given.get("name"), given.get("enabled")
        if name is not None and not (isinstance(name, str) and len(name) <= LONGEST_NAME):
            raise invalid(f"A name has at most {LONGEST_NAME} characters.", "VALUE_TOO_LONG", "subscription.name")
        if enabled is not None and not isinstance(enabled, bool):
            raise invalid("Expected a boolean.", "EXPECTED_BOOLEAN", "subscription.enabled")
        types = _types(given.get("event_types"))
        return Wanted(name, enabled, types, self._url(given.get("notification_url")), _version(given))

    def _url(self, url: Any) -> str | None:
        schemes = ("https", "http") if self._world.options.plain_http else ("https",)
        if url is not None and not (
            isinstance(url, str) and urlsplit(url).scheme in schemes and urlsplit(url).hostname
        ):
            raise invalid("URL is not valid.", "INVALID_VALUE", "subscription.notification_url")
        return url

    def _changed(self, body: Json) -> Response:
        self._world.on_change()
        return json_response(body)


async def _body(request: Request, *known: str) -> Json:
    """The body of a request; raises a 400 for a field that is not known."""
    parameters(request)
    body = await body_of(request)
    if unknown := sorted(body.keys() - set(known)):
        raise invalid(f"The parameter `{unknown[0]}` is not recognized.", "UNKNOWN_BODY_PARAMETER", unknown[0])
    return body


def _types(given: Any) -> list[str] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not given:
        raise invalid("At least one event type is required.", "INVALID_VALUE", "subscription.event_types")
    if unknown := [one for one in given if one not in known_types()]:
        raise invalid(f"{unknown[0]} is not a valid event type.", "INVALID_VALUE", "subscription.event_types")
    return given


def _version(given: Json) -> str | None:
    version = given.get("api_version")
    if version is not None and not (isinstance(version, str) and is_version(version)):
        raise invalid("The API version is not valid.", "INVALID_VALUE", "subscription.api_version")
    return version


def _idempotency_key(body: Json) -> str:
    key = body.get("idempotency_key") or ""
    if not isinstance(key, str) or len(key) > LONGEST_KEY:
        raise invalid(f"It has at most {LONGEST_KEY} characters.", "VALUE_TOO_LONG", "idempotency_key")
    return key


def _limit(text: str | None) -> int:
    if text is None:
        return MOST_ROWS
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_ROWS):
        raise invalid(f"limit must lie between 1 and {MOST_ROWS}.", "INVALID_VALUE", "limit")
    return int(text)


def _flag(text: str | None) -> bool:
    if text not in (None, "true", "false"):
        raise invalid("Expected a boolean.", "EXPECTED_BOOLEAN", "include_disabled")
    return text == "true"


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
