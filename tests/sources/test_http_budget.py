"""The HTTP client asks the budget before it sends, in the lane of whoever calls."""

import httpx
import pytest

from app.errors import BudgetSpent
from app.rules.calls.lanes import Lane, lane
from app.sources import connect
from app.sources.base import Context, Limit, Unlimited
from app.sources.http import Http
from app.stores.runs.budgets import SharedBudget
from app.stores.sql.engine import Database

TEN = Limit("calls", 10, 60.0)


class Shop:
    """A vendor that counts calls, asked by clients in a time that only their waiting moves."""

    def __init__(self, database: Database) -> None:
        self.now = 1000.0
        self.calls = 0
        self._database = database

    def client(self, patience: float) -> Http:
        budget = SharedBudget(self._database, "shop", lambda: self.now)
        transport = httpx.MockTransport(self._answer)
        context = Context("shop", budget, patience=patience, transport=lambda: transport, sleep=self._sleep)
        return Http(context, "http://shop.test", {})

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        return httpx.Response(200)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def shop(database: Database) -> Shop:
    return Shop(database)


def calls_until_spent(http: Http) -> int:
    for sent in range(100):
        try:
            http.request("GET", "/", limits=[TEN])
        except BudgetSpent:
            return sent
    raise AssertionError("the budget has no end")


def test_a_bulk_read_that_used_up_its_share_leaves_a_webhook_its_calls(shop: Shop) -> None:
    with lane(Lane.BULK):
        assert calls_until_spent(shop.client(patience=2)) == 6
    assert calls_until_spent(shop.client(patience=2)) == 3


def test_a_person_goes_at_once_where_webhooks_must_wait(shop: Shop) -> None:
    calls_until_spent(shop.client(patience=2))
    began = shop.now
    with lane(Lane.PERSON):
        shop.client(patience=0).request("GET", "/", limits=[TEN])
    assert shop.now == began


def test_a_bulk_read_with_patience_waits_and_goes_on(shop: Shop) -> None:
    http, began = shop.client(patience=900), shop.now
    with lane(Lane.BULK):
        for _ in range(13):
            http.request("GET", "/", limits=[TEN])
    assert shop.calls == 13
    assert shop.now - began == pytest.approx(120.0)


def test_a_refusal_says_which_lane_and_which_limit_and_when_to_come_back(shop: Shop) -> None:
    http = shop.client(patience=2)
    with lane(Lane.POLL):
        calls_until_spent(http)
        shop.now += 15
        with pytest.raises(BudgetSpent, match=r"lane poll \(calls\)") as spent:
            http.request("GET", "/", limits=[TEN])
    assert spent.value.retry_after == pytest.approx(45.0)


def test_a_call_that_the_budget_refuses_is_not_sent(shop: Shop) -> None:
    http = shop.client(patience=2)
    calls_until_spent(http)
    assert (shop.calls, http.calls) == (9, 9)


OPTIONS = {
    "finale": {"account": "acme", "api_key": "key", "api_secret": "secret"},
    "square": {"access_token": "token"},
}


@pytest.mark.parametrize(
    ("source", "limits"), [("finale", {"get": 120, "collection": 300}), ("square", {"calls": 10})]
)
def test_a_source_names_every_limit_it_counts_against(source: str, limits: dict[str, int]) -> None:
    result = connect(source, Context("here", Unlimited()), OPTIONS[source]).budget()
    assert {limit.name: limit.calls for limit in result} == limits


def test_an_account_without_limits_names_none() -> None:
    options = {**OPTIONS["finale"], "gets_per_minute": "0", "reads_per_hour": "0"}
    assert list(connect("finale", Context("here", Unlimited()), options).budget()) == []
