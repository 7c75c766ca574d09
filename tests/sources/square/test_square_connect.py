"""The options of a connection: what is needed, what is wrong, what stays secret."""

import pytest

from app.errors import BadConfiguration
from app.sources.base import Context, Source, Unlimited
from app.sources.square import connect

TOKEN = {"access_token": "hush-hush"}


def build(public_url: str | None = "https://shop.example", **options: str) -> Source:
    return connect(Context("square", Unlimited(), public_url=public_url), {**TOKEN, **options})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("environment", "staging"),
        ("base_url", "connect.squareup.com"),
        ("square_version", "latest"),
        ("requests_per_second", "fast"),
        ("requests_per_second", "0"),
        ("colour", "blue"),
        ("access_token", "EAAA\N{HORIZONTAL ELLIPSIS}xyz"),
        ("access_token", "EAAA xyz"),
        ("access_token", "EAAA\nxyz"),
    ],
)
def test_a_wrong_option_is_named(name: str, value: str) -> None:
    with pytest.raises(BadConfiguration, match=name):
        build(**{name: value})


def test_a_token_that_cannot_be_one_is_not_shown() -> None:
    with pytest.raises(BadConfiguration) as raised:
        build(access_token="hush\N{HORIZONTAL ELLIPSIS}hush")
    assert "hush" not in str(raised.value)


def test_a_missing_token_is_named() -> None:
    with pytest.raises(BadConfiguration, match="access_token"):
        build(access_token=" ")


def test_keys_without_any_url_are_refused() -> None:
    with pytest.raises(BadConfiguration, match="webhook_url"):
        build(public_url=None, webhook_keys="k")


def test_without_keys_there_is_no_receiver() -> None:
    assert build(webhook_keys=" , ").receiver is None


def test_the_notification_url_follows_from_the_public_url() -> None:
    assert "https://shop.example/webhooks/square" in repr(build(webhook_keys="k").receiver)


def test_a_registered_url_is_taken_byte_for_byte() -> None:
    source = build(webhook_keys="k", webhook_url="https://x.example/hook/?a=1")
    assert "'https://x.example/hook/?a=1'" in repr(source.receiver)


def test_no_secret_is_shown() -> None:
    shown = repr(source := build(webhook_keys="k-e-y")) + repr(source.receiver) + str(vars(source))
    assert "hush-hush" not in shown
    assert "k-e-y" not in shown
