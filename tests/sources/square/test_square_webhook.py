"""The receiver: official signature vectors, agreement with Square's SDK, and what each event changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from square.utils.webhooks_helper import verify_signature

from app.domain import WHOLE, Change, Kind
from app.sources.base import PayloadInvalid, SignatureInvalid
from app.sources.square import webhook
from app.sources.square.webhook import SIGNATURE_HEADER, SquareReceiver, signature

SAMPLES = Path(webhook.__file__).parent / "samples"
VECTORS: list[dict[str, Any]] = json.loads((SAMPLES / "signature_vectors.json").read_text())
OFFICIAL = sorted((SAMPLES / "webhooks_official").glob("*.json"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://shop.example/webhooks/square"


def verifies(receiver: SquareReceiver, body: bytes, header: str | None) -> bool:
    headers = {} if header is None else {SIGNATURE_HEADER: header}
    try:
        receiver.verify(headers, body, NOW)
    except SignatureInvalid:
        return False
    return True


def event(kind: str, data: Any = None, **more: Any) -> bytes:
    return msgspec.json.encode({"merchant_id": "M1", "type": kind, "event_id": "e1", "data": data, **more})


def changes(kind: str, data: Any = None) -> list[tuple[str, str]]:
    delivery = SquareReceiver(URL, ["k"]).parse({}, event(kind, data))
    return [(change.kind.value, change.external_id) for change in delivery.changes]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_signature_vector_gives_its_verdict(vector: dict[str, Any]) -> None:
    receiver = SquareReceiver(vector["url"], [vector["key"]])
    assert verifies(receiver, vector["body"].encode(), vector["signature"]) is vector["valid"]


@given(st.text(min_size=1), st.text(min_size=1))
def test_our_signature_satisfies_the_sdk(body: str, key: str) -> None:
    try:
        raw, ours = body.encode(), signature(key, URL, body.encode()).decode()
    except UnicodeEncodeError:
        return  # lone surrogates are no text that could travel
    assert verify_signature(request_body=raw.decode(), signature_header=ours, signature_key=key, notification_url=URL)


def test_a_second_key_verifies_during_a_rotation() -> None:
    assert verifies(SquareReceiver(URL, ["old", "new"]), b"{}", signature("new", URL, b"{}").decode())


def test_an_empty_key_never_verifies() -> None:
    assert not verifies(SquareReceiver(URL, [""]), b"{}", signature("", URL, b"{}").decode())


def test_without_keys_nothing_verifies() -> None:
    assert not verifies(SquareReceiver(URL, []), b"{}", signature("", URL, b"{}").decode())


def test_a_missing_signature_is_refused() -> None:
    assert not verifies(SquareReceiver(URL, ["k"]), b"{}", None)


def test_a_signature_that_is_not_ascii_is_refused() -> None:
    assert not verifies(SquareReceiver(URL, ["k"]), b"{}", "é\udc80")


def test_a_refusal_does_not_tell_the_key() -> None:
    with pytest.raises(SignatureInvalid) as refused:
        SquareReceiver(URL, ["hush-hush"]).verify({SIGNATURE_HEADER: "x"}, b"{}", NOW)
    assert "hush-hush" not in str(refused.value)


def test_the_receiver_does_not_show_its_keys() -> None:
    assert "hush-hush" not in repr(SquareReceiver(URL, ["hush-hush"]))


@pytest.mark.parametrize("file", OFFICIAL, ids=lambda file: file.stem)
def test_every_official_event_is_read(file: Path) -> None:
    body = json.loads(file.read_text())
    assert SquareReceiver(URL, []).parse({}, file.read_bytes()).event_id == body["event_id"]


def test_two_counts_of_one_variation_are_one_change() -> None:
    counts = [{"catalog_object_id": "V1"}, {"catalog_object_id": "V1"}, {"catalog_object_id": "V2"}]
    assert changes("inventory.count.updated", {"object": {"inventory_counts": counts}}) == [
        ("stock", "V1"),
        ("stock", "V2"),
    ]


def test_a_count_event_without_an_object_may_concern_all_stock() -> None:
    assert changes("inventory.count.updated", {"id": "u"}) == [("stock", WHOLE)]


def test_a_catalog_event_with_an_empty_id_may_concern_all_products_and_categories() -> None:
    data = {"id": "", "type": "catalog"}
    assert changes("catalog.version.updated", data) == [("product", WHOLE), ("category", WHOLE)]


def test_an_order_event_is_read_whatever_its_object_is_called() -> None:
    data = {"type": "order", "id": "O1", "object": {"order": {"order_id": "O1"}}}
    assert changes("order.fulfillment.updated", data) == [("order", "O1")]


def test_an_order_event_without_an_object_falls_back_to_the_id() -> None:
    assert changes("order.updated", {"id": "O1"}) == [("order", "O1")]


def test_an_order_change_hints_at_the_time_of_the_update() -> None:
    data = {"object": {"order_updated": {"order_id": "O1", "updated_at": "1970-01-01T00:00:01.5Z"}}}
    delivery = SquareReceiver(URL, []).parse({}, event("order.updated", data))
    assert list(delivery.changes) == [Change(Kind.ORDER, "O1", 1_500_000)]


def test_a_payment_without_an_order_is_ignored() -> None:
    assert changes("payment.updated", {"object": {"payment": {"id": "p"}}}) == []


@pytest.mark.parametrize(
    "kind",
    ["oauth.authorization.revoked", "webhooks.test_notification", "labor.shift.created", "order", "", "a.b.c.d"],
)
def test_an_event_we_do_not_follow_is_ignored(kind: str) -> None:
    assert SquareReceiver(URL, []).parse({}, event(kind)).ignored


def test_events_of_another_merchant_are_ignored() -> None:
    delivery = SquareReceiver(URL, [], "M2").parse({}, event("catalog.version.updated"))
    assert delivery.ignored


def test_a_creation_time_with_nine_digits_is_cut_to_microseconds() -> None:
    body = event("webhooks.test_notification", created_at="2022-07-13T20:30:59.037339943Z")
    occurred = SquareReceiver(URL, []).parse({}, body).occurred_at
    assert occurred == datetime(2022, 7, 13, 20, 30, 59, 37339, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":1,"event_id":"e"}',
        b'{"type":"t"}',
        b'{"type":"\xff","event_id":"e"}',
        b'{"type":"order.created","event_id":"e","data":{"object":' + b'{"a":' * 200_000,
        event("order.updated", {"object": {"order": {"order_id": "O", "updated_at": "yesterday"}}}),
    ],
    ids=["empty", "list", "no fields", "type no text", "no id", "no UTF-8", "nesting bomb", "no time"],
)
def test_an_unreadable_body_is_invalid(body: bytes) -> None:
    with pytest.raises(PayloadInvalid):
        SquareReceiver(URL, []).parse({}, body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)
    )
)
def test_no_data_of_any_event_is_more_than_invalid(data: Any) -> None:
    for kind in ("inventory.count.updated", "order.created", "vendor.updated", "payment.created"):
        try:
            SquareReceiver(URL, []).parse({}, event(kind, {"object": {"x": data, "vendor": data}}))
        except (PayloadInvalid, UnicodeEncodeError):
            continue
