"""The client against the simulator: errors, paging that neither ends early nor loops, and the adaptive rate."""

from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest

from app.errors import AuthRejected, BadAnswer, RateLimited, Unavailable, Unmappable, VendorRefused
from app.sources.base import Budget, Context, Limit, Unlimited
from app.sources.square import wire
from app.sources.square.client import Client
from app.sources.square.pace import Pace, backoff
from tests.sources.square.square_account import TOKEN, Account, Simulate

ClientOf = Callable[..., Client]


@pytest.fixture
def client_of() -> Iterator[ClientOf]:
    """Connects to an account with a patience (seconds), a token and a budget of the test's choice."""
    opened: list[Client] = []

    def connect(account: Account, patience: float = 0.0, token: str = TOKEN, budget: Budget | None = None) -> Client:
        context = Context("square", budget or Unlimited(), patience=patience, sleep=lambda seconds: None)
        opened.append(Client(context, account.url, token, "2026-09-16", 10.0))
        return opened[-1]

    yield connect
    for client in opened:
        client.http.close()


def replying(*bodies: str) -> Client:
    """A client whose every next answer is the next of these bodies."""
    left = list(bodies)

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=left.pop(0), headers={"content-type": "application/json"})

    context = Context("square", Unlimited(), transport=lambda: httpx.MockTransport(answer))
    return Client(context, "https://square.example", "t", "2026-09-16", 10.0)


def test_a_wrong_token_is_rejected(simulate: Simulate, client_of: ClientOf) -> None:
    with pytest.raises(AuthRejected):
        client_of(simulate(), token="other").locations()


def test_an_expired_token_is_rejected(simulate: Simulate, client_of: ClientOf) -> None:
    account = simulate(expired_token=True)
    with pytest.raises(AuthRejected):
        client_of(account).locations()


def test_an_outage_that_passes_is_not_noticed(simulate: Simulate, client_of: ClientOf) -> None:
    account = simulate(next_503=1, next_500=1)
    assert len(client_of(account).locations().locations) == 3


def test_an_outage_that_stays_is_unavailable(simulate: Simulate, client_of: ClientOf) -> None:
    with pytest.raises(Unavailable):
        client_of(simulate(next_500=99)).locations()


def test_a_page_of_html_is_a_bad_answer(simulate: Simulate, client_of: ClientOf) -> None:
    with pytest.raises(BadAnswer):
        client_of(simulate(next_html=1)).locations()


def test_half_a_document_is_a_bad_answer(simulate: Simulate, client_of: ClientOf) -> None:
    with pytest.raises(BadAnswer):
        client_of(simulate(next_truncated=1)).locations()


def test_errors_inside_a_200_are_errors(simulate: Simulate, client_of: ClientOf) -> None:
    with pytest.raises(Unavailable):
        client_of(simulate(next_errors_in_200=1)).locations()


def test_eleven_locations_are_refused_by_square(simulate: Simulate, client_of: ClientOf) -> None:
    with pytest.raises(VendorRefused, match="more than 10"):
        list(client_of(simulate()).orders_search({"location_ids": ["x"] * 11}))


def test_a_redirect_is_refused_credentials_and_its_host_is_not_asked() -> None:
    hosts = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(302, headers={"location": "https://elsewhere.example/login"})

    context = Context("square", Unlimited(), transport=lambda: httpx.MockTransport(answer))
    with pytest.raises(AuthRejected):
        Client(context, "https://square.example", "t", "2026-09-16", 10.0).locations()
    assert hosts == ["square.example"]


def test_a_record_of_another_shape_is_unmappable() -> None:
    with pytest.raises(Unmappable):
        replying('{"locations": 3}').locations()


@pytest.mark.parametrize(
    ("category", "error"),
    [
        ("AUTHENTICATION_ERROR", AuthRejected),
        ("RATE_LIMIT_ERROR", RateLimited),
        ("INVALID_REQUEST_ERROR", VendorRefused),
        ("API_ERROR", Unavailable),
        ("NEWS_TO_US", BadAnswer),
    ],
)
def test_the_category_of_an_error_decides(category: str, error: type[Exception]) -> None:
    assert isinstance(wire.problem_error([wire.Problem(category=category)], "here"), error)


