"""The OpenAPI document tells of everything that is served, and what it allows is answered as it says."""

import re
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from app.stores.sql.engine import Database, open_database
from app.web.app import create_app
from app.web.webhooks import Limits
from tests.fakes import World
from tests.web.api_requests import Described, described
from tests.web.api_shop import error_of, furnished
from tests.web.page_roles import PAGES
from tests.web.serving import serving

OFTEN = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

PROMISED = {
    *(("POST", path) for path in ("", "/inventory", "/critical", "/vendors", "/retry-failed")),
    *(("POST", path) for path in ("/runs/{id}/cancel", "/runs/{id}/resume", "/items/{externalId}")),
    *(("GET", path) for path in ("/status", "/health", "/metrics", "/history", "/runs/{id}", "/critical")),
    *(("GET", path) for path in ("/validate", "/check-stuck", "/failed-items", "/drift", "/schedule")),
    *{("PUT", "/schedule"), ("GET", "/healthz"), ("GET", "/readyz")},
}


@pytest.fixture
def world(database: Database) -> World:
    return furnished(database)


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serving(world.deps) as serving_:
        yield serving_


@pytest.fixture
def operations(client: httpx.Client) -> list[Described]:
    return described(client.get("/openapi.json").json())


@pytest.fixture
def served(sqlite_url: str) -> set[tuple[str, str]]:
    """Method and path of every route of the application, as OpenAPI spells them."""
    with closing(open_database(sqlite_url)) as database:
        routes = [one for one in create_app(World(database).deps, Limits()).routes if isinstance(one, Route)]
    paths = {(method, re.sub(r":\w+", "", route.path)) for route in routes for method in route.methods or ()}
    return {(method, path) for method, path in paths if method != "HEAD"} - _spelled({*PAGES, *SIGN_IN})


SIGN_IN = {("GET", "/login"), ("POST", "/login"), ("POST", "/logout")}
"""Pages, too, but open ones."""


def _spelled(routes: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(method, re.sub(r":\w+", "", path)) for method, path in routes}


def test_the_document_is_openapi_3_1(client: httpx.Client) -> None:
    assert client.get("/openapi.json").json()["openapi"].startswith("3.1")


def test_every_route_is_in_the_document(operations: list[Described], served: set[tuple[str, str]]) -> None:
    assert served - {(one.method, one.path) for one in operations} == set()


def test_every_operation_of_the_document_has_a_route(
    operations: list[Described], served: set[tuple[str, str]]
) -> None:
    assert {(one.method, one.path) for one in operations} - served == set()


def test_every_operation_has_a_name_of_its_own(operations: list[Described]) -> None:
    names = [one.told["operationId"] for one in operations]
    assert len(set(names)) == len(names)


def test_what_was_promised_is_in_the_document(operations: list[Described]) -> None:
    served = {(one.method, one.path.removeprefix("/api/sync-{connection}")) for one in operations}
    assert PROMISED - served == set()


def test_what_the_document_allows_is_understood(client: httpx.Client, operations: list[Described]) -> None:
    @OFTEN
    @given(data=st.data())
    def understood(data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(operations))
        response = data.draw(one.allowed()).send(client)
        assert response.status_code in {200, 201, 202, 404, 409, 422} & one.statuses(), f"{one}: {response.text}"

    understood()


def test_whatever_is_asked_is_answered_and_never_by_a_fault(
    client: httpx.Client, operations: list[Described]
) -> None:
    @OFTEN
    @given(data=st.data())
    def answered(data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(operations))
        response = data.draw(one.odd()).send(client)
        assert response.status_code < 500, f"{one}: {response.text}"
        if response.status_code >= 400:
            error_of(response)

    answered()
