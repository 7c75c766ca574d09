"""The API over real HTTP: what it refuses, and that it says what would be right."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from app.errors import RateLimited
from app.stores.sql.engine import Database, open_database
from app.web.webhooks import Limits
from tests.fakes import World
from tests.web.api_shop import API, error_of, furnished, post
from tests.web.serving import dial, serving, status_of

LIMIT = 10_000


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    """What is refused reaches no database, so one kind is enough here."""
    with closing(open_database(sqlite_url)) as opened:
        yield opened


@pytest.fixture
def world(sqlite: Database) -> World:
    return furnished(sqlite)


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serving(world.deps, Limits(body=LIMIT, seconds=0.3)) as serving_:
        yield serving_


# --- names ---


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api", "/api/sync-", f"{API}/nowhere", f"{API}/status/", f"{API}/runs"]
)
def test_an_unknown_path_is_404(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, error_of(response)["code"]) == (404, "not_found")


@pytest.mark.parametrize("name", ["nobody", "%00", "a" * 3000, "SHOP"])
def test_an_unknown_connection_is_404_and_named_those_there_are(client: httpx.Client, name: str) -> None:
    response = client.get(f"/api/sync-{name}/status")
    assert (response.status_code, error_of(response)["message"]) == (
        404,
        "no connection of this name; use one of: shop",
    )


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", API), ("PATCH", f"{API}/schedule"), ("POST", f"{API}/drift")]
)
def test_a_wrong_method_is_405(client: httpx.Client, method: str, path: str) -> None:
    response = client.request(method, path)
    assert (response.status_code, error_of(response)["code"]) == (405, "method_not_allowed")


def test_a_405_says_every_method_there_is(client: httpx.Client) -> None:
    allowed = client.delete(f"{API}/schedule").headers["allow"]
    assert set(allowed.split(", ")) == {"GET", "HEAD", "PUT"}


# --- bodies ---


@pytest.mark.parametrize(
    "body",
    [b"{", b"strategy=full", b"\xff\xfe", b'{"category": "\xff"}', b'{"category": "\\ud800"}', b"[" * 9000],
    ids=["cut", "form", "bom", "latin", "surrogate", "deep"],
)
def test_a_body_that_is_no_json_is_400(client: httpx.Client, body: bytes) -> None:
    response = client.post(API, content=body)
    assert (response.status_code, error_of(response)["code"]) == (400, "bad_request")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"full"', b"7"])
def test_a_body_that_is_no_object_is_400(client: httpx.Client, body: bytes) -> None:
    assert client.post(API, content=body).status_code == 400


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "everything"},
        {"limit": 0},
        {"limit": 10**30},
        {"limit": 1.5},
        {"limit": "10"},
        {"filterYear": 25},
        {"modifiedSince": "yesterday"},
        {"modifiedSince": "2026-01-01T00:00:00"},
        {"modifiedSince": "0001-01-01T00:00:00+14:00"},
        {"from": "2026-02-30"},
        {"category": ""},
        {"category": "a\0b"},
        {"category": "a" * 501},
        {"dryRun": 1},
    ],
    ids=str,
)
def test_a_wrong_option_is_400(client: httpx.Client, options: dict[str, Any]) -> None:
    assert post(client, **options).status_code == 400


def test_an_unknown_option_is_400_and_named_those_there_are(client: httpx.Client) -> None:
    response = post(client, "/inventory", dry_run=True)
    assert (response.status_code, "use one of: dryRun, filterYear" in error_of(response)["message"]) == (400, True)


def test_an_unknown_strategy_is_named_those_there_are(client: httpx.Client) -> None:
    assert "critical, daily, full, incremental" in error_of(post(client, strategy="x"))["message"]


def test_a_strategys_own_path_takes_no_other_strategy(client: httpx.Client) -> None:
    assert post(client, "/inventory", strategy="full").status_code == 400


def test_options_that_do_not_fit_together_are_422(client: httpx.Client) -> None:
    response = post(client, **{"from": "2026-02-01", "to": "2026-01-01"})
    assert (response.status_code, error_of(response)["message"]) == (422, '"from" must not be after "to"')


def test_a_category_run_without_a_category_is_422(client: httpx.Client) -> None:
    assert post(client, strategy="category").status_code == 422


def test_a_refused_start_starts_nothing(client: httpx.Client) -> None:
    post(client, strategy="category")
    assert client.get(f"{API}/status").json()["activeRun"] is None


def test_a_schedule_without_a_job_is_400(client: httpx.Client) -> None:
    assert client.put(f"{API}/schedule", json={"cron": "0 3 * * *"}).status_code == 400


def test_a_body_of_just_the_limit_is_read(client: httpx.Client) -> None:
    assert client.post(API, content=b"{}".ljust(LIMIT)).status_code == 202


def test_a_body_over_the_limit_is_413(client: httpx.Client) -> None:
    response = client.post(API, content=b"{}".ljust(LIMIT + 1))
    assert (response.status_code, error_of(response)["code"]) == (413, "too_large")


def test_an_undeclared_body_over_the_limit_is_413(client: httpx.Client) -> None:
    assert client.post(API, content=iter([b" " * LIMIT, b" "])).status_code == 413


def test_a_body_that_does_not_come_is_408(client: httpx.Client) -> None:
    with dial(client) as line:
        line.sendall(f"POST {API} HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n".encode() + b'{"stra')
        assert status_of(line) == 408


# --- parameters ---


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=501", "limit=x", "limit=", "limit=5.5", "limit=" + "9" * 400, "limit=null"),
        *("beforeId=0", "beforeId=9223372036854775808", "dry=yes", "since=5", "since=2026-01-01", "status=finished"),
        *("strategy=everything", "cause=%00", "cause=", "cause=%ff", "surprise=1", "limit=1&limit=2"),
        "since=0001-01-01T00:00:00%2B14:00",
    ],
)
def test_a_wrong_parameter_is_400(client: httpx.Client, query: str) -> None:
    response = client.get(f"{API}/history?{query}")
    assert (response.status_code, error_of(response)["code"]) == (400, "bad_request")


def test_an_unknown_parameter_is_named_those_there_are(client: httpx.Client) -> None:
    message = error_of(client.get(f"{API}/metrics?day=1"))["message"]
    assert message == "unknown parameter `day`; use one of: days"


def test_a_wrong_status_is_told_the_right_ones(client: httpx.Client) -> None:
    assert "idle|running|completed" in error_of(client.get(f"{API}/history?status=x"))["message"]


@pytest.mark.parametrize("run_id", ["0", "-1", "x", "1.5", "9223372036854775808", "9" * 400, "%00"])
def test_a_run_that_is_no_number_is_400(client: httpx.Client, run_id: str) -> None:
    assert client.get(f"{API}/runs/{run_id}").status_code == 400


@pytest.mark.parametrize("item", ["%00", "%ff", "a" * 501, ""])
def test_an_item_that_no_index_holds_is_400(client: httpx.Client, item: str) -> None:
    assert client.post(f"{API}/items/{item}").status_code == 400


def test_an_item_of_an_unknown_kind_is_named_those_there_are(client: httpx.Client) -> None:
    assert "location, order, product" in error_of(client.post(f"{API}/items/A?kind=thing"))["message"]


# --- troubles of ours ---


def test_a_database_in_trouble_is_503_and_when_to_come_back(client: httpx.Client, sqlite: Database) -> None:
    with sqlite.begin() as conn:
        conn.exec_driver_sql("DROP TABLE drift")
    response = client.get(f"{API}/drift")
    assert (response.status_code, error_of(response)["code"], response.headers["retry-after"]) == (
        503,
        "unavailable",
        "2",
    )


def test_a_source_that_asks_to_wait_is_503(world: World) -> None:
    def busy() -> object:
        raise RateLimited("not now", retry_after=7)

    world.source.budget = busy  # type: ignore[method-assign,assignment]
    with serving(world.deps) as client:
        response = client.get(f"{API}/status")
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")


def test_a_fault_of_ours_is_500_in_the_same_shape(world: World) -> None:
    def broken() -> object:
        raise RuntimeError("secret words")

    world.source.budget = broken  # type: ignore[method-assign,assignment]
    with serving(world.deps) as client:
        assert "secret" not in str(error_of(client.get(f"{API}/status")))
