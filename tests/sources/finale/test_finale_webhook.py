"""The bridge receiver: who may speak, and what was said."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain import ALL_ITEMS, Change, Kind
from app.errors import BadConfiguration
from app.sources.base import PayloadInvalid, SignatureInvalid
from app.sources.finale.webhook import BridgeReceiver

# The example of the Standard Webhooks reference libraries
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOW = datetime.fromtimestamp(AT, UTC)


def headers(**changed: str) -> dict[str, str]:
    result = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}
    result.update({name.replace("_", "-"): value for name, value in changed.items()})
    return {name: value for name, value in result.items() if value}


def signed(key: bytes, body: bytes = BODY, id_: str = ID, at: int = AT) -> str:
    mac = hmac.new(key, f"{id_}.{at}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def notice(sku: str) -> bytes:
    return json.dumps({"event": "product.updated", "data": {"productId": sku}}).encode()


@pytest.mark.parametrize(("length", "owed"), [(396, "sku:" + "é" * 396), (397, ALL_ITEMS), (30_000, ALL_ITEMS)])
def test_a_sku_that_may_not_fit_a_key_owes_all_products(length: int, owed: str) -> None:
    assert list(BridgeReceiver(["k"]).parse({}, notice("é" * length)).changes) == [Change(Kind.PRODUCT, owed)]


def test_half_an_emoji_in_a_notice_does_not_refuse_it() -> None:
    result = BridgeReceiver(["k"]).parse({}, notice("\ud83d"))
    assert list(result.changes) == [Change(Kind.PRODUCT, "sku:\N{REPLACEMENT CHARACTER}")]


def test_the_reference_vector_is_accepted() -> None:
    BridgeReceiver([SECRET]).verify(headers(), BODY, NOW)


@pytest.mark.parametrize("secrets", [["new", SECRET], [SECRET, "old"]])
def test_any_key_of_a_rotation_is_accepted(secrets: list[str]) -> None:
    BridgeReceiver(secrets).verify(headers(), BODY, NOW)


def test_one_of_several_signatures_is_enough() -> None:
    several = f"v1,AAAA v1a,BBBB {SIGNATURE}"
    BridgeReceiver([SECRET]).verify(headers(webhook_signature=several), BODY, NOW)


def test_a_plain_secret_is_a_key_as_it_stands() -> None:
    BridgeReceiver(["plain"]).verify(headers(webhook_signature=signed(b"plain")), BODY, NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook_signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF="},
        {"webhook_signature": SIGNATURE.removeprefix("v1,")},
        {"webhook_signature": SIGNATURE.replace("v1", "v2")},
        {"webhook_signature": "v1,é"},
        {"webhook_signature": " "},
        {"webhook_id": "msg_other"},
        {"webhook_id": ""},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": "soon"},
        {"webhook_timestamp": "²"},
        {"webhook_timestamp": "9" * 400},
        {"webhook_timestamp": str(AT + 1)},
        {"webhook_signature": ""},
    ],
)
def test_a_wrong_or_missing_header_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        BridgeReceiver([SECRET]).verify(headers(**changed), BODY, NOW)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        BridgeReceiver([SECRET]).verify(headers(), BODY + b" ", NOW)


def test_another_key_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        BridgeReceiver(["whsec_AAAA"]).verify(headers(), BODY, NOW)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_delivery_within_five_minutes_is_accepted(seconds: int) -> None:
    BridgeReceiver([SECRET]).verify(headers(), BODY, NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_delivery_from_further_away_is_refused(seconds: int) -> None:
    with pytest.raises(SignatureInvalid, match="five minutes"):
        BridgeReceiver([SECRET]).verify(headers(), BODY, NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("secrets", [[""], ["whsec_"], ["whsec_!!!"]])
def test_an_empty_or_broken_key_is_a_bad_configuration(secrets: list[str]) -> None:
    with pytest.raises(BadConfiguration):
        BridgeReceiver(secrets)


def test_a_receiver_without_any_secret_cannot_be() -> None:
    with pytest.raises(BadConfiguration):
        BridgeReceiver([], "")


@pytest.mark.parametrize("authorization", ["Bearer sesame", "bearer sesame"])
def test_the_bearer_secret_is_accepted(authorization: str) -> None:
    BridgeReceiver(bearer="sesame").verify({"authorization": authorization}, BODY, NOW)


@pytest.mark.parametrize("authorization", ["Bearer other", "Bearer ", "Basic sesame", "sesame", "", "Bearer é"])
def test_another_authorization_is_refused(authorization: str) -> None:
    with pytest.raises(SignatureInvalid):
        BridgeReceiver(bearer="sesame").verify({"authorization": authorization}, BODY, NOW)


def test_an_empty_bearer_secret_lets_nobody_in() -> None:
    with pytest.raises(SignatureInvalid):
        BridgeReceiver([SECRET], "").verify({"authorization": "Bearer "}, BODY, NOW)


def test_a_wrong_signature_is_not_saved_by_a_bearer_secret() -> None:
    given = {**headers(webhook_signature="v1,AAAA"), "authorization": "Bearer sesame"}
    with pytest.raises(SignatureInvalid):
        BridgeReceiver([SECRET], "sesame").verify(given, BODY, NOW)


def test_no_refusal_holds_a_secret() -> None:
    with pytest.raises(SignatureInvalid) as raised:
        BridgeReceiver(bearer="sesame").verify({"authorization": "Bearer guess"}, BODY, NOW)
    assert "sesame" not in str(raised.value)


def parse(body: Any, **given: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return BridgeReceiver(["s"]).parse({name.replace("_", "-"): value for name, value in given.items()}, raw)


@pytest.mark.parametrize("event", ["product.created", "product.updated", "product.deleted"])
def test_a_product_event_is_a_change_of_that_sku(event: str) -> None:
    delivery = parse({"event": event, "data": {"productId": "MUG 1"}})
    assert delivery.changes == (Change(Kind.PRODUCT, "sku:MUG 1"),)


def test_an_inventory_event_is_a_change_of_all_stock() -> None:
    delivery = parse({"event": "inventory.updated", "data": {"productId": "MUG"}})
    assert delivery.changes == (Change(Kind.STOCK, ALL_ITEMS),)


def test_an_inventory_event_needs_no_product() -> None:
    assert parse({"event": "inventory.updated"}).changes


def test_a_numeric_product_id_is_text() -> None:
    assert parse({"event": "product.updated", "data": {"productId": 12}}).changes[0].external_id == "sku:12"


def test_the_type_of_standard_webhooks_is_an_event() -> None:
    assert parse({"type": "product.updated", "data": {"productId": "A"}}).type == "product.updated"


def test_an_unknown_event_is_ignored() -> None:
    delivery = parse({"event": "customer.sneezed", "data": {"anything": [1]}})
    assert (delivery.ignored, delivery.changes) == (True, ())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b'"product.updated"',
        b"{}",
        b'{"event":1}',
        b'{"event":"product.updated"}',
        b'{"event":"product.updated","data":{}}',
        b'{"event":"product.updated","data":{"productId":""}}',
        b'{"event":"product.updated","data":{"productId":["A"]}}',
        b'{"event":"product.updated","data":[]}',
        b'{"event":"inventory.updated","timestamp":"soon"}',
        b'{"event":"x","deep":' + b"[" * 200_000,
        b'{"event":"x","data":{"deep":' + b'{"a":' * 200_000,
    ],
)
def test_a_body_that_is_no_notice_is_invalid(body: bytes) -> None:
    with pytest.raises(PayloadInvalid):
        parse(body)


def test_an_invalid_notice_is_told_what_would_be_right() -> None:
    with pytest.raises(PayloadInvalid, match=r"productId.*MUG-000012"):
        parse({"event": "product.updated"})


def test_the_event_id_is_the_header_before_the_body() -> None:
    body = {"event": "inventory.updated", "id": "b"}
    assert (parse(body, webhook_id="h").event_id, parse(body).event_id) == ("h", "b")


def test_without_an_id_each_delivery_is_a_new_one() -> None:
    body = {"event": "inventory.updated"}
    assert parse(body).event_id != parse(body).event_id


def test_a_notice_shows_when_it_happened() -> None:
    assert parse({"event": "x", "timestamp": "2026-01-02T03:04:05Z"}).occurred_at == datetime(
        2026, 1, 2, 3, 4, 5, tzinfo=UTC
    )


def test_a_signed_notice_without_a_time_has_that_of_its_signature() -> None:
    assert parse({"event": "x"}, webhook_timestamp=str(AT)).occurred_at == NOW
