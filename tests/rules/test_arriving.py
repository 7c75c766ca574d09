"""Where a delivery came to, as its headers tell, and in what two addresses differ."""

import pytest

from app.rules.inbox.arriving import differs, is_elsewhere, sent_to

OURS = "https://hooks.example.com/webhooks/shop"


def test_what_the_proxy_says_goes_before_what_we_see() -> None:
    headers = {"host": "10.0.0.7:8000", "x-forwarded-host": "hooks.example.com, inner", "x-forwarded-proto": "https"}
    assert sent_to(headers, "/webhooks/shop/", "http") == "https://hooks.example.com/webhooks/shop/"


def test_an_address_without_a_host_is_shown_as_such_and_a_long_one_is_cut() -> None:
    assert sent_to({}, "/webhooks/shop", "http") == "http://nowhere/webhooks/shop"
    assert len(sent_to({"host": "x" * 1000}, "/", "http")) == 200


@pytest.mark.parametrize(
    "host", ["", "127.0.0.1:8000", "localhost", "web", "[::1]:80", "app.internal", "[broken", "10.1.2.3"]
)
def test_a_name_of_this_network_shows_nothing(host: str) -> None:
    assert not is_elsewhere(host, OURS)


@pytest.mark.parametrize(
    ("host", "elsewhere"), [("hooks.example.com", False), ("hooks.example.com:443", False), ("old.example.com", True)]
)
def test_another_public_name_is_elsewhere(host: str, elsewhere: bool) -> None:
    assert is_elsewhere(host, OURS) == elsewhere


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (OURS, ""),
        (f"{OURS}/", "slash at the end"),
        ("http://hooks.example.com/webhooks/shop", "scheme"),
        ("https://other.example.com/webhooks/shop", "host"),
        ("http://other.example.com:8000/webhooks/shop2", "scheme and host and port and path"),
        (f"{OURS}?x=1", "query"),
        ("https://HOOKS.example.com/webhooks/shop", "spelling"),
    ],
)
def test_what_differs_between_two_addresses_is_named(other: str, words: str) -> None:
    assert differs(OURS, other) == words
