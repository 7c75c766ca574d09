"""Square's deliveries: the signature over URL and raw body, and which items an event says may have changed.

The signature is base64(HMAC-SHA256(key, notification URL + raw body)) in ``x-square-hmacsha256-signature``, as in
Square's SDK (``square/utils/webhooks_helper.py``). No timestamp is signed: a retry carries the same bytes, and
``event_id`` is the only defence against replay.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from app.domain import ALL_ITEMS, Change, Delivery, Kind, Verdict, micros
from app.sources.base import SignatureInvalid
from app.sources.deliveries import bounded, decoded
from app.sources.square.isolation import id_in
from app.sources.square.times import moment_in

TEST_EVENT = "webhooks.test_notification"
SIGNATURE_HEADER = "x-square-hmacsha256-signature"


class Event(msgspec.Struct):
    """The envelope of every event; except for its type and its id it is only a hint, and may be anything.

    ``data`` is what the event is about; its ``type`` differs between documentation and production and is ignored.
    """

    type: str
    event_id: str
    merchant_id: Any = None
    created_at: Any = None
    data: Any = None


def signature(key: str, url: str, body: bytes) -> bytes:
    """What Square puts into the header for this key, registered URL and raw body."""
    return base64.b64encode(hmac.digest(key.encode(), url.encode() + body, hashlib.sha256))


class SquareReceiver:
    """Verifies and reads deliveries to one registered notification URL.

    ``url`` is the text registered with Square, byte for byte: behind a proxy the request's own URL differs from it.
    Several ``keys`` are accepted, for the time of a rotation; empty ones never verify. With ``merchant_id`` set,
    events of other merchants are set aside as foreign: those of the same application, and Square's samples, which a
    person can send from its console.
    """

    def __init__(self, url: str, keys: Sequence[str], merchant_id: str | None = None) -> None:
        self.url = url
        """The notification URL that signatures are computed over."""
        self._keys = [key for key in keys if key]
        self._merchant_id = merchant_id

    def __repr__(self) -> str:
        return f"SquareReceiver(url={self.url!r}, keys={len(self._keys)})"

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Compare with the signature of every key, in a time that reveals neither which key matched nor where the
        texts differ."""
        given = headers.get(SIGNATURE_HEADER)
        if not given:
            raise SignatureInvalid(f"the header {SIGNATURE_HEADER} is missing")
        matches = [hmac.compare_digest(signature(key, self.url, body), _bytes(given)) for key in self._keys]
        if not any(matches):
            raise SignatureInvalid(
                f"the signature does not match {self.url!r} and the raw body under any of {len(self._keys)} keys"
            )

    def learn(self, merchant_id: str) -> None:
        """Learn whose account this is, where no option says it; the option wins."""
        self._merchant_id = self._merchant_id or merchant_id or None

    def first_sent(self, headers: Mapping[str, str]) -> datetime | None:
        """When Square first tried to deliver this; ``None`` where it does not say."""
        return moment_in(dict(headers), "square-initial-delivery-timestamp")

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """The delivery; an event that concerns no item of ours is ignored, never refused."""
        event = decoded(body, Event, 'a JSON object with "type", "event_id" and "data"')
        verdict = self._set_aside(event)
        changes = () if verdict else tuple(dict.fromkeys(map(bounded, changes_of(event))))
        return Delivery(
            event_id=event.event_id,
            type=event.type,
            alarm=event.type == "oauth.authorization.revoked",
            changes=changes,
            ignored=not changes and verdict is None,
            occurred_at=moment_in({"at": event.created_at}, "at"),
            set_aside=verdict,
        )

    def _set_aside(self, event: Event) -> Verdict | None:
        if event.type == TEST_EVENT:
            return Verdict.TEST
        named = event.merchant_id
        foreign = self._merchant_id is not None and isinstance(named, str) and named != self._merchant_id
        return Verdict.FOREIGN if foreign else None


def changes_of(event: Event) -> Sequence[Change]:
    """The items that may have changed, by the top-level ``type`` alone; empty for what we do not follow."""
    data = event.data if isinstance(event.data, dict) else {}
    content = data["object"] if isinstance(data.get("object"), dict) else {}
    match event.type.split("."):
        case ["inventory", "count", "updated"]:
            return _stock(content)
        case ["catalog", "version", "updated"]:
            return [Change(Kind.PRODUCT, ALL_ITEMS), Change(Kind.CATEGORY, ALL_ITEMS)]
        case ["order", "created" | "updated"] | ["order", "fulfillment", "updated"]:
            return _order(content, id_in(data, "id"))
        case ["location", "created" | "updated"]:
            return [Change(Kind.LOCATION, ALL_ITEMS)]
        case ["vendor", "created" | "updated"]:
            return _vendor(content)
        case ["payment" | "refund", "created" | "updated"]:
            return _payment(content)
    return []


def _stock(content: Mapping[str, Any]) -> Sequence[Change]:
    """One change per variation, as new as its newest count: an event carries two counts for a move between states,
    and up to 100 in all."""
    counts = content.get("inventory_counts")
    if not isinstance(counts, list):
        return [Change(Kind.STOCK, ALL_ITEMS)]
    newest: dict[str, int] = {}
    for count in counts:
        if listing_id := id_in(count, "catalog_object_id"):
            calculated_at = moment_in(count, "calculated_at")
            newest[listing_id] = max(newest.get(listing_id, 0), micros(calculated_at) if calculated_at else 0)
    return [Change(Kind.STOCK, listing_id, version) for listing_id, version in newest.items()]


def _order(content: Mapping[str, Any], data_id: str) -> Sequence[Change]:
    """Production names the summary's object differently from the documentation, so any name is accepted."""
    for summary in content.values():
        if order_id := id_in(summary, "order_id"):
            return [Change(Kind.ORDER, order_id, _version(summary))]
    return [Change(Kind.ORDER, data_id or ALL_ITEMS)]


def _vendor(content: Mapping[str, Any]) -> Sequence[Change]:
    """``data.id`` is a UUID, not the vendor's: only the object names it."""
    vendor = content.get("vendor")
    if not id_in(vendor):
        return [Change(Kind.VENDOR, ALL_ITEMS)]
    return [Change(Kind.VENDOR, id_in(vendor), _version(vendor))]


def _payment(content: Mapping[str, Any]) -> Sequence[Change]:
    """Point-of-sale orders raise no order event; their payments and refunds name them."""
    named = (id_in(part, "order_id") for part in content.values())
    return [Change(Kind.ORDER, order_id) for order_id in named if order_id]


def _version(part: Any) -> int:
    """When a thing changed, in microseconds; 0 where that is unreadable: the id matters, the time is only a hint."""
    changed_at = moment_in(part, "updated_at") or moment_in(part, "created_at")
    return micros(changed_at) if changed_at else 0


def _bytes(header: str) -> bytes:
    return header.encode("utf-8", "replace")
