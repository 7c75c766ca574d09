"""The library of Standard Webhooks judges the bridge: we accept and refuse what it does, and it accepts ours."""

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.sources.base import SignatureInvalid
from app.sources.finale.simulator.bridge import Ping, signed
from app.sources.finale.webhook import BridgeReceiver

BODY = b'{"event": "product.updated", "data": {"productId": "MUG-000012"}}'

keys = st.binary(min_size=1, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())
ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=40)
bodies = st.dictionaries(st.text(max_size=8), st.text(max_size=8)).map(lambda told: repr(told).encode())


class Sent(NamedTuple):
    """A delivery as the library makes it."""

    headers: dict[str, str]
    body: bytes


def sent(secret: str, id: str = "msg_1", body: bytes = BODY, ago: float = 0.0) -> Sent:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    signature = Webhook(secret).sign(id, at, body.decode())
    headers = {"webhook-id": id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    return Sent(headers, body)


def accepts(secret: str, delivery: Sent) -> bool:
    try:
        BridgeReceiver([secret]).verify(delivery.headers, delivery.body, datetime.now(UTC))
    except SignatureInvalid:
        return False
    return True


def library_accepts(secret: str, delivery: Sent) -> bool:
    try:
        Webhook(secret).verify(delivery.body, delivery.headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


@given(keys, ids, bodies)
def test_what_the_library_signs_is_accepted(secret: str, id: str, body: bytes) -> None:
    assert accepts(secret, sent(secret, id, body))


@given(keys, ids, bodies)
def test_the_library_accepts_what_the_simulated_bridge_signs(secret: str, id: str, body: bytes) -> None:
    assert library_accepts(secret, Sent(signed(secret, Ping(id, body), int(time.time())), body))


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def forged(**changed: str) -> Sent:
    """A good delivery of this moment with other headers."""
    delivery = sent(SECRET)
    return delivery._replace(
        headers={**delivery.headers, **{name.replace("_", "-"): to for name, to in changed.items()}}
    )


def without(name: str) -> Sent:
    delivery = sent(SECRET)
    return delivery._replace(headers={one: value for one, value in delivery.headers.items() if one != name})


@pytest.mark.parametrize(
    "made",
    [
        lambda: sent(SECRET)._replace(body=BODY + b" "),
        lambda: forged(webhook_id="msg_2"),
        lambda: forged(webhook_signature=sent("whsec_AAAA").headers["webhook-signature"]),
        lambda: forged(webhook_signature=sent(SECRET).headers["webhook-signature"].replace("v1", "v2")),
        lambda: without("webhook-id"),
        lambda: forged(webhook_timestamp="soon"),
        lambda: sent(SECRET, ago=1_000),
        lambda: sent(SECRET, ago=-1_000),
    ],
    ids=["body", "id", "key", "version", "no id", "no time", "old", "early"],
)
def test_what_the_library_refuses_is_refused(made: Callable[[], Sent]) -> None:
    delivery = made()
    assert (library_accepts(SECRET, delivery), accepts(SECRET, delivery)) == (False, False)


def test_one_fitting_signature_of_several_is_enough_for_both() -> None:
    other = sent("whsec_AAAA").headers["webhook-signature"]
    both = f"{other} {sent(SECRET).headers['webhook-signature']}"
    delivery = sent(SECRET)
    delivery.headers["webhook-signature"] = both
    assert (library_accepts(SECRET, delivery), accepts(SECRET, delivery)) == (True, True)
