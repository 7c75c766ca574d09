"""Doors cannot be left open by a setting, and the first start gives away one key."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from app.config import Settings
from app.errors import BadConfiguration
from app.flows.access import first_token
from app.local.embedded import await_port, free_port
from app.stores.engine import Database
from tests.fakes import World


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_without_auth_loopback_is_allowed(host: str) -> None:
    Settings(auth="off", host=host, _env_file=None).check_doors()


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "[::]", "192.168.1.7", "10.0.0.1", "example.com", "", "localhost.x"]
)
def test_without_auth_anything_but_loopback_is_refused(host: str) -> None:
    with pytest.raises(BadConfiguration, match="auth is off"):
        Settings(auth="off", host=host, _env_file=None).check_doors()


def web(url: str, **settings: str) -> subprocess.Popen[str]:
    """A web process on a port that is free."""
    more = {"TALLYHOOK_DATABASE_URL": url, "TALLYHOOK_PORT": "0", **settings}
    return subprocess.Popen(
        [sys.executable, "-m", "app.web"],
        env={**os.environ, **more},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.journey
def test_a_web_process_without_auth_does_not_start_off_loopback(sqlite_url: str) -> None:
    with web(sqlite_url, TALLYHOOK_AUTH="off", TALLYHOOK_HOST="0.0.0.0") as process:
        told = process.communicate(timeout=120)[1]
    assert process.returncode != 0
    assert "auth is off" in told
    assert "Traceback" not in told


@pytest.mark.journey
def test_the_first_start_shows_a_token_and_the_second_none(sqlite_url: str) -> None:
    assert [len(shown(sqlite_url)) for _ in range(2)] == [1, 0]


@pytest.mark.journey
def test_of_two_first_starts_at_once_one_shows_a_token(database_url: str) -> None:
    with ThreadPoolExecutor(2) as starts:
        assert sum(map(len, starts.map(shown, [database_url] * 2))) == 1


def shown(url: str) -> list[str]:
    """The tokens that a start shows; it is stopped when it serves."""
    port = free_port(0)
    with web(url, TALLYHOOK_PORT=str(port)) as process:
        assert await_port(port, 60)
        process.terminate()
        told = process.communicate(timeout=120)[1]
    return re.findall(r"th_[\w-]{43}", told)


def test_of_two_threads_one_makes_the_first_token(database: Database) -> None:
    deps, together = World(database).deps, Barrier(2)

    def start(_: int) -> str | None:
        together.wait(60)
        return first_token(deps)

    with ThreadPoolExecutor(2) as starts:
        assert sum(token is not None for token in starts.map(start, range(2))) == 1
