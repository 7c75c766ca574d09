"""Settings as people write them: the wrong ones are named with what would be right."""

import pytest

from app.rules.settings import misspelt, proxies_problem, redis_problem

KNOWN = ["TALLYHOOK_PORT", "TALLYHOOK_PUBLIC_URL", "TALLYHOOK_CONNECTIONS", "TALLYHOOK_LOG_LEVEL", "PORT"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("TALLYHOOK_PUBLC_URL", "TALLYHOOK_PUBLIC_URL"),
        ("tallyhook_loglevel", "TALLYHOOK_LOG_LEVEL"),
        ("TALYHOOK_PORT", "TALLYHOOK_PORT"),
        ("TALLYHOOK_CONNECTION__SHOP__API_KEY", "TALLYHOOK_CONNECTIONS__SHOP__API_KEY"),
    ],
)
def test_a_misspelt_setting_is_named_with_its_neighbour(written: str, meant: str) -> None:
    (said,) = misspelt([written], KNOWN)
    assert said == f"there is no setting {written}; did you mean {meant}?"


@pytest.mark.parametrize(
    "name", ["PATH", "TALLY", "HOOK_PORT", "POSTGRES_PASSWORD", "TALLYHOOK_CONNECTIONS__SHOP__API_KEY", "PORT"]
)
def test_what_is_not_meant_for_us_is_left_alone(name: str) -> None:
    assert not [*misspelt([name], KNOWN)]


@pytest.mark.parametrize("password", ["a@b:c/d#e", "12/34", "ab#cd", "p?q", "a/b"])
def test_an_unencoded_password_of_the_queue_is_explained_without_a_piece_of_it(password: str) -> None:
    said = redis_problem(f"redis://:{password}@valkey:6379/0")
    assert said is not None
    assert "%40" in said
    assert not [part for part in password.replace("@", " ").split() if len(part) > 1 and part in said]


@pytest.mark.parametrize(
    "url",
    ["redis://h:6379/0", "rediss://u:p%40q@h/1", "redis://:a:b@h:6379/0", "redis://:a@b@h:6379/0", "unix:///tmp/s"],
)
def test_a_readable_url_of_the_queue_is_taken(url: str) -> None:
    assert redis_problem(url) is None


@pytest.mark.parametrize("proxies", ["*", " * ", "10.0.0.1,*", "0.0.0.0/0", "::/0", "0.0.0.0/1,128.0.0.0/1"])
def test_proxies_that_are_everybody_are_refused(proxies: str) -> None:
    assert "would let everybody say who they are" in (proxies_problem(proxies) or "")


@pytest.mark.parametrize("proxies", ["", "127.0.0.1", "172.31.250.1, 10.0.0.0/8", "::1,fc00::/7", "unix:"])
def test_proxies_that_are_some_machines_are_taken(proxies: str) -> None:
    assert proxies_problem(proxies) is None
