"""The API over real HTTP: runs and items that a person asks for."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.domain import Strategy
from app.stores import owed
from app.stores.runs import runs
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World
from tests.web.api_shop import API, abandon, error_of, furnished, opened, post
from tests.web.serving import serving


@pytest.fixture
def world(database: Database) -> World:
    return furnished(database)


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serving(world.deps) as serving_:
        yield serving_


# --- start ---


def test_a_run_is_smart_unless_a_strategy_is_named(client: httpx.Client) -> None:
    assert client.post(API).json()["run"]["strategy"] == "smart"


def test_a_started_run_is_in_the_database(client: httpx.Client, world: World) -> None:
    run_id = post(client, strategy="full").json()["run"]["id"]
    with world.database.read() as conn:
        active = runs.active(conn, SHOP)
    assert active is not None
    assert (active.id, active.strategy, active.status) == (run_id, "full", "idle")


def test_a_started_run_is_told_to_the_workers(client: httpx.Client, world: World) -> None:
    started = post(client).json()["run"]["id"]
    assert world.queue.runs == [started]


def test_a_start_is_202(client: httpx.Client) -> None:
    assert post(client).status_code == 202


def test_the_link_of_a_start_leads_to_the_run(client: httpx.Client) -> None:
    started = post(client, strategy="full")
    assert client.get(started.json()["href"]).json()["id"] == started.json()["run"]["id"]


def test_the_location_of_a_start_is_its_link(client: httpx.Client) -> None:
    started = post(client)
    assert started.headers["location"] == started.json()["href"]


def test_a_run_keeps_its_options(client: httpx.Client) -> None:
    options: dict[str, Any] = {"dryRun": True, "limit": 10, "from": "2025-01-01", "to": "2025-02-01"}
    assert post(client, strategy="orders", **options).json()["run"]["options"] == options


@pytest.mark.parametrize(
    ("path", "strategy"),
    [("/inventory", "inventory"), ("/critical", "critical"), ("/vendors", "vendors"), ("/retry-failed", "retry")],
)
def test_a_strategys_own_path_starts_it(client: httpx.Client, path: str, strategy: str) -> None:
    assert post(client, path, dryRun=True).json()["run"]["strategy"] == strategy


def test_a_strategys_own_path_takes_options(client: httpx.Client) -> None:
    assert post(client, "/inventory", dryRun=True).json()["run"]["dryRun"] is True


def test_a_second_run_is_409(client: httpx.Client) -> None:
    post(client)
    assert post(client).status_code == 409


def test_the_409_shows_the_active_run_and_its_link(client: httpx.Client) -> None:
    first = post(client).json()
    assert error_of(post(client))["details"] == first


def test_twenty_simultaneous_starts_give_one_run(client: httpx.Client) -> None:
    with ThreadPoolExecutor(20) as people:
        statuses = list(people.map(lambda _: post(client).status_code, range(20)))
    assert sorted(statuses) == [202, *[409] * 19]


# --- cancel and resume ---


def test_a_cancelled_run_is_cancelled(client: httpx.Client, world: World) -> None:
    run_id = opened(world)
    assert post(client, f"/runs/{run_id}/cancel").json()["run"]["status"] == "cancelled"


def test_cancelling_again_is_202(client: httpx.Client, world: World) -> None:
    run_id = opened(world)
    post(client, f"/runs/{run_id}/cancel")
    assert post(client, f"/runs/{run_id}/cancel").status_code == 202


def test_cancelling_a_completed_run_is_409(client: httpx.Client) -> None:
    done = client.get(f"{API}/history?status=completed").json()["rows"][0]["id"]
    assert error_of(post(client, f"/runs/{done}/cancel"))["code"] == "conflict"


def test_a_resumed_run_waits_for_a_worker(client: httpx.Client) -> None:
    failed = client.get(f"{API}/history?status=failed").json()["rows"][0]["id"]
    assert post(client, f"/runs/{failed}/resume").json()["run"]["status"] == "idle"


def test_resuming_a_completed_run_is_409(client: httpx.Client) -> None:
    done = client.get(f"{API}/history?status=completed").json()["rows"][0]["id"]
    assert post(client, f"/runs/{done}/resume").status_code == 409


def test_resuming_beside_an_active_run_is_409(client: httpx.Client, world: World) -> None:
    failed = client.get(f"{API}/history?status=failed").json()["rows"][0]["id"]
    opened(world)
    assert post(client, f"/runs/{failed}/resume").status_code == 409


@pytest.mark.parametrize("path", ["/runs/999999", "/runs/9223372036854775807"])
def test_an_unknown_run_is_404(client: httpx.Client, path: str) -> None:
    assert error_of(client.get(API + path))["code"] == "unknown_run"


@pytest.mark.parametrize("verb", ["cancel", "resume"])
def test_an_unknown_run_can_be_neither_cancelled_nor_resumed(client: httpx.Client, verb: str) -> None:
    assert post(client, f"/runs/999999/{verb}").status_code == 404


def test_a_run_of_another_connection_is_404(client: httpx.Client, world: World) -> None:
    with world.database.begin() as conn:
        run_id = runs.open_run(
            conn, connection="other", strategy="full", cause="person", slot=None, now=world.clock()
        )
    assert client.get(f"{API}/runs/{run_id}").status_code == 404


def test_a_run_whose_worker_is_gone_is_found_stuck(client: httpx.Client, world: World) -> None:
    run_id = opened(world, Strategy.INVENTORY)
    abandon(world)
    (stuck,) = client.get(f"{API}/check-stuck").json()["stuck"]
    (failed,) = client.post(f"{API}/check-stuck").json()["failed"]
    assert [(one["run"]["id"], one["run"]["status"]) for one in (stuck, failed)] == [
        (run_id, "running"),
        (run_id, "failed"),
    ]


def test_a_run_at_work_is_not_found_stuck(client: httpx.Client, world: World) -> None:
    opened(world)
    assert client.get(f"{API}/check-stuck").json() == {"stuck": []}
    assert client.post(f"{API}/check-stuck").json() == {"failed": []}


def test_a_stuck_run_of_another_connection_is_left_alone(client: httpx.Client, world: World) -> None:
    with world.database.begin() as conn:
        run_id = runs.open_run(
            conn, connection="other", strategy="full", cause="person", slot=None, now=world.clock()
        )
    assert run_id is not None
    abandon(world)
    assert client.post(f"{API}/check-stuck").json() == {"failed": []}
    with world.database.read() as conn:
        run = runs.get(conn, run_id)
    assert run is not None
    assert run.status != "failed"


# --- items ---


def test_an_item_is_owed_with_its_stock(client: httpx.Client) -> None:
    owed_now = post(client, "/items/A").json()["owed"]
    assert [(item["kind"], item["externalId"]) for item in owed_now] == [("product", "A"), ("stock", "A")]


def test_what_is_said_to_be_owed_is_owed(client: httpx.Client, world: World) -> None:
    post(client, "/items/A")
    with world.database.read() as conn:
        assert owed.count(conn, SHOP) == 2


def test_an_item_of_a_kind_is_owed_alone(client: httpx.Client) -> None:
    owed_now = client.post(f"{API}/items/O7?kind=order").json()["owed"]
    assert owed_now == [{"connection": SHOP, "kind": "order", "externalId": "O7"}]


@pytest.mark.parametrize("spelled", ["a%2Fb", "a%20b", "%C3%A4", "sku:A%3F"])
def test_an_items_id_may_have_any_character(client: httpx.Client, spelled: str) -> None:
    owed_now = client.post(f"{API}/items/{spelled}").json()["owed"]
    assert {item["externalId"] for item in owed_now} == {httpx.URL(f"http://x/{spelled}").path[1:]}


def test_a_whole_kind_is_no_item(client: httpx.Client) -> None:
    assert client.post(f"{API}/items/*").status_code == 422
