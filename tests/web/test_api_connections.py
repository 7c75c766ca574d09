"""The API of connections: how they are, and pause, resume and check over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.domain import Kind
from app.errors import AuthRejected, VendorForbidden
from app.flows.connections.health import judge
from app.stores.access import audit
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World
from tests.web.api_shop import API, error_of, furnished
from tests.web.serving import serving

EXPIRED = AuthRejected("401 ACCESS_TOKEN_EXPIRED")
BASE = "/api/connections"


@pytest.fixture
def world(database: Database) -> World:
    return furnished(database)


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serving(world.deps) as serving_:
        yield serving_


def shop(client: httpx.Client) -> dict[str, Any]:
    (view,) = client.get(BASE).json()["connections"]
    found: dict[str, Any] = view
    return found


def refuse(world: World) -> None:
    world.source.down = EXPIRED
    judge(world.deps, SHOP, Kind.PRODUCT, EXPIRED)


def test_a_refused_connection_says_so(client: httpx.Client, world: World) -> None:
    refuse(world)
    view = shop(client)
    assert (view["state"], view["reason"], view["probes"]) == ("refused", str(EXPIRED), 0)
    assert view["nextProbeAt"] == "2026-06-01T12:03:05+00:00"


def test_a_pause_has_its_reason_and_its_author(client: httpx.Client) -> None:
    answer = client.post(f"{BASE}/{SHOP}/pause", json={"reason": "they migrate us"})
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["reason"]) == ("paused", "they migrate us")
    assert shop(client)["pausedBy"] is not None


def test_a_second_pause_is_refused(client: httpx.Client) -> None:
    client.post(f"{BASE}/{SHOP}/pause", json={})
    answer = client.post(f"{BASE}/{SHOP}/pause", json={})
    assert (answer.status_code, error_of(answer)["code"]) == (409, "conflict")


def test_resume_ends_a_pause(client: httpx.Client) -> None:
    client.post(f"{BASE}/{SHOP}/pause", json={})
    assert client.post(f"{BASE}/{SHOP}/resume").json()["state"] == "ok"


def test_check_says_what_came_back(client: httpx.Client, world: World) -> None:
    world.source.down = EXPIRED
    answer = client.post(f"{BASE}/{SHOP}/check").json()
    assert (answer["answers"], answer["said"], answer["connection"]["state"]) == (False, str(EXPIRED), "refused")


def test_an_unknown_connection_is_a_404(client: httpx.Client) -> None:
    assert client.post(f"{BASE}/nowhere/check").status_code == 404


def test_a_pause_is_audited(client: httpx.Client, world: World) -> None:
    client.post(f"{BASE}/{SHOP}/pause", json={"reason": "they migrate us"})
    with world.database.read() as conn:
        entry = list(audit.chain(conn))[-1]
    assert (entry.action, entry.connection, entry.why) == ("connections.pause", SHOP, "they migrate us")


def test_the_status_of_a_connection_shows_its_state(client: httpx.Client, world: World) -> None:
    refuse(world)
    status = client.get(f"{API}/status").json()
    assert (status["state"], status["reason"]) == ("refused", str(EXPIRED))


def test_a_refused_connection_is_not_healthy(client: httpx.Client, world: World) -> None:
    refuse(world)
    health = client.get(f"{API}/health").json()
    assert not health["healthy"]
    assert any("401 ACCESS_TOKEN_EXPIRED" in problem for problem in health["problems"])


def test_a_forbidden_kind_is_in_status_and_health(client: httpx.Client, world: World) -> None:
    judge(world.deps, SHOP, Kind.VENDOR, VendorForbidden("403: VENDOR_READ"))
    assert [one["kind"] for one in client.get(f"{API}/status").json()["forbidden"]] == ["vendor"]
    assert any("VENDOR_READ" in problem for problem in client.get(f"{API}/health").json()["problems"])
