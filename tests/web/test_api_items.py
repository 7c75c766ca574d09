"""The API's items over real HTTP: what one is, what changed it, what it was, and the feed."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.domain import Kind, Record
from app.stores import catalog
from app.stores.history.rows import begin_load
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, count, listing
from tests.web.serving import serving


@pytest.fixture
def client(database: Database) -> Iterator[httpx.Client]:
    """A's stock went from 5 to 3."""
    world = World(database)
    first: list[Record] = [listing("A/1", price_minor=250, currency="EUR"), count("A/1", 5)]
    then: list[Record] = [count("A/1", 3, 2)]
    with database.begin() as conn:
        begin_load(conn, SHOP, Kind.STOCK, world.clock())
    for records in (first, then):
        with database.begin() as conn:
            catalog.apply(conn, SHOP, records, read_at=world.clock(), now=world.clock(), by="poll")
        world.clock.pass_(60)
    with serving(world.deps) as serving_:
        yield serving_


def get(client: httpx.Client, path: str, **query: Any) -> Any:
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def test_an_item_is_shown_with_its_stock(client: httpx.Client) -> None:
    item = get(client, "/api/items/SKU-A%2F1")
    assert (item["id"], item["priceMinor"], item["stock"][0]["quantity"]) == ("shop:A/1", 250, "3")


def test_a_change_shows_before_and_after_and_what_brought_it(client: httpx.Client) -> None:
    row = get(client, "/api/items/shop:A%2F1/history")["rows"][0]
    assert (row["fields"], row["writtenBy"], row["says"]) == ({"quantity": ["5", "3"]}, "poll", "on hand at L1 5 → 3")


def test_a_page_of_changes_leads_to_the_next(client: httpx.Client) -> None:
    first = get(client, "/api/items/shop:A%2F1/history", limit=1)
    second = get(client, "/api/items/shop:A%2F1/history", limit=1, before=first["next"])
    assert [row["fields"]["quantity"] for row in first["rows"] + second["rows"]] == [["5", "3"], [None, "5"]]


def test_stock_is_shown_as_of_a_moment(client: httpx.Client) -> None:
    assert get(client, "/api/items/shop:A%2F1/stock", asOf="2030-01-01T00:00:00Z")["onHand"] == "3"


def test_an_unknown_item_is_a_404_that_says_how_to_look_for_it(client: httpx.Client) -> None:
    response = client.get("/api/items/nothing")
    assert (response.status_code, "part of its name" in response.text) == (404, True)


def test_the_feed_is_read_on_from_its_cursor(client: httpx.Client) -> None:
    first = get(client, "/api/changes", limit=2)
    second = get(client, "/api/changes", cursor=first["cursor"])
    assert [row["op"] for row in first["rows"] + second["rows"]] == ["created", "created", "updated"]


def test_a_cursor_that_is_none_is_refused(client: httpx.Client) -> None:
    response = client.get("/api/changes", params={"cursor": "x"})
    assert (response.status_code, "none of ours" in response.text) == (422, True)


def test_an_item_is_found_by_a_part_of_its_name(client: httpx.Client) -> None:
    rows = get(client, "/api/items", q="oduct A")["rows"]
    assert [(row["id"], row["onHand"]) for row in rows] == [("shop:A/1", "3")]
