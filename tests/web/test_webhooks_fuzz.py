"""Whatever is posted, the receiver's answer is never its own fault."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Scope

from app import sources
from app.sources.base import Context, Unlimited
from app.stores.sql.engine import Database
from app.web.app import create_app
from app.web.webhooks import Limits
from tests.fakes import World

BEARER = "b" * 32
KEY = "k" * 22
URL = "https://example.com/webhooks/signed"

Call = tuple[str, str, list[tuple[bytes, bytes]], list[bytes]]


class Site:
    """The application with two real receivers, called without a network."""

    def __init__(self, database: Database) -> None:
        bridge = {"account": "demo", "api_key": "k", "api_secret": "s", "bearer_secret": BEARER}
        signed = {"access_token": "t", "webhook_keys": KEY, "webhook_url": URL}
        connected = {
            "bridge": sources.connect("finale", Context("bridge", Unlimited()), bridge),
            "signed": sources.connect("square", Context("signed", Unlimited()), signed),
        }
        deps = replace(World(database).deps, sources=connected, now=lambda: datetime.now(UTC))
        self._app: ASGIApp = create_app(deps, Limits(body=10_000))
        self._runner = asyncio.Runner()
        self._life = AsyncExitStack()
        self._runner.run(self._life.enter_async_context(self._app.router.lifespan_context(self._app)))

    def call(self, call: Call) -> int:
        """The status of the answer."""
        return self._runner.run(self._call(*call))

    def close(self) -> None:
        self._runner.run(self._life.aclose())
        self._runner.close()

    async def _call(self, method: str, path: str, headers: list[tuple[bytes, bytes]], chunks: list[bytes]) -> int:
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8", "surrogatepass"),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("here", 80),
        }
        coming = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        coming.append({"type": "http.request", "body": b"", "more_body": False})
        sent: list[Message] = []

        async def receive() -> Message:
            return coming.pop(0) if coming else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return int(sent[0]["status"])


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    with closing(Site(database)) as opened:
        yield opened


text = st.text(max_size=30) | st.sampled_from(
    ["", "\x00", "*", "sku:", "é", "\U0001f600", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "-1", "0"]
)
number = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
leaf = st.none() | st.booleans() | number | text
tree = st.recursive(leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4))

TYPES = [
    *("product.created", "product.updated", "product.deleted", "inventory.updated", "inventory.count.updated"),
    *("catalog.version.updated", "order.created", "order.updated", "order.fulfillment.updated", "location.created"),
    *("vendor.updated", "payment.updated", "refund.created", "no.such.type"),
]
NAMES = [
    "inventory_counts",
    "catalog_object_id",
    "order_created",
    "order_id",
    "vendor",
    "id",
    "payment",
    "updated_at",
]
names = st.sampled_from(NAMES) | text
content = st.dictionaries(names, st.lists(st.dictionaries(names, tree, max_size=3), max_size=3) | tree, max_size=4)
event = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(TYPES) | leaf,
        "type": st.sampled_from(TYPES) | leaf,
        "id": leaf,
        "event_id": text | leaf,
        "merchant_id": leaf,
        "created_at": text | leaf,
        "timestamp": text | leaf,
        "data": st.fixed_dictionaries({}, optional={"productId": leaf, "id": leaf, "object": content | tree}) | tree,
    },
)
encoded = (event | tree).map(msgspec.json.encode)
broken = st.tuples(encoded, st.integers(0, 200)).map(lambda whole: whole[0][: whole[1]])
body = encoded | broken | st.binary(max_size=300) | st.sampled_from([b"", b"[" * 9_000, b'{"data":' * 1_000])

header_value = st.binary(max_size=40) | st.sampled_from([b"", b"-1", b"0", b"9" * 5_000, b"99999999999", b"\xff"])
header_name = st.sampled_from(
    [b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"authorization", b"x-odd", b"host", b"content-type"]
)
length = st.integers(0, 10**30).map(lambda size: (b"content-length", str(size).encode()))  # servers let no other by
headers = st.lists(st.tuples(header_name, header_value) | length, max_size=4)


def signed_for(path: str, whole: bytes) -> list[tuple[bytes, bytes]]:
    """What makes a delivery authentic, so that the fuzz comes past the signatures."""
    if path.endswith("bridge"):
        return [(b"authorization", f"Bearer {BEARER}".encode())]
    digest = hmac.digest(KEY.encode(), URL.encode() + whole, hashlib.sha256)
    return [(b"x-square-hmacsha256-signature", base64.b64encode(digest))]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    path = draw(st.sampled_from(["/webhooks/bridge", "/webhooks/signed"]) | st.just("/webhooks/").flatmap(_any_path))
    method = draw(st.sampled_from(["POST"] * 6 + ["GET", "PUT", "HEAD", "OPTIONS", "BREW"]))
    whole = draw(body)
    cut = draw(st.integers(0, len(whole)))
    given_ = draw(headers)
    genuine = signed_for(path, whole) if draw(st.booleans()) else []
    return method, path, [*given_, *genuine], [whole[:cut], whole[cut:]]


def _any_path(prefix: str) -> st.SearchStrategy[str]:
    return st.text(max_size=20).map(lambda name: prefix + name)


@given(call=calls())
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_delivery_is_answered_with_a_server_error(site: Site, call: Call) -> None:
    assert site.call(call) < 500


@given(event=event, path=st.sampled_from(["/webhooks/bridge", "/webhooks/signed"]))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_authentic_delivery_is_accepted_or_its_payload_is_at_fault(
    site: Site, event: dict[str, object], path: str
) -> None:
    whole = msgspec.json.encode(event)
    assert site.call(("POST", path, signed_for(path, whole), [whole])) in (202, 400, 413)
