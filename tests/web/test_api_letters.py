"""Dead letters over HTTP: found, grouped, shown, previewed, replayed, discarded, edited."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.errors import RateLimited, Unmappable
from app.stores.sql.engine import Database
from tests.fakes import World, listing
from tests.letters import all_letters, die
from tests.web.serving import serving

API = "/api/dead-letters"


@dataclass
class Shop:
    """A shop with three dead letters, of two causes, and the API to them."""

    world: World
    client: httpx.Client

    def get(self, path: str = "", **query: Any) -> Any:
        return self.client.get(API + path, params=query).raise_for_status().json()

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(API + path, json=body)

    def first(self) -> int:
        return int(all_letters(self.world.database)[0].id)


@pytest.fixture
def shop(database: Database) -> Iterator[Shop]:
    world = World(database)
    world.source.put(listing("A"))
    for item in "AB":
        die(world, item, RateLimited("GET /x: 429 too many requests"))
    die(world, "C", Unmappable("price: expected a number"))
    with serving(world.deps) as client:
        yield Shop(world, client)


def test_a_list_tells_totals_and_where_the_next_page_is(shop: Shop) -> None:
    page = shop.get(limit=2)
    assert page["totals"] == {"letters": 3, "causes": 2, "items": 3, "moot": 0}
    rest = shop.client.get(page["next"]).json()
    assert (len(page["rows"]), len(rest["rows"]), rest["next"]) == (2, 1, None)


def test_groups_are_by_cause_or_by_item(shop: Shop) -> None:
    assert [row["letters"] for row in shop.get("/groups")["rows"]] == [2, 1]
    assert len(shop.get("/groups", by="item")["rows"]) == 3


def test_a_letter_tells_its_attempts_and_what_to_do(shop: Shop) -> None:
    letter = shop.get(f"/{shop.first()}")
    assert (letter["errorType"], letter["attempts"][0]["errorType"]) == ("RateLimited", "RateLimited")
    assert "fewer calls" in letter["advice"]


@pytest.mark.parametrize("path", ["/987654321", "/replays/987654321"])
def test_what_is_not_there_is_404(shop: Shop, path: str) -> None:
    assert shop.client.get(API + path).status_code == 404


@pytest.mark.parametrize("filter", ["item:" + ",".join("x" * 100), "-item:" + ",".join("x*" for _ in range(100))])
@pytest.mark.parametrize("at", [API, "/api/inbox"])
def test_the_largest_filter_is_answered(shop: Shop, at: str, filter: str) -> None:
    answer = shop.client.get(at, params={"filter": " ".join([filter] * (9 if "*" not in filter else 6))})
    assert answer.status_code == 200, answer.text


def test_a_wrong_filter_is_422_with_what_would_be_right(shop: Shop) -> None:
    answer = shop.client.get(API, params={"filter": "itme:A"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_filter")
    assert "did you mean 'item'" in answer.json()["error"]["message"]


def test_a_preview_tells_what_would_change(shop: Shop) -> None:
    told = shop.post("/preview", filter="item:A").json()
    assert told["items"][0]["outcome"] == "changes"
    assert told["summary"] == "1 new product"


def test_a_replay_is_accepted_and_can_be_watched(shop: Shop) -> None:
    answer = shop.post("/replay", filter="cause:RateLimited", name="busy vendor")
    assert answer.status_code == 202
    watched = shop.client.get(answer.headers["location"]).json()
    assert (watched["name"], watched["letters"], watched["progress"]["waiting"]) == ("busy vendor", 2, 2)


def test_a_replay_is_aborted(shop: Shop) -> None:
    href = shop.post("/replay", filter="", name="all").json()["href"]
    assert shop.client.post(f"{href}/abort").json()["replay"]["status"] == "aborted"
    assert shop.client.post(f"{href}/abort").status_code == 409


def test_one_letter_is_replayed(shop: Shop) -> None:
    answer = shop.client.post(f"{API}/{shop.first()}/replay")
    assert (answer.status_code, answer.json()["replay"]["items"]) == (202, 1)
    assert shop.client.post(f"{API}/{shop.first()}/replay").status_code == 409


def test_letters_are_discarded_and_restored(shop: Shop) -> None:
    assert shop.post("/discard", filter="item:A", why="sold out").json() == {"discarded": 1}
    restored = shop.client.post(f"{API}/{shop.first()}/restore").json()
    assert restored["state"] == "dead"


def test_a_letter_is_discarded_with_a_reason(shop: Shop) -> None:
    told = shop.post(f"/{shop.first()}/discard", why="sold out").json()
    assert (told["state"], told["discardReason"]) == ("discarded", "sold out")


def test_arguments_are_edited_and_the_original_kept(shop: Shop) -> None:
    answer = shop.client.put(f"{API}/{shop.first()}/args", json={"args": ["shop", "product", "Z"], "why": "moved"})
    assert (answer.json()["args"], answer.json()["originalArgs"]) == (
        ["shop", "product", "Z"],
        ["shop", "product", "A"],
    )


def test_arguments_that_cannot_be_are_refused(shop: Shop) -> None:
    answer = shop.client.put(f"{API}/{shop.first()}/args", json={"args": ["shop"], "why": "moved"})
    assert answer.status_code == 422
