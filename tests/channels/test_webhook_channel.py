"""Webhooks that we send: what the other side answers, and what it cannot do to us."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from app.channels import webhook
from app.channels.webhook import MAX_BYTES, post
from app.errors import Unavailable
from tests.listener import Listener, listening


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


def test_the_message_arrives_as_json_with_its_headers(listener: Listener) -> None:
    assert post(listener.url, b'{"a":1}', {"webhook-id": "msg_1"}).good
    (got,) = listener.got
    assert (got.body, got.id, got.headers["content-type"]) == (b'{"a":1}', "msg_1", "application/json")


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 410, 429, 500])
def test_only_a_2xx_is_good(listener: Listener, status: int) -> None:
    listener.answers = [status]
    answer = post(listener.url, b"{}", {})
    assert (answer.status, answer.good) == (status, False)


def test_a_redirect_is_not_followed(listener: Listener) -> None:
    listener.answers, listener.headers = [307], {"location": listener.url}
    post(listener.url, b"{}", {})
    assert len(listener.got) == 1


def test_of_an_answer_at_most_64_kb_are_read(listener: Listener) -> None:
    listener.text = b"x" * (5 * MAX_BYTES)
    assert len(post(listener.url, b"{}", {}).text) == MAX_BYTES


def test_where_nobody_listens_it_is_unavailable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(Unavailable, match="no answer"):
            post(url, b"{}", {})


def test_a_certificate_that_nobody_vouches_for_is_refused(listener: Listener) -> None:
    with pytest.raises(Unavailable):
        post(listener.url.replace("http:", "https:"), b"{}", {})


def drip(server: socket.socket, answer: bytes, over: threading.Event) -> None:
    """Take one connection, answer, and then send a byte now and then without an end."""
    connection, _ = server.accept()
    with connection:
        connection.sendall(answer)
        while not over.wait(0.05):
            try:
                connection.sendall(b"x")
            except OSError:
                return


@pytest.fixture
def dripping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(webhook, "TIMEOUT", 0.5)
    monkeypatch.setattr(webhook, "ANSWER", 0.5)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server, request.param, over))
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        over.set()
        thread.join()


@pytest.mark.parametrize("dripping", [b"HTTP/1.1 200 OK\r\nx-long: "], indirect=True)
def test_headers_that_never_end_end_the_call(dripping: str) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no answer within"):
        post(dripping, b"{}", {})
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("dripping", [b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"], indirect=True)
def test_a_body_that_never_ends_does_not_undo_a_good_status(dripping: str) -> None:
    assert post(dripping, b"{}", {}).good
