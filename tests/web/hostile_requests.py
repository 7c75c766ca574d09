"""Well-formed requests that mean no good: the API's, the pages' and the deliveries', each as a call of ``Attacked``."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.web.api_requests import Call, described
from tests.web.attacked import HOOK, SIGNED, Attacked, bearer, signed
from tests.web.page_roles import PAGES

Attack = Callable[[Attacked], object]

MIB = 1_048_576
ODD = [
    *(
        "",
        "\x00",
        "a\x00b",
        "'; DROP TABLE inbox_events; --",
        "<script>",
        "é",
        "\U0001f600",
        "\u202e",
        "../../etc/passwd",
    ),
    *("9" * 30, "-1", "1e999", "NaN", "%", "%s%n", "{{7*7}}", "id:" + "9" * 30, "since:9999999d", "until:0001-01-01"),
    *(
        "item:\x00",
        "-" * 200,
        "a:" * 500,
        "x" * 3_000,
        "since:" + "9" * 4_400 + "h",
        "state:dead " * 60,
        "item:%_\\*",
    ),
]
NUMBERS = ["0", "1", "9" * 18, "9" * 19, "9" * 5_000, "-1", "1.0", "%00", "\u0661", "1%20", "1/"]


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """So many examples, the same in every run."""
    found: list[Any] = []

    @seed(1)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


def api(document: Mapping[str, Any], token: str, each: int) -> Iterator[Attack]:
    """Every operation, as described and otherwise, by somebody known, by nobody and by somebody made up."""
    for operation in described(document):
        for strategy in (operation.allowed(), operation.odd()):
            for call in drawn(strategy, each):
                if call.path.endswith("/revoke") or len(call.path) > 7_000:
                    continue  # the token that we come with must live
                for headers in (bearer(token), {}, bearer("th_" + "x" * 43)):
                    yield _sending(call, headers)


def _sending(call: Call, headers: Mapping[str, str]) -> Attack:
    query = f"?{urlencode(call.query)}" if call.query else ""
    return lambda attacked: attacked.ask(call.method, call.path + query, headers, call.raw)


def pages(token: str, count: int) -> Iterator[Attack]:
    """Pages with odd queries, numbers, forms and cookies."""
    lots = random.Random(2)
    shown = [*PAGES, ("GET", "/login"), ("POST", "/login"), ("POST", "/logout"), ("GET", "/"), ("GET", "/metrics")]
    shown += [("GET", "/static/{id:int}"), ("GET", "/api/dead-letters/{id:int}"), ("GET", "/api/inbox/{id:int}")]
    for number in range(count):
        method, path = shown[number % len(shown)]
        path = path.replace("{id:int}", quote(lots.choice(NUMBERS), safe="%/"))
        names = ["filter", "before", "next", "name", "password", "rate", "why", "args", "csrf"]
        fields = [(lots.choice(names), lots.choice(ODD)) for _ in range(lots.randrange(4))]
        headers = lots.choice([bearer(token), {}, {"cookie": lots.choice(COOKIES)}, {"accept": "text/html"}])
        yield _page(method, path, fields, dict(headers), lots.choice(BROKEN) if lots.random() < 0.1 else None)


COOKIES = [
    "__Host-tallyhook=x",
    "__Host-tallyhook=" + "y" * 5_000,
    "=;=;;",
    "__Host-tallyhook=\xff",
    'a="\\0',
    "a" * 4_000,
]
BROKEN = [b"\xff\xfe=1", b"%ff=%fe", b"&" * 2_000, b"a" * 70_000, b"name=\x00", b"%", b"name=%ed%a0%80&password=x"]


def _page(
    method: str, path: str, fields: list[tuple[str, str]], headers: dict[str, str], body: bytes | None
) -> Attack:
    form = urlencode(fields)
    if method == "GET":
        return lambda attacked: attacked.ask("GET", f"{path}?{form}"[:8_300], headers)
    headers["content-type"] = "application/x-www-form-urlencoded"
    return lambda attacked: attacked.ask(method, path, headers, form.encode() if body is None else body)


def deliveries(count: int) -> Iterator[Attack]:
    """Deliveries: wrong signatures, and right ones over what no vendor sends."""
    lots = random.Random(3)
    for number in range(count):
        body = good(f"attack-{number}")
        yield _delivered(*lots.choice(FORGERIES)(body, lots))
    for body in MONSTERS:
        yield _delivered(body, signed(body))
        yield _delivered(body, {SIGNED: "AAAA"})


def good(event_id: str) -> bytes:
    """A delivery as the vendor sends it."""
    told = {"type": "inventory.count.updated", "event_id": event_id, "merchant_id": "M"}
    count = {"catalog_object_id": "V" + event_id[-2:], "location_id": "L", "quantity": "4", "state": "IN_STOCK"}
    told_more = {"type": "inventory", "id": "x", "object": {"inventory_counts": [count]}}
    return msgspec.json.encode({**told, "created_at": "2026-01-01T00:00:00Z", "data": told_more})


def _delivered(body: bytes, headers: Mapping[str, str]) -> Attack:
    return lambda attacked: attacked.ask("POST", HOOK, headers, body, f"delivery {body[:60]!r}")


def _cut(body: bytes, lots: random.Random) -> tuple[bytes, Mapping[str, str]]:
    part = body[: lots.randrange(len(body))]
    return part, signed(part)


def _flipped(body: bytes, lots: random.Random) -> tuple[bytes, Mapping[str, str]]:
    at = lots.randrange(len(body))
    odd = body[:at] + bytes([lots.randrange(256)]) + body[at + 1 :]
    return odd, signed(odd)


def _odd_values(body: bytes, lots: random.Random) -> tuple[bytes, Mapping[str, str]]:
    read = json.loads(body)
    read[lots.choice([*read])] = lots.choice([*ODD, None, [], {}, 10**40, True])
    read["data"] = lots.choice([read.get("data"), None, {"object": {"inventory_counts": lots.choice(ODD)}}])
    odd = json.dumps(read).encode()
    return odd, signed(odd)


FORGERIES: list[Callable[[bytes, random.Random], tuple[bytes, Mapping[str, str]]]] = [
    lambda body, lots: (body, {}),
    lambda body, lots: (body, {SIGNED: ""}),
    lambda body, lots: (body, {SIGNED: lots.randbytes(20).decode("latin-1").translate({10: "x", 13: "x", 0: "x"})}),
    lambda body, lots: (body, signed(body + b" ")),
    lambda body, lots: (body.decode().encode("utf-16"), signed(body.decode().encode("utf-16"))),
    _cut,
    _flipped,
    _odd_values,
]

MONSTERS = [
    *(b"[" * 200_000, b'{"data":' * 120_000, b"[" * 200_000 + b"]" * 200_000, b'"' + b"\\u0000" * 10_000 + b'"'),
    *(b'{"type": "a", "event_id": "e", "data": {"object": ' + b'{"a":' * 100_000, b"", b"null", b"\x00" * 5_000),
    *(b'{"type": "a", "event_id": 1e999}', b'{"type": "a", "event_id": "e", "data": {"id": ' + b"9" * 5_000 + b"}}"),
    b'{"type": "a", "event_id": "e", "data": {"object": {"quantity": '
    + b"9" * 5_000
    + b', "x": 1e999, "y": -1e-999}}}',
    b'{"type": "order.updated", "event_id": "\\ud800", "data": {"object": {"id": "\\udfff"}}}',
    b'{"type": "order.updated", "event_id": "\xed\xa0\x80", "data": {}}',
    b'{"type": "order.updated", "event_id": "a\\u0000b", "data": {"id": "\\u0000"}}',
    b'\xef\xbb\xbf{"type": "order.updated", "event_id": "bom"}',
    *(b" " * (MIB + 1), b'{"type": "' + b"x" * (MIB - 200) + b'", "event_id": "long"}'),
]
"""Right signatures over these; each also with a wrong one."""
