"""Wrong passwords hold off whoever gives them, not the person whose name was guessed; each leaves a trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from app.domain import Role
from app.flows.access import accounts, sign_in
from app.flows.access.sign_in_places import MOST_PLACES, sum_up
from app.flows.upkeep.retention import Keep, prune
from app.rules.access.lockout import FREE, FREE_EVERYWHERE
from app.stores.access import audit
from app.stores.sql.engine import Database
from app.web.auth import AuthSettings
from tests.fakes import World
from tests.web.serving import serving

PASSWORD = "correct horse battery"
HOUR = 3600.0


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    accounts.add_user(world.deps, "anna", PASSWORD, Role.ADMIN)
    return world


@pytest.fixture
def door(world: World) -> Iterator[httpx.Client]:
    with serving(world.deps, doors=AuthSettings(unknown_per_address=100_000)) as client:
        yield client


@contextmanager
def elsewhere(door: httpx.Client, address: str = "127.0.0.9") -> Iterator[httpx.Client]:
    """Somebody at another address."""
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(base_url=door.base_url, transport=transport, timeout=60) as client:
        yield client


def enter(client: httpx.Client, password: str = PASSWORD, name: str = "anna") -> int:
    return client.post("/login", data={"name": name, "password": password}).status_code


def guess(client: httpx.Client, times: int = FREE) -> None:
    for _ in range(times):
        assert enter(client, "wrong") == 401


def entries(world: World, action: str) -> list[Any]:
    with world.database.read() as conn:
        found = [entry for entry in audit.entries(conn) if entry.action == action]
    return [(one.subject, one.after) for one in reversed(found)]


def test_who_guesses_from_elsewhere_locks_nobody_out(door: httpx.Client) -> None:
    with elsewhere(door) as stranger:
        guess(stranger)
        assert enter(stranger) == 401
    assert enter(door) == 303


def test_a_browser_that_signed_in_before_is_let_in_though_its_address_has_to_wait(door: httpx.Client) -> None:
    assert enter(door) == 303
    with elsewhere(door, "127.0.0.1") as neighbour:
        guess(neighbour)
        assert enter(neighbour) == 401
    assert enter(door) == 303


def test_guesses_in_a_known_browser_count_too(door: httpx.Client) -> None:
    assert enter(door) == 303
    guess(door)
    assert enter(door) == 401


def test_the_cookie_of_one_persons_browser_gives_no_tries_at_another_name(world: World, door: httpx.Client) -> None:
    accounts.add_user(world.deps, "eve", PASSWORD, Role.VIEWER)
    assert enter(door, name="eve") == 303
    guess(door)
    assert enter(door) == 401


def test_guesses_from_many_addresses_hold_off_every_unknown_one(door: httpx.Client) -> None:
    assert enter(door) == 303
    for number in range(FREE_EVERYWHERE // (FREE - 1) + 1):
        with elsewhere(door, f"127.0.1.{number + 1}") as stranger:
            guess(stranger, FREE - 1)
    with elsewhere(door, "127.0.2.1") as another:
        assert enter(another) == 401
    assert enter(door) == 303


def test_one_guess_an_hour_keeps_nobody_out(world: World, door: httpx.Client) -> None:
    with elsewhere(door) as stranger:
        guess(stranger)
        for _ in range(20):
            world.clock.pass_(HOUR)
            guess(stranger, 1)
        assert enter(stranger) == 303


def test_a_first_wrong_password_is_in_the_audit_log(world: World, door: httpx.Client) -> None:
    guess(door, 1)
    assert entries(world, "sign_in.failed") == [("user anna", {"place": "address 127.0.0.1"})]


@pytest.mark.parametrize(("name", "password"), [("nobody", "wrong"), ("", "th_" + "x" * 43)])
def test_a_wrong_name_and_a_wrong_token_are_in_it_without_what_was_typed(
    world: World, door: httpx.Client, name: str, password: str
) -> None:
    enter(door, password, name)
    assert entries(world, "sign_in.failed") == [("an unknown name", {"place": "everywhere"})]


def test_those_of_an_hour_are_two_entries_however_many_they_are(world: World, door: httpx.Client) -> None:
    guess(door, 30)
    world.clock.pass_(HOUR)
    sum_up(world.deps)
    sum_up(world.deps)
    (_, first), (_, rest) = entries(world, "sign_in.failed")
    assert ("times" in first, rest["times"]) == (False, 30)


def test_a_wait_begins_with_an_entry_that_says_for_how_long(world: World, door: httpx.Client) -> None:
    guess(door)
    ((_, told),) = entries(world, "sign_in.locked")
    assert (told["failures"], told["place"]) == (FREE, "address 127.0.0.1")


def test_a_new_password_lets_its_owner_in_at_once(world: World, door: httpx.Client) -> None:
    guess(door)
    accounts.set_password(world.deps, "anna", PASSWORD + "!")
    assert enter(door, PASSWORD + "!") == 303


def test_places_where_nobody_comes_any_more_are_forgotten(world: World, door: httpx.Client) -> None:
    enter(door)
    guess(door, 1)
    world.clock.pass_(200 * 24 * HOUR)
    sum_up(world.deps)
    prune(world.deps, letters_days=0, inbox_days=0, keep=Keep())
    with world.database.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM sign_in_places").scalar_one() == 0


def test_a_stranger_with_many_addresses_fills_no_log(world: World) -> None:
    for number in range(60):
        sign_in.with_password(world.deps, "nobody", "wrong", f"2001:db8:{number}::1")
        sign_in.with_password(world.deps, "anna", "wrong", f"2001:db8:{number}::1")
    assert len(entries(world, "sign_in.failed")) == 1 + MOST_PLACES


@pytest.mark.parametrize(
    ("one", "another", "is_one"),
    [
        ("::ffff:203.0.113.1", "::ffff:198.51.100.1", False),
        ("::ffff:203.0.113.1", "203.0.113.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("2001:db8::/32", "x" * 9_000, True),
    ],
)
def test_what_is_one_place(world: World, one: str, another: str, is_one: bool) -> None:
    for _ in range(FREE):
        sign_in.with_password(world.deps, "anna", "wrong", one)
    assert (sign_in.with_password(world.deps, "anna", PASSWORD, another) is None) == is_one


def test_a_wait_of_all_places_has_an_entry(world: World) -> None:
    for number in range(FREE_EVERYWHERE):
        sign_in.with_password(world.deps, "anna", "wrong", f"203.0.113.{number}")
    ((_, told),) = entries(world, "sign_in.locked")
    assert (told["place"], told["failures"]) == ("everywhere", FREE_EVERYWHERE)


def test_two_people_may_share_a_browser(world: World, door: httpx.Client) -> None:
    accounts.add_user(world.deps, "eve", PASSWORD, Role.VIEWER)
    assert (enter(door), enter(door, name="eve")) == (303, 303)
    with elsewhere(door, "127.0.0.1") as neighbour:
        guess(neighbour)
    assert enter(door) == 303
