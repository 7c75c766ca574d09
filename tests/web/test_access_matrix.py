"""Every route with every role, and with none: nothing answers that should not, and a new route must be declared."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.routing import Mount, Route

from app.domain import Role
from app.flows.access import accounts, sign_in
from app.stores.access import audit
from app.stores.sql.engine import Database
from app.web.api.operations import OPERATIONS
from app.web.app import create_app
from app.web.auth import AuthSettings
from app.web.webhooks import Limits
from tests.fakes import SHOP, World
from tests.letters import all_letters, die
from tests.stack import eventually
from tests.web.api_shop import furnished
from tests.web.page_roles import PAGES
from tests.web.serving import serving

PASSWORD = "correct horse battery"

OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/login"), ("POST", "/login")}
"""Answers anybody."""

LEAST: dict[tuple[str, str], Role] = {
    ("GET", "/"): Role.VIEWER,
    ("GET", "/metrics"): Role.VIEWER,
    ("GET", "/openapi.json"): Role.VIEWER,
    ("POST", "/logout"): Role.VIEWER,
    **{(one.method, one.path): one.least for one in OPERATIONS},
}
"""The least role of everything else. Pages declare theirs in ``tests.web.page_roles``."""

FILLED = {"{connection}": SHOP, "{item:path}": "A", "{externalId:path}": "A", "{id}": "1", "{id:int}": "1"}


def routes(world: World) -> list[tuple[str, str]]:
    """Method and path of every route of the real application; HEAD goes with GET."""
    app = create_app(world.deps, Limits(), AuthSettings())
    found = []
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path == "/static"
            continue
        assert isinstance(route, Route)
        found += [(method, route.path) for method in route.methods or () if method != "HEAD"]
    return found


@dataclass
class Caller:
    """Somebody at the door: what they send along, and what they may do."""

    role: Role | None
    headers: dict[str, str]
    may_see: bool = True


@dataclass
class Installation:
    """A shop behind a locked door, and everybody who might come."""

    world: World
    client: httpx.Client
    callers: dict[str, Caller]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def everybody(world: World) -> dict[str, Caller]:
    deps = world.deps
    made: dict[str, Caller] = {"nobody": Caller(None, {})}
    for role in Role:
        made[f"{role} token"] = Caller(role, bearer(accounts.create_token(deps, role, role)[1]))
        accounts.add_user(deps, f"{role} person", PASSWORD, role)
        session = sign_in.with_password(deps, f"{role} person", PASSWORD, "127.0.0.1")
        assert session is not None
        cookie = {"cookie": f"tallyhook={session.cookie}"}
        made[f"{role} browser"] = Caller(role, {**cookie, "x-csrf": session.csrf})
        made[f"{role} browser, forged"] = Caller(role, cookie)
        made[f"{role} browser, other site"] = Caller(
            role, {**cookie, "x-csrf": session.csrf, "sec-fetch-site": "cross-site"}
        )
    elsewhere = replace(deps, sources={**deps.sources, "elsewhere": world.source})
    narrow = accounts.create_token(elsewhere, "narrow", Role.ADMIN, connections=["elsewhere"])[1]
    made["admin of another connection"] = Caller(Role.ADMIN, bearer(narrow), may_see=False)
    old = replace(deps, now=lambda: world.clock() - timedelta(days=2))
    made["expired token"] = Caller(None, bearer(accounts.create_token(old, "old", Role.ADMIN, days=1)[1]))
    number, revoked = accounts.create_token(deps, "revoked", Role.ADMIN)
    accounts.revoke_token(deps, number)
    made["revoked token"] = Caller(None, bearer(revoked))
    made["made up token"] = Caller(None, bearer("th_" + "x" * 43))
    made["token as a password"] = Caller(None, {"authorization": "Basic dGg6dGg="})
    accounts.add_user(deps, "left the company", PASSWORD, Role.ADMIN)
    left = sign_in.with_password(deps, "left the company", PASSWORD, "127.0.0.1")
    accounts.disable_user(deps, "left the company")
    assert left is not None
    made["disabled user's browser"] = Caller(None, {"cookie": f"tallyhook={left.cookie}", "x-csrf": left.csrf})
    return made


@pytest.fixture
def installation(database: Database) -> Iterator[Installation]:
    world = furnished(database)
    die(world, "A")
    callers = everybody(world)
    doors = AuthSettings(per_token=100_000, per_address=100_000, unknown_per_address=100_000)
    with serving(world.deps, doors=doors) as client:
        yield Installation(world, client, callers)


def test_every_route_is_declared(database: Database) -> None:
    assert {*routes(World(database))} == {*OPEN, *LEAST, *PAGES}


def expected(name: str, caller: Caller, method: str, least: Role) -> set[int] | None:
    """The statuses that must come; ``None`` for anything but a refusal."""
    changes = method not in ("GET", "HEAD")
    if caller.role is None:
        return {401}
    if changes and (name.endswith("forged") or name.endswith("other site")):
        return {403}
    return None if caller.role.includes(least) else {403}


def is_of_all(path: str) -> bool:
    """Whether it is about access or subscribers, which reach everywhere: who sees only some connections may not look."""
    return path == "/access" or path.startswith(("/api/access/", "/api/subscribers"))


def test_nothing_answers_that_should_not(installation: Installation) -> None:
    wrong = []
    for (method, path), least in {**LEAST, **PAGES}.items():
        url = path.replace("/tokens/{id:int}", "/tokens/999999")  # revoking one of theirs would lock somebody out
        for slot, value in FILLED.items():
            url = url.replace(slot, value)
        for name, caller in installation.callers.items():
            if path == "/logout" and caller.role is not None:
                continue  # would end the session of the others
            answer = installation.client.request(method, url, headers=caller.headers)
            must = expected(name, caller, method, least)
            narrow = not caller.may_see and is_of_all(path)
            refused = answer.status_code in (401, 403) and not narrow
            if (must is None and refused) or (must is not None and answer.status_code not in must):
                wrong.append(f"{method} {path} by {name}: {answer.status_code}, expected {must or 'an answer'}")
            if not caller.may_see and answer.is_success and SHOP in answer.text.replace("/" + SHOP, ""):
                wrong.append(f"{method} {path} by {name} speaks of {SHOP}")
    assert wrong == []


@pytest.mark.parametrize("path", ["/api/dead-letters/{letter}", "/dead-letters/{letter}", "/api/sync-{shop}/status"])
def test_what_is_another_connections_is_not_there(installation: Installation, path: str) -> None:
    letter = all_letters(installation.world.database)[0].id
    url = path.format(letter=letter, shop=SHOP)
    own, others = installation.callers["admin token"], installation.callers["admin of another connection"]
    assert installation.client.get(url, headers=own.headers).status_code == 200
    assert installation.client.get(url, headers=others.headers).status_code == 404


@pytest.mark.parametrize("path", ["/access", "/api/access/tokens", "/api/access/users", "/api/subscribers"])
def test_who_sees_one_connection_may_not_look_at_access(installation: Installation, path: str) -> None:
    others = installation.callers["admin of another connection"].headers
    assert installation.client.get(path, headers=others).status_code == 403


def test_no_list_has_rows_of_another_connection(installation: Installation) -> None:
    others = installation.callers["admin of another connection"].headers
    answer = installation.client.get("/api/dead-letters", headers=others).json()
    assert (answer["rows"], answer["totals"]["letters"]) == ([], 0)


def test_a_role_that_does_not_suffice_is_403(installation: Installation) -> None:
    wanted, viewer = {"filter": "item:A", "why": "test"}, installation.callers["viewer token"].headers
    answer = installation.client.post("/api/dead-letters/discard", headers=viewer, json=wanted)
    assert answer.status_code == 403


def test_a_change_without_its_sessions_word_is_403(installation: Installation) -> None:
    wanted, forged = {"filter": "item:A", "why": "test"}, installation.callers["admin browser, forged"].headers
    answer = installation.client.post("/api/dead-letters/discard", headers=forged, json=wanted)
    assert answer.status_code == 403


@pytest.mark.parametrize("name", ["expired token", "revoked token", "made up token", "disabled user's browser"])
def test_what_is_over_opens_nothing(installation: Installation, name: str) -> None:
    answer = installation.client.get("/api/alerts", headers=installation.callers[name].headers)
    assert answer.status_code == 401


def test_a_token_that_is_revoked_while_it_is_in_use_soon_opens_nothing(installation: Installation) -> None:
    number, token = accounts.create_token(installation.world.deps, "in use", Role.VIEWER)

    def status() -> int:
        return installation.client.get("/api/alerts", headers=bearer(token)).status_code

    assert status() == 200
    accounts.revoke_token(installation.world.deps, number)
    assert eventually(lambda: status() == 401, within=20)


def test_of_a_token_its_hash_alone_is_kept(installation: Installation) -> None:
    token = installation.callers["admin token"].headers["authorization"].partition(" ")[2]
    with installation.world.database.read() as conn:
        kept = [str(row) for row in conn.exec_driver_sql("SELECT * FROM access_tokens")]
    assert len(kept) > 3
    assert [row for row in kept if token in row] == []


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/login"])
def test_what_is_open_answers_anybody(installation: Installation, path: str) -> None:
    assert installation.client.get(path).status_code in ((200, 503) if path == "/readyz" else (200,))


def test_the_sign_in_page_tells_a_stranger_that_it_did_not_open(installation: Installation) -> None:
    answer = installation.client.post("/login", data={"name": "x", "password": "y"})
    assert (answer.status_code, "Sign-in failed" in answer.text) == (401, True)


def test_readiness_tells_a_stranger_only_whether(installation: Installation) -> None:
    assert installation.client.get("/readyz").json().keys() == {"ready"}


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere", "/api/dead-letters/1/nowhere", "/admin"])
def test_a_path_that_is_not_there_is_401_to_a_stranger(installation: Installation, path: str) -> None:
    assert installation.client.get(path).status_code == 401


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PATCH", "DELETE", "PUT", "PROPFIND"])
def test_other_methods_are_no_way_around(installation: Installation, method: str) -> None:
    assert installation.client.request(method, "/api/dead-letters").status_code == 401


def test_a_page_sends_a_strangers_browser_to_the_door(installation: Installation) -> None:
    answer = installation.client.get("/dead-letters", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/dead-letters")


def test_every_change_of_the_api_is_refused_or_leaves_an_audit_entry(installation: Installation) -> None:
    """What an operator can do to the shop through the API, done once."""
    client, token = installation.client, installation.callers["admin token"].headers

    def entries() -> int:
        with installation.world.database.read() as conn:
            return audit.head(conn).number

    quiet = []
    for method, path, body in (
        ("POST", f"/api/sync-{SHOP}", {"strategy": "inventory"}),
        ("POST", f"/api/sync-{SHOP}/runs/4/cancel", None),
        ("POST", f"/api/sync-{SHOP}/items/A", None),
        ("PUT", f"/api/sync-{SHOP}/schedule", {"job": "full", "cron": "0 4 * * *"}),
        ("POST", "/api/dead-letters/discard", {"filter": "item:A", "why": "test"}),
        ("POST", "/api/access/tokens", {"name": "more"}),
    ):
        before = entries()
        answer = client.request(method, path, headers=token, json=body)
        if path.endswith("/4/cancel") and answer.status_code == 404:
            run = client.get(f"/api/sync-{SHOP}/history", headers=token).json()["rows"][0]["id"]
            answer = client.post(f"/api/sync-{SHOP}/runs/{run}/cancel", headers=token)
        assert answer.is_success, (path, answer.text)
        if entries() == before:
            quiet.append(path)
    assert quiet == []


def document_for(installation: Installation, name: str) -> dict[str, Any]:
    told: dict[str, Any] = installation.client.get("/openapi.json", headers=installation.callers[name].headers).json()
    return told


def test_the_document_names_no_connection_that_its_reader_may_not_see(installation: Installation) -> None:
    assert f'"{SHOP}"' in json.dumps(document_for(installation, "admin token"))
    assert f'"{SHOP}"' not in json.dumps(document_for(installation, "admin of another connection"))


def test_the_document_tells_of_no_operation_that_its_reader_may_not_use(installation: Installation) -> None:
    documents = {str(role): document_for(installation, f"{role} token")["paths"] for role in Role}
    told = {
        role: {(method.upper(), path) for path, ways in paths.items() for method in ways}
        for role, paths in documents.items()
    }
    assert [one for one in told["viewer"] if one[0] != "GET"] == []
    assert told["viewer"] < told["operator"] < told["admin"]
