"""Receives the change notices of a bridge, because Finale itself publishes no webhooks.

A bridge is whatever sees the merchant's changes first: a no-code flow, a shop's own job, a custom setup. It posts
``{"event": "inventory.updated", "data": {"productId": "MUG-000012"}}``, event being one of ``product.created``,
``product.updated``, ``product.deleted`` and ``inventory.updated``, and proves itself in one of two ways:

* Standard Webhooks (github.com/standard-webhooks): headers ``webhook-id``, ``webhook-timestamp`` (epoch seconds) and
  ``webhook-signature``, ``v1,<base64 HMAC-SHA256 of "id.timestamp.body">``, several separated by spaces;
* a fixed ``authorization: Bearer <secret>``, for tools that cannot sign.
"""

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from app.domain import ALL_ITEMS, SKU_PREFIX, Change, Delivery, Kind
from app.errors import BadConfiguration, Unmappable
from app.sources.base import PayloadInvalid, SignatureInvalid
from app.sources.deliveries import bounded, decoded
from app.sources.values import moment

TOLERANCE = 300.0  # seconds, both ways
PRODUCT_EVENTS = frozenset(("product.created", "product.updated", "product.deleted"))
STOCK_EVENT = "inventory.updated"
EXAMPLE = '{"event": "product.updated", "data": {"productId": "MUG-000012"}}'


class _Data(msgspec.Struct):
    productId: str | int | None = None  # noqa: N815 (Finale's spelling)


class _Notice(msgspec.Struct):
    event: str | None = None
    type: str | None = None  # the name in Standard Webhooks
    id: str | int | None = None
    timestamp: str | None = None
    data: _Data | None = None


class BridgeReceiver:
    """Verifies and reads notices. ``secrets`` are Standard Webhooks keys, all valid (rotation)."""

    def __init__(self, secrets: Sequence[str] = (), bearer: str | None = None) -> None:
        self._keys = [signing_key(secret) for secret in secrets]
        self._bearer = bearer.encode() if bearer else b""
        if not self._keys and not self._bearer:
            raise BadConfiguration("a receiver needs a webhook secret or a bearer secret")

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Check signature and age, or the bearer secret; raises ``SignatureInvalid``. Header names are lower case."""
        if self._keys and "webhook-signature" in headers:
            self._verify_signature(headers, body, now)
        elif self._bearer and "authorization" in headers:
            self._verify_bearer(headers["authorization"])
        else:
            raise SignatureInvalid("neither a webhook-signature nor an authorization header that we could check")

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """Read a verified body; raises ``PayloadInvalid``. Unknown events come back as ignored.

        The event id is the ``webhook-id`` header, else ``id`` in the body, else one of our own: no-code bridges
        rarely send ids, and two equal notices an hour apart are two changes, so none may pass for a duplicate.
        """
        notice = decoded(body, _Notice, f"a notice like {EXAMPLE}")
        type_ = notice.event or notice.type
        if not type_:
            raise PayloadInvalid(f"no event named; a notice looks like {EXAMPLE}")
        changes = _changes(type_, notice.data)
        return Delivery(
            event_id=headers.get("webhook-id") or str(notice.id or uuid.uuid4()),
            type=type_,
            changes=changes,
            ignored=not changes,
            occurred_at=_occurred_at(notice.timestamp, headers.get("webhook-timestamp")),
        )

    def _verify_signature(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        id_, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not id_ or not sent:
            raise SignatureInvalid("a signature needs the headers webhook-id and webhook-timestamp")
        if not _is_near(sent, now):
            raise SignatureInvalid("webhook-timestamp is not epoch seconds within five minutes of our clock")
        signed = f"{id_}.{sent}.".encode("utf-8", "surrogateescape") + body
        given = [part.removeprefix("v1,") for part in headers["webhook-signature"].split() if part.startswith("v1,")]
        # a list, not a generator: every key is compared with every signature, whichever fits
        matches = [_equal(signature(key, signed), each) for key in self._keys for each in given]
        if not any(matches):
            raise SignatureInvalid("no signature matches the raw body with one of our keys")

    def _verify_bearer(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._bearer) or scheme.lower() != "bearer":
            raise SignatureInvalid("the bearer secret is not ours")


def signing_key(secret: str) -> bytes:
    """The HMAC key of a Standard Webhooks secret: ``whsec_<base64>``, or any other text as it stands."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            encoded = secret.removeprefix("whsec_")
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise BadConfiguration("option 'webhook_secrets': after whsec_ there must be base64") from None
    if not key:
        raise BadConfiguration("option 'webhook_secrets': an empty secret would let anybody in")
    return key


def signature(key: bytes, signed: bytes) -> str:
    """Base64 of the HMAC-SHA256."""
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _equal(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "surrogateescape"))


def _is_near(sent: str, now: datetime) -> bool:
    return _is_epoch(sent) and abs(now.timestamp() - int(sent)) <= TOLERANCE


def _is_epoch(sent: str) -> bool:
    return sent.isascii() and sent.isdigit() and len(sent) < 12


def _changes(type_: str, data: _Data | None) -> tuple[Change, ...]:
    if type_ == STOCK_EVENT:
        return (Change(Kind.STOCK, ALL_ITEMS),)  # stock cannot be read by product
    if type_ not in PRODUCT_EVENTS:
        return ()
    sku = data.productId if data else None
    if sku is None or sku == "":
        raise PayloadInvalid(f"{type_} without data.productId; a notice looks like {EXAMPLE}")
    return (bounded(Change(Kind.PRODUCT, f"{SKU_PREFIX}{sku}")),)


def _occurred_at(timestamp: str | None, sent: str | None) -> datetime | None:
    if timestamp:
        try:
            return moment(timestamp)
        except Unmappable:
            raise PayloadInvalid(
                f"timestamp must be ISO 8601 like 2026-04-01T15:06:46Z, not {timestamp[:40]!r}"
            ) from None
    return datetime.fromtimestamp(int(sent), UTC) if sent and _is_epoch(sent) else None
