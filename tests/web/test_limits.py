"""The doors' limits: how much, how fast and how long, who is locked out, and what cannot be left open."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest

from app.domain import Role
from app.flows.access import accounts
from app.stores.sql.engine import Database, open_database
from app.web.app import create_app
from app.web.auth import AuthSettings
from app.web.protocol import LimitedProtocol
from app.web.webhooks import Limits
from tests.fakes import World
from tests.web.serving import dial, serving, status_of

PASSWORD = "correct horse battery"
WIDE = AuthSettings(per_token=100_000, per_address=100_000, unknown_per_address=100_000)


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    """Limits are counted before any database is asked, so one kind is enough; sessions and lockout are rows, but plain
    ones."""
    with closing(open_database(sqlite_url)) as opened:
        yield World(opened)


def token(world: World, name: str = "ci") -> dict[str, str]:
    return {"authorization": f"Bearer {accounts.create_token(world.deps, name, Role.ADMIN)[1]}"}


def statuses(client: httpx.Client, count: int, headers: dict[str, str] | None = None) -> list[int]:
    return [client.get("/api/alerts", headers=headers).status_code for _ in range(count)]


# --- rates ---


def test_a_token_over_its_rate_is_429(world: World) -> None:
    with serving(world.deps, doors=AuthSettings(per_token=3)) as client:
        assert statuses(client, 4, headers=token(world)) == [200, 200, 200, 429]


def test_too_many_are_told_when_to_come_back(world: World) -> None:
    with serving(world.deps, doors=AuthSettings(per_token=1)) as client:
        headers = token(world)
        client.get("/api/alerts", headers=headers)
        assert 1 <= int(client.get("/api/alerts", headers=headers).headers["retry-after"]) <= 60


def test_a_token_over_its_rate_does_not_slow_another(world: World) -> None:
    with serving(world.deps, doors=AuthSettings(per_token=1)) as client:
        statuses(client, 2, headers=token(world))
        assert statuses(client, 1, headers=token(world, "other")) == [200]


def test_an_address_over_its_rate_is_429_whatever_its_tokens(world: World) -> None:
    with serving(world.deps, doors=AuthSettings(per_address=3)) as client:
        assert statuses(client, 2, headers=token(world)) == [200, 200]
        assert statuses(client, 2, headers=token(world, "other")) == [200, 429]


def test_a_stranger_over_the_rate_of_strangers_is_429(world: World) -> None:
    with serving(world.deps, doors=AuthSettings(unknown_per_address=2)) as client:
        assert statuses(client, 3) == [401, 401, 429]


def test_guessing_tokens_is_held_to_the_rate_of_strangers(world: World) -> None:
    with serving(world.deps, doors=AuthSettings(unknown_per_address=2)) as client:
        assert statuses(client, 3, headers={"authorization": "Bearer th_guess"}) == [401, 401, 429]


def test_strangers_do_not_use_up_the_rate_of_those_we_know(world: World) -> None:
    with serving(world.deps, doors=AuthSettings(unknown_per_address=1)) as client:
        assert statuses(client, 2) == [401, 429]
        assert statuses(client, 1, headers=token(world)) == [200]


def from_addresses(world: World, *addresses: str) -> list[int]:
    """How a stranger's requests are answered that come from these, one after the other, where one a minute may."""
    app = create_app(world.deps, Limits(), AuthSettings(unknown_per_address=1))

    async def ask(address: str) -> int:
        transport = httpx.ASGITransport(app, client=(address, 5_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return (await client.get("/api/alerts")).status_code

    return [asyncio.run(ask(address)) for address in addresses]


def test_a_stranger_with_a_network_of_addresses_has_one_rate(world: World) -> None:
    assert from_addresses(world, "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1") == [401, 429, 401]


def test_an_address_that_is_spelled_in_two_ways_has_one_rate(world: World) -> None:
    assert from_addresses(world, "203.0.113.1", "::ffff:203.0.113.1", "203.0.113.2") == [401, 429, 401]


@pytest.mark.parametrize("path", ["/healthz", "/static/tallyhook.css"])
def test_what_is_open_to_all_is_counted_too(world: World, path: str) -> None:
    with serving(world.deps, doors=AuthSettings(per_address=2)) as client:
        assert [client.get(path).status_code for _ in range(3)] == [200, 200, 429]


def test_what_is_open_to_all_uses_up_no_other_rate(world: World) -> None:
    with serving(world.deps, doors=AuthSettings(per_address=1, unknown_per_address=1)) as client:
        assert [client.get("/healthz").status_code for _ in range(2)] == [200, 429]
        assert statuses(client, 1) == [401]
        assert statuses(client, 1, headers=token(world)) == [200]


# --- passwords ---


def enter(client: httpx.Client, name: str, password: str) -> httpx.Response:
    return client.post("/login", data={"name": name, "password": password})


@pytest.fixture
def door(world: World) -> Iterator[httpx.Client]:
    accounts.add_user(world.deps, "anna", PASSWORD, Role.ADMIN)
    with serving(world.deps, doors=WIDE) as client:
        yield client


def guess_five_times(client: httpx.Client) -> None:
    for _ in range(5):
        assert enter(client, "anna", "wrong").status_code == 401


def test_after_five_wrong_passwords_the_right_one_is_refused(door: httpx.Client) -> None:
    guess_five_times(door)
    assert enter(door, "anna", PASSWORD).status_code == 401


def test_after_four_wrong_passwords_the_right_one_opens(door: httpx.Client) -> None:
    for _ in range(4):
        enter(door, "anna", "wrong")
    assert enter(door, "anna", PASSWORD).status_code == 303


def test_a_locked_name_opens_when_its_minute_is_over(world: World, door: httpx.Client) -> None:
    guess_five_times(door)
    world.clock.pass_(59)
    assert enter(door, "anna", PASSWORD).status_code == 401
    world.clock.pass_(2)
    assert enter(door, "anna", PASSWORD).status_code == 303


def test_a_sixth_wrong_password_locks_for_longer(world: World, door: httpx.Client) -> None:
    guess_five_times(door)
    world.clock.pass_(61)
    enter(door, "anna", "wrong")
    world.clock.pass_(61)
    assert enter(door, "anna", PASSWORD).status_code == 401


def test_an_unknown_name_a_wrong_password_and_a_locked_name_are_answered_alike(door: httpx.Client) -> None:
    unknown, wrong = enter(door, "nobody", PASSWORD), enter(door, "anna", "wrong")
    guess_five_times(door)
    locked = enter(door, "anna", PASSWORD)
    assert unknown.text == wrong.text == locked.text


@pytest.mark.parametrize("name", ["\u00e9" * 5_000, "'; DROP TABLE users; --", "\u202e", "\U0001f600"])
def test_an_odd_name_is_a_wrong_one_on_either_database(database: Database, name: str) -> None:
    with serving(World(database).deps, doors=WIDE) as client:
        assert enter(client, name, "wrong").status_code == 401


def test_a_field_with_nul_is_400_on_either_database(database: Database) -> None:
    with serving(World(database).deps, doors=WIDE) as client:
        assert enter(client, "a\x00b", "wrong").status_code == 400


# --- sessions ---


def signed_in(world: World, doors: AuthSettings = WIDE) -> str:
    """What the cookie's header says after signing in."""
    accounts.add_user(world.deps, "anna", PASSWORD, Role.ADMIN)
    with serving(world.deps, doors=doors) as client:
        return enter(client, "anna", PASSWORD).headers["set-cookie"]


def test_a_session_cookie_is_for_this_site_and_no_script(world: World) -> None:
    parts = {part.strip().lower() for part in signed_in(world).split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= parts


def test_behind_https_a_session_cookie_is_for_https_and_this_host_alone(world: World) -> None:
    cookie = signed_in(world, AuthSettings(https=True))
    assert cookie.startswith("__Host-tallyhook=")
    assert "secure" in cookie.lower()
    assert "domain" not in cookie.lower()


def test_a_session_ends_after_two_idle_hours(world: World, door: httpx.Client) -> None:
    enter(door, "anna", PASSWORD)
    world.clock.pass_(2 * 3600 + 1)
    assert statuses(door, 1) == [401]


def test_a_session_in_use_ends_after_twelve_hours(world: World, door: httpx.Client) -> None:
    enter(door, "anna", PASSWORD)
    seen = []
    for _ in range(13):
        world.clock.pass_(3600)
        seen += statuses(door, 1)
    assert seen == [200] * 11 + [401, 401]


# --- size and time ---


def test_a_long_path_is_414(door: httpx.Client) -> None:
    assert door.get("/" + "a" * 8_192).status_code == 414


def test_a_head_over_32_kb_is_431(door: httpx.Client) -> None:
    assert door.get("/healthz", headers={"x-odd": "a" * 40_000}).status_code == 431


def test_a_page_form_over_64_kb_is_413(door: httpx.Client) -> None:
    assert door.post("/login", data={"name": "x" * 65_536}).status_code == 413


def test_a_page_form_of_less_than_64_kb_is_read(door: httpx.Client) -> None:
    assert door.post("/login", data={"name": "x" * 65_000}).status_code == 401


def test_a_page_form_that_does_not_come_is_408(world: World) -> None:
    hasty = AuthSettings(form=Limits(body=65_536, seconds=0.2))
    with serving(world.deps, doors=hasty) as client, dial(client) as line:
        line.sendall(b"POST /login HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nname=")
        assert status_of(line) == 408


def test_a_body_of_the_api_that_does_not_come_is_408(world: World) -> None:
    known = token(world)["authorization"]
    with serving(world.deps, Limits(seconds=0.2), WIDE) as client, dial(client) as line:
        head = (
            f"POST /api/access/tokens HTTP/1.1\r\nHost: here\r\nAuthorization: {known}\r\nContent-Length: 9\r\n\r\n"
        )
        line.sendall(head.encode())
        assert status_of(line) == 408


class Hasty(LimitedProtocol):
    HEAD_TIMEOUT = 0.2
    CHECK_INTERVAL = 0.1


def test_a_line_that_trickles_on_after_its_408_is_closed(world: World) -> None:
    with serving(world.deps, Limits(seconds=0.2), protocol=Hasty) as client, dial(client) as line:
        line.sendall(b"POST /webhooks/shop HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{")
        assert status_of(line) == 408
        line.sendall(b" ")
        assert hung_up(line.recv)


def hung_up(recv: Callable[[int], bytes]) -> bool:
    """Whether the other end closes the connection."""
    try:
        while recv(4_096):
            pass
    except ConnectionError:
        pass
    return True
