"""The receiver: official signature vectors, agreement with Square's SDK, and what each event changes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from square.utils.webhooks_helper import verify_signature

from app.domain import ALL_ITEMS, Change, Kind, Verdict
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


def test_a_refusal_does_not_show_the_key() -> None:
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
    assert changes("inventory.count.updated", {"id": "u"}) == [("stock", ALL_ITEMS)]


def test_a_catalog_event_with_an_empty_id_may_concern_all_products_and_categories() -> None:
    data = {"id": "", "type": "catalog"}
    assert changes("catalog.version.updated", data) == [("product", ALL_ITEMS), ("category", ALL_ITEMS)]


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
    ["oauth.authorization.revoked", "labor.shift.created", "order", "", "a.b.c.d"],
)
def test_an_event_we_do_not_follow_is_ignored(kind: str) -> None:
    assert SquareReceiver(URL, []).parse({}, event(kind)).ignored


def test_events_of_another_merchant_are_set_aside_as_foreign() -> None:
    delivery = SquareReceiver(URL, [], "M2").parse({}, event("catalog.version.updated"))
    assert (delivery.set_aside, list(delivery.changes), delivery.ignored) == (Verdict.FOREIGN, [], False)


def test_a_sample_that_square_sends_from_its_console_is_set_aside_as_foreign() -> None:
    answer = json.loads((SAMPLES / "api_official" / "TestWebhookSubscriptionResponse.json").read_text())
    payload = answer["subscription_test_result"]["payload"].encode()
    assert SquareReceiver(URL, [], "M2").parse({}, payload).set_aside is Verdict.FOREIGN


def test_a_foreign_event_that_cannot_be_read_is_foreign_all_the_same() -> None:
    data = {"object": {"order": {"order_id": "O", "updated_at": "yesterday"}}}
    assert SquareReceiver(URL, [], "M2").parse({}, event("order.updated", data)).set_aside is Verdict.FOREIGN


def test_an_event_without_a_merchant_is_ours() -> None:
    body = event("catalog.version.updated", merchant_id=None)
    assert SquareReceiver(URL, [], "M2").parse({}, body).set_aside is None


def test_a_test_notification_is_set_aside_as_a_test() -> None:
    delivery = SquareReceiver(URL, []).parse({}, event("webhooks.test_notification"))
    assert (delivery.set_aside, list(delivery.changes), delivery.ignored) == (Verdict.TEST, [], False)


def test_a_learned_merchant_makes_the_events_of_others_foreign() -> None:
    receiver = SquareReceiver(URL, [])
    receiver.learn("M2")
    assert receiver.parse({}, event("catalog.version.updated")).set_aside is Verdict.FOREIGN


def test_what_is_learned_does_not_replace_a_configured_merchant() -> None:
    receiver = SquareReceiver(URL, [], "M1")
    receiver.learn("M2")
    assert receiver.parse({}, event("catalog.version.updated")).set_aside is None


def test_a_stock_change_hints_at_the_time_of_its_newest_count() -> None:
    counts = [
        {"catalog_object_id": "V1", "calculated_at": "1970-01-01T00:00:02.5Z"},
        {"catalog_object_id": "V1", "calculated_at": "1970-01-01T00:00:01Z"},
        {"catalog_object_id": "V2", "calculated_at": "at noon"},
    ]
    body = event("inventory.count.updated", {"object": {"inventory_counts": counts}})
    result = SquareReceiver(URL, []).parse({}, body).changes
    assert list(result) == [Change(Kind.STOCK, "V1", 2_500_000), Change(Kind.STOCK, "V2", 0)]


def test_a_vendor_change_hints_at_the_time_of_the_update() -> None:
    body = event("vendor.updated", {"object": {"vendor": {"id": "S1", "updated_at": "1970-01-01T00:00:01Z"}}})
    assert list(SquareReceiver(URL, []).parse({}, body).changes) == [Change(Kind.VENDOR, "S1", 1_000_000)]


@pytest.mark.parametrize(
    ("kind", "data", "whole"),
    [
        ("order.updated", {"object": {"order": {"order_id": "O" * 401}}}, "order"),
        ("vendor.updated", {"object": {"vendor": {"id": "S" * 401}}}, "vendor"),
        ("payment.created", {"object": {"payment": {"order_id": "O" * 401}}}, "order"),
        ("inventory.count.updated", {"object": {"inventory_counts": [{"catalog_object_id": "V" * 401}]}}, "stock"),
    ],
)
def test_an_id_that_may_not_fit_a_key_owes_its_whole_kind(kind: str, data: Any, whole: str) -> None:
    assert changes(kind, data) == [(whole, ALL_ITEMS)]


def test_half_an_emoji_in_an_event_does_not_refuse_it() -> None:
    body = event("vendor.updated", {"object": {"vendor": {"id": "S1", "name": "X"}}}).replace(b'"X"', b'"\\ud83d"')
    assert [change.external_id for change in SquareReceiver(URL, []).parse({}, body).changes] == ["S1"]


def test_a_creation_time_with_nine_digits_is_cut_to_microseconds() -> None:
    body = event("webhooks.test_notification", created_at="2022-07-13T20:30:59.037339943Z")
    occurred = SquareReceiver(URL, []).parse({}, body).occurred_at
    assert occurred == datetime(2022, 7, 13, 20, 30, 59, 37339, tzinfo=UTC)


@pytest.mark.parametrize("time", ["yesterday", "0001-01-01T00:00:00+14:00", 5, {}])
def test_a_time_that_is_none_leaves_the_order_that_an_event_names(time: Any) -> None:
    body = event("order.updated", {"object": {"order": {"order_id": "O", "updated_at": time}}})
    assert SquareReceiver(URL, []).parse({}, body).changes == (Change(Kind.ORDER, "O"),)


def test_an_event_of_no_time_is_taken_all_the_same() -> None:
    body = event("catalog.version.updated", created_at="yesterday")
    delivery = SquareReceiver(URL, []).parse({}, body)
    assert (delivery.occurred_at, len(delivery.changes)) == (None, 2)


@pytest.mark.parametrize("told", ["", "soon"])
def test_a_first_delivery_at_no_time_is_not_known(told: str) -> None:
    assert SquareReceiver(URL, []).first_sent({"square-initial-delivery-timestamp": told}) is None


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
    ],
    ids=["empty", "list", "no fields", "type no text", "no id", "no UTF-8", "nesting bomb"],
)
def test_an_unreadable_body_is_invalid(body: bytes) -> None:
    with pytest.raises(PayloadInvalid):
        SquareReceiver(URL, []).parse({}, body)


@pytest.mark.parametrize(
    ("odd", "items"),
    [
        ({"data": []}, [ALL_ITEMS]),
        ({"data": {"id": 5, "object": "x"}}, [ALL_ITEMS]),
        ({"data": {"id": "O1", "object": [1]}}, ["O1"]),
        ({"merchant_id": 5, "created_at": 5, "data": {"id": "O1"}}, ["O1"]),
    ],
)
def test_an_event_that_is_put_oddly_still_says_that_something_has_changed(
    odd: dict[str, Any], items: list[str]
) -> None:
    body = json.dumps({"type": "order.updated", "event_id": "e", **odd}).encode()
    delivery = SquareReceiver(URL, [], "M1").parse({}, body)
    assert [change.external_id for change in delivery.changes] == items


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
