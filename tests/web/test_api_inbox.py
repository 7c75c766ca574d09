"""The inbox over real HTTP: listed by page, shown as received, replayed, and limited to what the caller sees."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.stores.sql.engine import Database
from tests.fakes import World
from tests.web.api_shop import error_of, furnished
from tests.web.serving import FRIEND, body_of, deliver, serving

INBOX = "/api/inbox"


@pytest.fixture
def world(database: Database) -> World:
    return furnished(database)


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    """Three deliveries came in: about A, about A and B, and one of an unknown type."""
    with serving(world.deps) as serving_:
        deliver(serving_, body_of("e1", "A"), headers={**FRIEND, "X-Api-Token": "hunter2", "X-Signature": "s"})
        deliver(serving_, body_of("e2", "A", "B"))
        deliver(serving_, body_of("e3", type_="unknown"))
        yield serving_


def listed(client: httpx.Client, **query: Any) -> dict[str, Any]:
    response = client.get(INBOX, params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def number(client: httpx.Client, event: str) -> int:
    return int(listed(client, filter=f"event:{event}")["rows"][0]["id"])


def test_deliveries_are_listed_by_filter(client: httpx.Client) -> None:
    rows = listed(client, filter="item:A verdict:accepted")["rows"]
    assert [(row["eventId"], row["items"]) for row in rows] == [
        ("e2", [["product", "A"], ["product", "B"]]),
        ("e1", [["product", "A"]]),
    ]


def test_pages_follow_each_other(client: httpx.Client) -> None:
    first = listed(client, limit=2)
    rest = client.get(first["next"]).json()
    assert [row["eventId"] for row in (*first["rows"], *rest["rows"])] == ["e3", "e2", "e1"]
    assert rest["next"] is None


def test_a_delivery_is_shown_as_received_without_its_secrets(client: httpx.Client) -> None:
    told = client.get(f"{INBOX}/{number(client, 'e1')}").json()
    assert (told["headers"]["x-api-token"], told["headers"]["x-signature"]) == ("(removed)", "s")
    assert told["body"] == body_of("e1", "A").decode()
    assert told["cameOf"][0]["waits"]["attempts"] == 0


def test_a_replay_of_one_delivery_is_told_with_where_to_watch_it(client: httpx.Client) -> None:
    response = client.post(f"{INBOX}/{number(client, 'e2')}/replay")
    assert (response.status_code, response.json()["replay"]["items"]) == (202, 2)
    assert client.get(response.json()["href"]).json()["of"] == "events"


def test_a_replay_by_filter_takes_each_item_once(client: httpx.Client) -> None:
    response = client.post(f"{INBOX}/replay", json={"filter": "since:2h", "name": "lost two hours"})
    assert (response.status_code, response.json()["replay"]["items"]) == (202, 2)


def test_a_replay_without_filter_is_refused(client: httpx.Client) -> None:
    response = client.post(f"{INBOX}/replay", json={"filter": "", "name": "everything"})
    assert (response.status_code, "say which events" in error_of(response)["message"]) == (422, True)


def test_a_replay_of_an_ignored_delivery_is_refused_with_the_reason(client: httpx.Client) -> None:
    response = client.post(f"{INBOX}/{number(client, 'e3')}/replay")
    assert (response.status_code, "was ignored" in error_of(response)["message"]) == (409, True)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_delivery_that_there_is_not_is_404(client: httpx.Client, method: str) -> None:
    path = f"{INBOX}/999" + ("/replay" if method == "POST" else "")
    assert client.request(method, path).status_code == 404


def test_a_wrong_filter_is_422_and_says_what_would_be_right(client: httpx.Client) -> None:
    response = client.get(INBOX, params={"filter": "evnt:e1"})
    assert (response.status_code, "'event'" in error_of(response)["message"]) == (422, True)
