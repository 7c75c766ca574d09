"""The receiver over real HTTP: what it refuses, how early, and that no sender can break it."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from app import sources
from app.sources.base import Context, Source, Unlimited
from app.stores.inbox import refusals
from app.stores.sql.engine import Database, open_database
from app.web.webhooks import Limits
from tests.fakes import SHOP, FakeSource, World
from tests.web.serving import FRIEND, HEAD, body_of, deliver, dial, inbox_ids, serving, status_of

MIB = 1_048_576


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    """What is refused reaches no database, so one kind is enough here."""
    with closing(open_database(sqlite_url)) as opened:
        yield opened


@pytest.fixture
def world(sqlite: Database) -> World:
    return World(sqlite)


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serving(world.deps, Limits(seconds=0.3)) as serving_:
        yield serving_


def test_a_wrong_signature_is_401(client: httpx.Client) -> None:
    assert deliver(client, body_of("e1", "A"), headers={"x-word": "foe"}).status_code == 401


def test_a_trailing_slash_opens_the_same_door(client: httpx.Client, sqlite: Database) -> None:
    assert deliver(client, body_of("e1", "A"), to=f"{SHOP}/").status_code == 202
    assert inbox_ids(sqlite) == ["e1"]


@pytest.mark.parametrize("path", ["", "/", f"{SHOP}//", f"{SHOP}/more", f"/{SHOP}"])
def test_nothing_else_does(client: httpx.Client, path: str) -> None:
    assert deliver(client, body_of("e1", "A"), to=path).status_code == 404


def test_a_missing_signature_is_401(client: httpx.Client) -> None:
    assert deliver(client, body_of("e1", "A"), headers={}).status_code == 401


def test_what_was_not_signed_is_not_stored(client: httpx.Client, sqlite: Database) -> None:
    deliver(client, body_of("e1", "A"), headers={"x-word": "foe"})
    assert inbox_ids(sqlite) == []


def test_a_body_that_is_not_json_is_400(client: httpx.Client) -> None:
    assert deliver(client, b"event=product.updated").status_code == 400


def test_an_empty_body_is_400(client: httpx.Client) -> None:
    assert deliver(client, b"").status_code == 400


def test_an_unsigned_body_that_is_not_json_is_401(client: httpx.Client) -> None:
    assert deliver(client, b"not json", headers={}).status_code == 401


def test_a_refusal_is_an_error_object(client: httpx.Client) -> None:
    assert deliver(client, b"not json").json()["error"]["code"] == "bad_payload"


def test_an_unknown_connection_is_404(client: httpx.Client) -> None:
    assert deliver(client, body_of(), to="nobody").status_code == 404


def test_a_connection_without_a_receiver_is_404(world: World) -> None:
    world.source.receiver = None
    with serving(world.deps) as client:
        assert deliver(client, body_of()).status_code == 404


@pytest.mark.parametrize("name", ["%00", "..%2fhealthz", "%ff", "a" * 5000])
def test_an_odd_connection_name_is_404(client: httpx.Client, name: str) -> None:
    assert deliver(client, body_of(), to=name).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_than_post_is_405(client: httpx.Client, method: str) -> None:
    assert client.request(method, "/webhooks/shop", headers=FRIEND).status_code == 405


# --- size ---


def test_a_body_of_just_the_limit_is_read(client: httpx.Client) -> None:
    body = body_of("e1", "A")
    assert deliver(client, body + b" " * (MIB - len(body))).status_code == 202


def test_a_body_over_the_limit_is_413(client: httpx.Client) -> None:
    assert deliver(client, b" " * (MIB + 1)).status_code == 413


def test_a_declared_size_over_the_limit_is_413_before_any_of_it_is_sent(client: httpx.Client) -> None:
    with dial(client) as line:
        line.sendall(HEAD + f"Content-Length: {MIB + 1}\r\n\r\n".encode())
        assert status_of(line) == 413


def test_an_undeclared_body_over_the_limit_is_413_before_its_end(client: httpx.Client) -> None:
    with dial(client) as line:
        line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        line.sendall(f"{MIB + 1:x}\r\n".encode() + b" " * (MIB + 1) + b"\r\n")
        assert status_of(line) == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "\u00b2".encode("latin-1").decode("latin-1"), "9" * 5000])
def test_a_size_that_is_no_size_is_refused(client: httpx.Client, length: str) -> None:
    with dial(client) as line:
        line.sendall(HEAD + f"Content-Length: {length}\r\n\r\n".encode("latin-1"))
        assert status_of(line) in (400, 413)


# --- patience ---


def test_a_body_that_does_not_come_is_408(client: httpx.Client) -> None:
    with dial(client) as line:
        line.sendall(HEAD + b"Content-Length: 100\r\n\r\n" + b'{"id"')
        assert status_of(line) == 408


def test_a_body_that_trickles_is_408(client: httpx.Client) -> None:
    answered = threading.Event()
    with dial(client) as line:
        line.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        trickling = threading.Thread(target=_trickle, args=(line.dup(), answered))
        trickling.start()
        status = status_of(line)
        answered.set()
        trickling.join()
    assert status == 408


def _trickle(line: socket.socket, answered: threading.Event) -> None:
    with line:
        while not answered.wait(0.01):
            line.sendall(b" ")


def test_slow_senders_do_not_keep_others_waiting(client: httpx.Client) -> None:
    lines = [dial(client) for _ in range(20)]
    for line in lines:
        line.sendall(HEAD + b"Content-Length: 100\r\n\r\n" + b"{")
    assert deliver(client, body_of("e1", "A")).status_code == 202
    for line in lines:
        line.close()


# --- senders that go away ---


def leave_half_way(client: httpx.Client) -> None:
    with dial(client) as line:
        line.sendall(HEAD + b"Content-Length: 100\r\n\r\n" + b'{"id": "e1"')


def test_a_sender_that_goes_away_leaves_nothing(client: httpx.Client, sqlite: Database) -> None:
    leave_half_way(client)
    deliver(client, body_of("e2", "A"))
    assert inbox_ids(sqlite) == ["e2"]


def test_a_sender_that_goes_away_is_no_error_of_ours(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with serving(world.deps) as client:
        for _ in range(10):
            leave_half_way(client)
        deliver(client, body_of("e2", "A"))
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_sender_that_does_not_wait_for_the_answer_has_delivered(world: World, sqlite: Database) -> None:
    body = body_of("e1", "A")
    with serving(world.deps) as client, dial(client) as line:
        line.sendall(HEAD + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        line.shutdown(1)
        while line.recv(4096):
            pass
    assert inbox_ids(sqlite) == ["e1"]


# --- bodies that only a real receiver can judge ---


@pytest.fixture
def bridged(sqlite: Database) -> Iterator[httpx.Client]:
    """A connection whose receiver is a real one, with the simplest way to sign."""
    world = World(sqlite, FakeSource())
    options = {"account": "demo", "api_key": "k", "api_secret": "s", "bearer_secret": "b" * 32}
    source: Source = sources.connect("finale", Context("bridge", Unlimited()), options)
    deps = replace(world.deps, sources={"bridge": source}, now=lambda: datetime.now(UTC))
    with closing(source), serving(deps) as client:
        yield client


def bridge(client: httpx.Client, body: bytes) -> int:
    return deliver(client, body, to="bridge", headers={"authorization": "Bearer " + "b" * 32}).status_code


@pytest.mark.parametrize(
    "body",
    [b"[" * 500_000, b'{"data":' * 100_000, b'{"event": "x", "data": ' + b"[" * 400_000, b"[" * 500 + b"]" * 500],
    ids=["lists", "objects", "inside", "shallow"],
)
def test_deep_nesting_is_400(bridged: httpx.Client, body: bytes) -> None:
    assert bridge(bridged, body) == 400


def test_bytes_that_are_not_utf8_are_400(bridged: httpx.Client) -> None:
    assert bridge(bridged, b'{"event": "\xff\xfe"}') == 400


@pytest.mark.parametrize("odd", ["\\u0000", "\\ud83d\\ude00", "'; DROP TABLE inbox_events; --"])
def test_an_odd_product_name_is_stored(bridged: httpx.Client, odd: str) -> None:
    body = b'{"event": "product.updated", "data": {"productId": "%s"}}' % odd.encode()
    assert bridge(bridged, body) == 202


@pytest.mark.parametrize(("event_id", "item"), [("e" * 501, "A"), ("e1", "A" * 501)])
def test_an_id_too_long_for_an_index_is_400(client: httpx.Client, event_id: str, item: str) -> None:
    assert deliver(client, body_of(event_id, item)).status_code == 400


def test_a_refused_delivery_is_kept_with_the_address_it_came_to(database: Database) -> None:
    deps = World(database).deps
    with serving(deps) as client:
        client.post(f"/webhooks/{SHOP}/", content=b"{}", headers={"x-forwarded-host": "old.example.com"})
    with database.read() as conn:
        kept = refusals.latest(conn, SHOP)
    assert kept is not None
    assert kept.reason == f"the word is wrong; it came to http://old.example.com/webhooks/{SHOP}/"
