"""The questions for a new Square connection, and its webhook subscription: made, reused, or explained to a person."""

import uuid
from collections.abc import Mapping
from typing import Any

from app.errors import AuthRejected, VendorRefused
from app.sources import complaint
from app.sources.base import Subscription
from app.sources.setup import Question, Registered, Setup
from app.sources.square.client import Client

SETUP = Setup(
    questions=(
        Question("environment", "Environment of the token", default="production", choices=("production", "sandbox")),
        Question("access_token", "Access token (Developer Console > your application > Credentials)", is_secret=True),
    ),
    hint=(
        "take the access token from Credentials of your application in Square's Developer Console; a sandbox token needs "
        "the option environment=sandbox"
    ),
    options=(
        "access_token",
        "environment",
        "base_url",
        "square_version",
        "webhook_keys",
        "webhook_url",
        "merchant_id",
        "requests_per_second",
    ),
)

KEY = Question("webhook_keys", "Signature key of the subscription (empty: later)", is_secret=True, default="")

EVENTS = (
    "catalog.version.updated",
    "inventory.count.updated",
    "order.created",
    "order.updated",
    "order.fulfillment.updated",
    "payment.created",
    "payment.updated",
    "refund.created",
    "refund.updated",
    "location.created",
    "location.updated",
    "vendor.created",
    "vendor.updated",
    "oauth.authorization.revoked",
)
"""Every event type that we follow."""

NAME = "Tallyhook"


def register(client: Client, url: str, version: str) -> Registered:
    """Have Square send ``EVENTS`` to ``url`` in the shape of the API ``version``; a subscription of the same URL is
    reused.

    The result explains as steps what Square does not let this token do.
    """
    try:
        existing = _same(
            [subscription for subscription in client.subscriptions() if isinstance(subscription, dict)], url
        )
        return _reused(client, existing, version) if existing else _made(client, url, version)
    except AuthRejected:
        said = "this token may not register webhooks (only the application's own access token may)"
    except VendorRefused as error:
        said = f"Square did not take the webhook subscription ({_complaint(error)})"
    return Registered(said, {"webhook_url": url}, clicks(url, version), KEY)


def subscription(data: Mapping[str, Any]) -> Subscription:
    """A subscription as Square sends it."""
    return Subscription(
        str(data.get("name") or data.get("id", "")),
        str(data.get("notification_url", "")),
        data.get("enabled") is not False,
        tuple(lacking_of(data)),
    )


def lacking_of(data: Mapping[str, Any]) -> list[str]:
    """The events that say something to us and that a subscription does not send."""
    return [event for event in EVENTS if event not in (data.get("event_types") or [])]


def clicks(url: str, version: str) -> tuple[str, ...]:
    """How a person makes the subscription, step by step."""
    return (
        "in the Developer Console open your application, then Webhooks > Subscriptions > Add subscription",
        f"notification URL {url} (exactly so: it is signed), API version {version}",
        f"events: {', '.join(EVENTS)}",
        "open the saved subscription, show its signature key, and give it as the option webhook_keys",
    )


def _same(subscriptions: list[dict[str, Any]], url: str) -> dict[str, Any] | None:
    """The subscription that leads to us (a slash at the end makes no difference for arriving), rather one that is spelled
    just so, rather one that is enabled."""
    ours = [entry for entry in subscriptions if str(entry.get("notification_url", "")).rstrip("/") == url.rstrip("/")]
    return max(
        ours,
        key=lambda entry: (entry["notification_url"] == url, entry.get("enabled") is not False),
        default=None,
    )


def _made(client: Client, url: str, version: str) -> Registered:
    wanted = {"name": NAME, "event_types": list(EVENTS), "notification_url": url, "api_version": version}
    made = client.subscribe(wanted, str(uuid.uuid4()))
    return _registered(made, f"registered with Square for {len(EVENTS)} event types", url, version)


def _reused(client: Client, existing: Mapping[str, Any], version: str) -> Registered:
    id_, name, url = str(existing["id"]), existing.get("name") or existing["id"], str(existing["notification_url"])
    lacking = lacking_of(existing)
    changes: dict[str, Any] = {}
    if lacking:
        changes["event_types"] = [*(existing.get("event_types") or []), *lacking]
    if existing.get("enabled") is False:
        changes["enabled"] = True
    if existing.get("api_version") != version:
        changes["api_version"] = version
    if changes:
        client.change_subscription(id_, changes)
    did = f", with a new {' and '.join(sorted(changes))}".replace("_", " ") if changes else ""
    said = f"Square's subscription {name!r} for this URL is used again{did}"
    return _registered(client.subscription(id_), said, url, version)


def _complaint(error: VendorRefused) -> str:
    """Square's own words in an error that quotes its answer."""
    quoted = str(error)
    body = quoted[quoted.find("{") : quoted.rfind("}") + 1]
    return complaint.words(body.encode()) or quoted


def _registered(subscription: Mapping[str, Any], said: str, url: str, version: str) -> Registered:
    key = subscription.get("signature_key")
    if not isinstance(key, str) or not key:
        sentence = f"{said}, but Square does not show its signature key"
        return Registered(sentence, {"webhook_url": url}, clicks(url, version)[-1:], KEY)
    return Registered(said, {"webhook_keys": key, "webhook_url": url})