def test_an_empty_page_with_a_cursor_is_not_the_end() -> None:
    pages = replying('{"cursor": "a"}', '{"counts": [{}], "cursor": "b"}', '{"counts": [{}]}').counts({})
    assert sum(len(page.counts or []) for page in pages) == 2


def test_a_cursor_that_comes_again_is_a_bad_answer(simulate: Simulate, client_of: ClientOf) -> None:
    account = simulate(products=1500, repeat_cursor=True)
    with pytest.raises(BadAnswer, match="twice"):
        list(client_of(account).catalog_search({"object_types": ["ITEM"]}))


def test_an_expired_cursor_is_a_bad_answer(simulate: Simulate, client_of: ClientOf) -> None:
    account = simulate(products=1500, cursor_seconds=-1)
    with pytest.raises(BadAnswer, match="begin again"):
        list(client_of(account).catalog_search({"object_types": ["ITEM"]}))


def test_short_and_empty_pages_lose_nothing(simulate: Simulate, client_of: ClientOf) -> None:
    account = simulate(products=300, short_pages=0.7, empty_pages=0.5)
    pages = client_of(account).catalog_search({"object_types": ["ITEM"]})
    assert len({thing["id"] for page in pages for thing in page.objects or []}) == 300


def test_a_429_halves_the_rate(simulate: Simulate, client_of: ClientOf) -> None:
    client = client_of(simulate(next_429=1), patience=60)
    client.locations()
    assert 5.0 <= client.pace.rate < 5.1


def test_a_429_beyond_our_patience_is_rate_limited(simulate: Simulate, client_of: ClientOf) -> None:
    with pytest.raises(RateLimited):
        client_of(simulate(next_429=1), patience=0).locations()


def test_a_retry_after_is_handed_on(simulate: Simulate, client_of: ClientOf) -> None:
    with pytest.raises(RateLimited) as refused:
        client_of(simulate(next_429=1, retry_after=7.0), patience=1).locations()
    assert refused.value.retry_after == 7.0


def test_the_token_is_in_no_error(simulate: Simulate, client_of: ClientOf) -> None:
    with pytest.raises(AuthRejected) as rejected:
        client_of(simulate(), token="hush-hush").locations()
    assert "hush-hush" not in str(rejected.value)


class Times:
    """A clock that stands."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_several_429_at_once_halve_once() -> None:
    pace = Pace(16, Times())
    for _ in range(8):
        pace.was_refused()
    assert pace.rate == 8


def test_429_after_429_slow_down_to_one_a_second() -> None:
    times = Times()
    pace = Pace(16, times)
    for _ in range(20):
        times.now += 2
        pace.was_refused()
    assert pace.limits() == (Limit("calls", 1, 1.0),)


def test_five_seconds_of_full_use_bring_one_call_a_second_more() -> None:
    pace = Pace(10, Times())
    for _ in range(50):
        pace.went_well()
    assert 10.9 < pace.rate < 11.0


def test_the_rate_never_passes_twice_the_configured_one() -> None:
    pace = Pace(2, Times())
    for _ in range(1000):
        pace.went_well()
    assert pace.rate == 4


def test_a_backoff_is_bounded() -> None:
    assert all(0.25 <= backoff(attempt) <= 16 for attempt in range(40))


class Counting:
    """A budget that remembers what was asked of it."""

    def __init__(self) -> None:
        self.limits: list[Sequence[Limit]] = []

    def take(self, limits: Sequence[Limit]) -> float:
        self.limits.append(limits)
        return 0.0


def test_every_call_is_counted_against_the_shared_budget(simulate: Simulate, client_of: ClientOf) -> None:
    budget = Counting()
    client_of(simulate(), budget=budget).locations()
    assert budget.limits == [(Limit("calls", 10, 1.0),)]
