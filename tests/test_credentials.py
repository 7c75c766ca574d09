"""The digest of a connection's options: it changes with any of them, and gives none away."""

import pytest
from pydantic import SecretStr

from app.config import Settings


def digest(**options: str) -> str:
    settings = Settings(connections={"shop": {name: SecretStr(value) for name, value in options.items()}})
    return settings.credentials()["shop"]


GIVEN = {"source": "fake", "token": "a-token-of-some-length", "url": "https://shop.example"}


@pytest.mark.parametrize("changed", [{"token": "another-token"}, {"url": "https://other.example"}, {"more": "x"}])
def test_it_changes_with_every_option(changed: dict[str, str]) -> None:
    assert digest(**{**GIVEN, **changed}) != digest(**GIVEN)


def test_it_stays_with_the_same_options_in_another_order() -> None:
    assert digest(**dict(reversed(GIVEN.items()))) == digest(**GIVEN)


def test_two_connections_with_the_same_options_differ() -> None:
    options = {name: SecretStr(value) for name, value in GIVEN.items()}
    digests = Settings(connections={"shop": options, "elsewhere": options}).credentials()
    assert digests["shop"] != digests["elsewhere"]


def test_it_is_short_and_holds_no_option() -> None:
    assert len(digest(**GIVEN)) == 16
    assert "token" not in digest(**GIVEN)
