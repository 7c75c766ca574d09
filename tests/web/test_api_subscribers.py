"""The API's subscribers over real HTTP: created with a secret that is shown once, shown, tested, paused, deleted."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from app.rules.access.encryption import Encryption
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World
from tests.listener import Listener, listening
from tests.web.serving import serving

PATH = "/api/subscribers"
KEY = "w5BKJ0uTPIyE6pTYCk2yE6mXRYVnUVjRUkIhbG0BvbM="


@pytest.fixture
def client(database: Database) -> Iterator[httpx.Client]:
    with serving(replace(World(database).deps, encryption=Encryption(KEY))) as client:
        yield client


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


def create(client: httpx.Client, listener: Listener) -> str:
    """A subscriber's path."""
    body = {"name": "books", "url": listener.url, "connections": [SHOP], "kinds": ["stock"]}
    response = client.post(PATH, json=body)
    assert response.status_code == 201, response.text
    assert response.json()["secret"].startswith("whsec_")
    return f"{PATH}/{response.json()['subscriber']['id']}"


def test_a_subscriber_is_shown_without_its_secret(client: httpx.Client, listener: Listener) -> None:
    shown = client.get(create(client, listener)).json()
    assert (shown["name"], shown["connections"], shown["kinds"], shown["enabled"]) == (
        "books",
        [SHOP],
        ["stock"],
        True,
    )
    assert not [name for name in shown if "secret" in name]


def test_all_subscribers_are_listed(client: httpx.Client, listener: Listener) -> None:
    paths = [create(client, listener) for _ in range(2)]
    assert [f"{PATH}/{row['id']}" for row in client.get(PATH).json()["rows"]] == paths


def test_a_test_message_reports_the_answer(client: httpx.Client, listener: Listener) -> None:
    listener.answers = [500]
    tested = client.post(create(client, listener) + "/test").json()
    assert (tested, listener.got[0].json["type"]) == ({"accepted": False, "said": "answered 500"}, "test")


def test_a_subscriber_is_paused_and_resumed(client: httpx.Client, listener: Listener) -> None:
    path = create(client, listener)
    assert [client.post(f"{path}/{verb}").json()["enabled"] for verb in ("pause", "resume")] == [False, True]


def test_a_deleted_subscriber_is_a_404(client: httpx.Client, listener: Listener) -> None:
    path = create(client, listener)
    assert client.delete(path).json()["name"] == "books"
    assert (client.get(path).status_code, client.delete(path).status_code) == (404, 404)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://a:b@example.com"},
        {"connections": ["nowhere"]},
        {"connections": []},
        {"kinds": []},
        {"name": ""},
    ],
)
def test_what_is_wrong_is_refused(client: httpx.Client, wrong: dict[str, object]) -> None:
    response = client.post(PATH, json={"name": "x", "url": "https://example.com", **wrong})
    assert response.status_code in (400, 422)


def test_without_a_key_a_subscriber_is_refused_with_what_to_do(database: Database) -> None:
    with serving(World(database).deps) as client:
        response = client.post(PATH, json={"name": "x", "url": "https://example.com"})
    assert (response.status_code, "TALLYHOOK_SECRET_KEY is not set" in response.text) == (422, True)
