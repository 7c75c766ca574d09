"""The exchange behind a failure, through the real HTTP client on a transport of the test's."""

from tempfile import TemporaryFile

import httpx
import pytest

from app.errors import AuthRejected, BadAnswer, Unavailable
from app.sources import exchanges
from app.sources.base import Context, Unlimited
from app.sources.http import Http


def client(answer: httpx.Response | Exception) -> Http:
    def respond(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(respond)
    context = Context("shop", Unlimited(), transport=lambda: transport, sleep=lambda seconds: None)
    return Http(context, "http://vendor", {"authorization": "Bearer s3cret", "x-kind": "test"})


def test_a_refusal_carries_what_was_asked_and_answered() -> None:
    http = client(httpx.Response(401, text="go away"))
    with pytest.raises(AuthRejected) as raised, exchanges.watched():
        http.request("POST", "/items", json={"id": 1})
    exchange = raised.value.exchange  # type: ignore[attr-defined]
    assert (exchange["method"], exchange["url"], exchange["request"]["body"]) == (
        "POST",
        "http://vendor/items",
        '{"id":1}',
    )
    assert (exchange["response"]["status"], exchange["response"]["body"]) == (401, "go away")


def test_a_credential_in_a_header_is_not_kept() -> None:
    http = client(httpx.Response(401))
    with pytest.raises(AuthRejected) as raised, exchanges.watched():
        http.request("GET", "/")
    headers = raised.value.exchange["request"]["headers"]  # type: ignore[attr-defined]
    assert (headers["authorization"], headers["x-kind"]) == ("(removed)", "test")


def read_as_data(http: Http) -> None:
    with exchanges.watched():
        http.request("GET", "/")
        raise BadAnswer("HTML instead of data")


def test_an_error_found_after_the_answer_carries_the_exchange_too() -> None:
    http = client(httpx.Response(200, text="<html>"))
    with pytest.raises(BadAnswer) as raised:
        read_as_data(http)
    assert raised.value.exchange["response"]["body"] == "<html>"  # type: ignore[attr-defined]


def test_without_an_answer_there_is_the_request() -> None:
    http = client(httpx.ConnectError("no route"))
    with pytest.raises(Unavailable) as raised, exchanges.watched():
        http.request("GET", "/", attempts=1)
    assert raised.value.exchange["response"] is None  # type: ignore[attr-defined]


def test_an_error_without_a_call_does_not_carry_an_earlier_exchange() -> None:
    with exchanges.watched():
        client(httpx.Response(200)).request("GET", "/")
    with pytest.raises(BadAnswer) as raised, exchanges.watched():
        raise BadAnswer("no")
    assert not hasattr(raised.value, "exchange")


def test_a_long_body_is_cut_and_its_size_shown() -> None:
    http = client(httpx.Response(401, text="x" * 20_000))
    with pytest.raises(AuthRejected) as raised, exchanges.watched():
        http.request("GET", "/")
    body = raised.value.exchange["response"]["body"]  # type: ignore[attr-defined]
    assert body.endswith("(20000 bytes in all)")
    assert len(body) < 8_300


def test_bytes_that_are_no_text_are_counted() -> None:
    http = client(httpx.Response(401, content=b"\xff\xfe"))
    with pytest.raises(AuthRejected) as raised, exchanges.watched():
        http.request("GET", "/")
    assert raised.value.exchange["response"]["body"] == "(2 bytes that are not text)"  # type: ignore[attr-defined]


def test_of_an_answer_that_goes_to_a_file_the_beginning_is_kept() -> None:
    http = client(httpx.Response(200, text="<html>log in"))
    with pytest.raises(BadAnswer) as raised:
        read_into_file(http)
    assert raised.value.exchange["response"]["body"].startswith("<html>log in")  # type: ignore[attr-defined]


def read_into_file(http: Http) -> None:
    with exchanges.watched(), TemporaryFile() as file:
        http.request("GET", "/", into=file)
        raise BadAnswer("a login page instead of data")
