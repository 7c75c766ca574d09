"""What is no answer is an error with the right name, and the vendor's limits are never passed."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from app.domain import Kind, Ref
from app.errors import AuthRejected, BadAnswer, RateLimited, TallyhookError, Unavailable, VendorRefused
from app.sources.base import Context, Limit, Unlimited
from app.sources.finale import connect
from app.sources.finale.client import as_segment, reset_wait
from tests.sources.finale.finale_account import Account, FakeTime

Simulate = Callable[..., Account]


def read_list(source: Any) -> Any:
    return list(source.full(Kind.PRODUCT))


def read_record(source: Any) -> Any:
    return source.fetch([Ref(Kind.ORDER, "00001")])


def read_stock(source: Any) -> Any:
    return list(source.full(Kind.STOCK))


READS = [read_list, read_record, read_stock]
SPOILED = {
    "next_html": BadAnswer,
    "next_login": AuthRejected,
    "next_truncated": BadAnswer,
    "next_empty": BadAnswer,
    "next_error_body": BadAnswer,
    "next_429": RateLimited,
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(("switch", "error"), SPOILED.items())
def test_a_spoiled_answer_is_an_error_never_an_empty_one(
    simulate: Simulate, switch: str, error: type[TallyhookError], read: Callable[[Any], Any]
) -> None:
    account = simulate(products=30, **{switch: 1})
    with pytest.raises(error):
        read(account.source())


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("switch", ["next_502", "next_dropped"])
def test_a_passing_failure_is_tried_again(simulate: Simulate, switch: str, read: Callable[[Any], Any]) -> None:
    account = simulate(products=30, **{switch: 2})
    assert read(account.source())


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("switch", ["next_502", "next_dropped"])
def test_a_failure_that_stays_is_unavailable(simulate: Simulate, switch: str, read: Callable[[Any], Any]) -> None:
    account = simulate(products=30, **{switch: 3})
    with pytest.raises(Unavailable):
        read(account.source())


def test_a_dropped_long_list_leaves_nothing_of_its_first_try(simulate: Simulate) -> None:
    account = simulate(products=3_000, stock_rows_each=0, orders=0, next_dropped=1)
    assert sum(len(page.records) for page in read_list(account.source())) == 3_000


def test_an_error_body_is_quoted(simulate: Simulate) -> None:
    account = simulate(next_error_body=1)
    with pytest.raises(BadAnswer, match="bad mood"):
        read_list(account.source())


def test_a_wrong_key_is_refused_credentials(simulate: Simulate) -> None:
    with pytest.raises(AuthRejected):
        read_list(simulate().source(api_secret="wrong"))


def test_no_error_message_holds_the_secret(simulate: Simulate) -> None:
    with pytest.raises(AuthRejected) as raised:
        read_list(simulate().source(api_secret="sesame-sesame"))
    assert "sesame" not in repr(raised.value)


def test_a_wrong_account_name_is_no_empty_account(simulate: Simulate) -> None:
    with pytest.raises(VendorRefused, match="account's name"):
        read_list(simulate().source(account="elsewhere"))


def test_a_column_that_is_too_long_is_an_error(simulate: Simulate) -> None:
    with pytest.raises(BadAnswer, match="'internalName' has 301 cells for 300 records"):
        read_list(simulate(extra_column="internalName").source())


def test_a_column_that_is_too_short_is_padded_with_null(simulate: Simulate) -> None:
    pages = read_list(simulate(short_column="internalName").source())
    assert {record.name for page in pages for record in page.records} == {None}


def answering(body: bytes, type_: str = "application/json", status: int = 200) -> Any:
    """A source whose vendor always says the same."""
    transport = httpx.MockTransport(
        lambda request: httpx.Response(status, content=body, headers={"content-type": type_})
    )
    context = Context("finale", Unlimited(), transport=lambda: transport, sleep=lambda seconds: None)
    return connect(context, {"account": "demo", "api_key": "k", "api_secret": "s"})


@pytest.mark.parametrize(
    "body",
    [
        b'{"success":false,"errorMessage":"no"}',
        b'{"errors":["no"]}',
        b'{"msg":"no"}',
        b"[]",
        b"null",
        b"",
        b'{"productUrl":["/demo/api/product/A"',
        b'{"productId":["A"]}',
        b'{"productUrl":"/demo/api/product/A"}',
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_list_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_list(answering(body))


@pytest.mark.parametrize("body", [b"<!doctype html><p>Please log in</p>", b"<form><input type=password></form>"])
def test_a_login_page_with_a_wrong_content_type_is_refused_credentials(body: bytes) -> None:
    with pytest.raises(AuthRejected):
        read_list(answering(body))


def test_a_redirect_is_refused_credentials() -> None:
    with pytest.raises(AuthRejected):
        read_list(answering(b"", status=302))


def test_another_record_than_the_one_asked_for_is_a_bad_answer() -> None:
    with pytest.raises(BadAnswer, match="asked for 'A', got 'B'"):
        answering(b'{"productUrl":"/demo/api/product/B"}').fetch([Ref(Kind.PRODUCT, "A")])


def test_a_record_is_asked_for_by_its_url_as_it_came() -> None:
    urls: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        urls.append(request.url.raw_path)
        return httpx.Response(200, json={"productUrl": "/demo/api/product/4x8%20DJ%2F15%25"})

    context = Context("finale", Unlimited(), transport=lambda: httpx.MockTransport(answer))
    source = connect(context, {"account": "demo", "api_key": "k", "api_secret": "s"})
    source.fetch([Ref(Kind.PRODUCT, "4x8%20DJ%2F15%25")])
    assert urls == [b"/demo/api/product/4x8%20DJ%2F15%25"]


@pytest.mark.parametrize("id_", ["../../secrets", "a/b", "a?b=c", "a#b", "..", "."])
def test_an_id_never_leaves_its_collection(id_: str) -> None:
    url = httpx.URL("https://host/demo/api/product/" + as_segment(id_))
    assert url.raw_path.startswith(b"/demo/api/product/")
    assert url.raw_path.count(b"/") == 4
    assert not url.query


@pytest.mark.parametrize(
    ("reset", "wait"),
    [
        ("1789540000000", 100.0),
        ("1789540000", 100.0),
        ("1789530000", 0.0),
        ("30", 30.0),
        ("soon", None),
        (None, None),
    ],
)
def test_a_reset_is_understood_in_seconds_and_milliseconds(reset: str | None, wait: float | None) -> None:
    answer = httpx.Response(429, headers={"x-ratelimit-reset": reset} if reset else {})
    assert reset_wait(answer, now=lambda: 1789539900.0) == wait


@pytest.mark.parametrize("in_seconds", [False, True])
def test_a_refusal_says_how_long_to_wait(simulate: Simulate, in_seconds: bool) -> None:
    account = simulate(rate_get=1, reset_in_seconds=in_seconds)
    source = account.source()
    read_record(source)
    with pytest.raises(RateLimited) as raised:
        read_record(source)
    assert 50 < (raised.value.retry_after or 0) <= 60


class MemoryBudget:
    """Sliding windows in memory."""

    def __init__(self, time: FakeTime) -> None:
        self._time = time
        self._lock = threading.Lock()
        self._taken: dict[str, deque[float]] = {}

    def take(self, limits: Sequence[Limit]) -> float:
        with self._lock:
            wait = max(self._wait(limit) for limit in limits)
            if wait <= 0:
                for limit in limits:
                    self._taken[limit.name].append(self._time.now())
            return max(wait, 0.0)

    def _wait(self, limit: Limit) -> float:
        taken = self._taken.setdefault(limit.name, deque())
        while taken and taken[0] <= self._time.now() - limit.seconds:
            taken.popleft()
        return 0.0 if len(taken) < limit.calls else taken[0] + limit.seconds - self._time.now()


def test_two_clients_that_share_a_budget_never_pass_the_limits(simulate: Simulate) -> None:
    time = FakeTime()
    account = simulate(time.now, products=5, rate_get=10, rate_lists=15)
    budget, limits = MemoryBudget(time), {"gets_per_minute": "10", "reads_per_hour": "15"}
    sources = [account.source(budget, time.sleep, **limits) for _ in range(2)]

    for source in sources * 12:  # by turns: in this clock's time a request takes none
        read_record(source)
        read_stock(source)
    status = account.status()
    assert (status["refused_429"], sum(status["requests"].values())) == (0, 48)


def test_single_records_do_not_count_against_the_hourly_limit(simulate: Simulate) -> None:
    time = FakeTime()
    account = simulate(time.now, products=5, rate_lists=1)
    source = account.source(MemoryBudget(time), time.sleep, reads_per_hour="1")
    for _ in range(5):
        read_record(source)
    assert time.now() == FakeTime().now()


def test_calls_counts_requests(simulate: Simulate) -> None:
    source = simulate().source()
    read_record(source)
    read_stock(source)
    assert source.calls() == 2
