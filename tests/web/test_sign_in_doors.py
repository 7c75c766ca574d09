"""The sign-in page under attack: forms of other sites, and hundreds of passwords at once."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from app.domain import Role
from app.flows.access import accounts
from app.stores.sql.engine import Database
from app.web.app import create_app
from app.web.auth import AuthSettings
from app.web.pages.sign_in import MAX_CONCURRENT, MAX_WAITING
from app.web.webhooks import Limits
from tests.fakes import World
from tests.web.serving import serving

PASSWORD = "correct horse battery"
FORM = {"name": "anna", "password": PASSWORD}


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    accounts.add_user(world.deps, "anna", PASSWORD, Role.ADMIN)
    return world


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serving(world.deps, doors=AuthSettings(unknown_per_address=10_000)) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_form_of_another_site_signs_nobody_in(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.post("/login", data=FORM, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


@pytest.mark.parametrize("named", ["sec-fetch-site", "origin", None])
def test_our_own_form_signs_in(client: httpx.Client, named: str | None) -> None:
    told = {"sec-fetch-site": "same-origin", "origin": str(client.base_url)}
    headers = {named: told[named]} if named else {}
    assert client.post("/login", data=FORM, headers=headers).status_code == 303


def test_who_is_signed_in_signs_in_anew_and_the_former_session_ends(client: httpx.Client) -> None:
    client.post("/login", data=FORM)
    former = client.cookies["tallyhook"]
    assert client.post("/login", data=FORM).status_code == 303
    assert client.cookies["tallyhook"] != former
    assert client.get("/audit").status_code == 200
    client.cookies.set("tallyhook", former, domain="127.0.0.1")
    assert client.get("/audit", headers={"cookie": f"tallyhook={former}"}).status_code == 401


def test_a_flood_of_passwords_is_worked_out_two_at_a_time_and_holds_up_nobody_else(
    world: World, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    working, most, go = [0], [0], threading.Event()
    full, guard = threading.Event(), threading.Lock()

    def verify(self: PasswordHasher, known: str, password: str) -> bool:
        with guard:
            working[0] += 1
            most[0] = max(working[0], most[0])
        go.wait(60)
        with guard:
            working[0] -= 1
        raise VerifyMismatchError

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    _, token = accounts.create_token(world.deps, "root", Role.ADMIN)
    attackers = MAX_CONCURRENT + MAX_WAITING + 10
    refused = []

    def attack(number: int) -> int:
        with httpx.Client(base_url=client.base_url, timeout=60) as one:
            status = one.post("/login", data={"name": f"n{number}", "password": "x"}).status_code
        refused.extend([status] if status == 503 else [])
        if len(refused) >= 10:
            full.set()
        return status

    with ThreadPoolExecutor(attackers) as crowd:
        answers = crowd.map(attack, range(attackers))
        assert full.wait(60)
        seen = client.get("/api/dead-letters", headers={"authorization": f"Bearer {token}"}).status_code
        go.set()
        statuses = sorted(answers)
    assert (seen, most[0]) == (200, MAX_CONCURRENT)
    assert statuses == [401] * (MAX_CONCURRENT + MAX_WAITING) + [503] * 10


def test_of_sign_ins_that_come_at_the_same_instant_those_too_many_are_refused(world: World) -> None:
    app = create_app(world.deps, Limits(), AuthSettings(unknown_per_address=10_000))

    async def attack() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as one:
            form = {"name": "nobody", "password": "x"}
            tries = [one.post("/login", data=form) for _ in range(MAX_CONCURRENT + MAX_WAITING + 10)]
            return [answer.status_code for answer in await asyncio.gather(*tries)]

    assert sorted(asyncio.run(attack())) == [401] * (MAX_CONCURRENT + MAX_WAITING) + [503] * 10


def test_no_password_is_hashed_before_somebody_signs_in() -> None:
    unhashed = "import argon2; argon2.PasswordHasher.hash = None; import app.flows.access.sign_in"
    subprocess.run([sys.executable, "-c", unhashed], check=True, timeout=120)


def test_a_password_costs_a_thief_what_the_standard_asks() -> None:
    ask = "from app.flows.access.accounts import HASHER; print(HASHER.hash('correct horse'))"
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=120).stdout
    assert extract_parameters(told.strip()) == RFC_9106_LOW_MEMORY
