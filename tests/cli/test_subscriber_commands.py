"""``tallyhook subscribers``: created with a secret that is shown once, listed, tested, paused and deleted."""

from collections.abc import Iterator

import pytest

from tests.cli.conftest import Terminal
from tests.listener import Listener, listening

KEY = "w5BKJ0uTPIyE6pTYCk2yE6mXRYVnUVjRUkIhbG0BvbM="


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def shop(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TALLYHOOK_SECRET_KEY", KEY)
    return terminal


def create(shop: Terminal, listener: Listener) -> str:
    """The number of a new subscriber."""
    made = shop.type("subscribers", "create", "--name", "books", "--url", listener.url, "--kind", "stock", "--json")
    return str(made.json["subscriber"]["id"])


def test_a_new_subscribers_secret_alone_is_on_standard_output(shop: Terminal, listener: Listener) -> None:
    typed = shop.type("subscribers", "create", "--name", "books", "--url", listener.url)
    assert (typed.code, typed.out.startswith("whsec_"), len(typed.out.split())) == (0, True, 1)
    assert "tallyhook subscribers test" in typed.err


def test_a_subscriber_is_shown_with_what_it_gets(shop: Terminal, listener: Listener) -> None:
    shown = shop.type("subscribers", "show", create(shop, listener)).out
    assert (listener.url in shown, "all connections, stock" in shown, "whsec" in shown) == (True, True, False)


def test_the_list_says_who_is_paused(shop: Terminal, listener: Listener) -> None:
    number = create(shop, listener)
    shop.type("subscribers", "pause", number)
    (row,) = shop.type("subscribers", "list", "--json").json
    assert (row["id"], row["enabled"]) == (int(number), False)
    assert "books" in shop.type("subscribers", "list").out


def test_a_test_that_is_not_accepted_is_exit_code_1(shop: Terminal, listener: Listener) -> None:
    listener.answers = [200, 500]
    number = create(shop, listener)
    assert [shop.type("subscribers", "test", number).code for _ in range(2)] == [0, 1]


def test_a_deleted_subscriber_is_gone(shop: Terminal, listener: Listener) -> None:
    number = create(shop, listener)
    shop.type("subscribers", "delete", number)
    assert "there is no subscriber" in shop.type("subscribers", "show", number).err


def test_without_a_key_it_is_said_how_to_make_one(terminal: Terminal) -> None:
    typed = terminal.type("subscribers", "create", "--name", "books", "--url", "https://example.com")
    assert (typed.code != 0, "openssl rand -base64 32" in typed.err, typed.out) == (True, True, "")


def test_a_key_that_is_none_is_a_wrong_setting(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYHOOK_SECRET_KEY", "too-short-to-be-a-key")
    typed = terminal.type("subscribers", "list")
    assert ("TALLYHOOK_SECRET_KEY must be" in typed.err, "too-short" in typed.err) == (True, False)
