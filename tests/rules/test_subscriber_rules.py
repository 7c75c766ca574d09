"""How subscribers get their messages: signatures, waits and addresses; and how their secrets are encrypted."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from standardwebhooks.webhooks import Webhook

from app.errors import BadConfiguration
from app.rules.access.encryption import Encryption, key_problem
from app.rules.subscribers import new_id, new_secret, signed, url_problem, wait_after

KEY = base64.b64encode(bytes(range(32))).decode()


@given(some.text(max_size=200))
def test_the_specifications_library_makes_the_same_signature(text: str) -> None:
    secret, moment = new_secret(), datetime(2026, 6, 1, 12, tzinfo=UTC)
    theirs = Webhook(secret).sign("msg_1", moment, text)
    assert signed("msg_1", text.encode(), secret, int(moment.timestamp()))["webhook-signature"] == theirs


def test_no_two_secrets_and_no_two_ids_are_the_same() -> None:
    assert (len({new_secret() for _ in range(100)}), len({new_id() for _ in range(100)})) == (100, 100)


@given(some.integers(1, 10_000), some.floats(0, 1, exclude_max=True))
def test_a_wait_is_between_5_seconds_and_an_hour(attempts: int, jitter: float) -> None:
    assert timedelta(seconds=5) <= wait_after(attempts, jitter) <= timedelta(hours=1)


def test_waits_double_up_to_about_an_hour() -> None:
    waits = [wait_after(attempts, 0).total_seconds() for attempts in (1, 2, 3, 4, 20)]
    assert waits == [5, 10, 20, 40, 2400]


def test_jitter_spreads_a_wait() -> None:
    assert wait_after(3, 0) < wait_after(3, 0.5) < wait_after(3, 0.99)


@pytest.mark.parametrize("url", ["https://example.com/x?y=1", "http://127.0.0.1:9000", "https://[::1]/x"])
def test_a_good_url_has_no_problem(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "ftp://example.com", "file:///etc/passwd", "https://", "https://user:word@example.com"),
        *("https://user@example.com", "https://example.com/a b", "https://example.com/\n", "https://x:99999/"),
        *("https://example.com/#part", "https://[::1", "https://example.com\\@evil.example"),
    ],
)
def test_a_url_that_is_none_or_has_a_user_has_a_problem(url: str) -> None:
    assert "is like https://" in (url_problem(url) or "")


def test_what_was_encrypted_is_decrypted_with_the_same_key() -> None:
    kept = Encryption(KEY).encrypt("whsec_x")
    assert ("whsec" in kept, Encryption(KEY).decrypt(kept)) == (False, "whsec_x")


@pytest.mark.parametrize("key", ["", "short", "x" * 44, "é" * 44])
def test_a_key_that_is_none_is_told_without_being_shown(key: str) -> None:
    problem = key_problem(key) or ""
    assert ("openssl rand -base64 32" in problem, bool(key) and key in problem) == (True, False)


def test_a_key_as_openssl_prints_it_is_good() -> None:
    assert key_problem(base64.b64encode(b"\xfb\xff" * 16).decode()) is None


def test_without_a_key_nothing_is_encrypted() -> None:
    with pytest.raises(BadConfiguration, match="TALLYHOOK_SECRET_KEY is not set"):
        Encryption(None).encrypt("x")
