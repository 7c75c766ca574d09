"""Doors cannot be left open by a setting, and the first start gives away one key."""

import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from app.config import Settings, load, load_behind_router
from app.errors import BadConfiguration
from app.flows.access.accounts import first_token
from app.local.embedded import await_port, free_port
from app.stores.sql.engine import Database
from tests.fakes import World


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_without_auth_loopback_is_allowed(host: str) -> None:
    Settings(auth="off", host=host, _env_file=None).check_auth()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "[::]", "192.168.1.7", "10.0.0.1", "example.com", "", "localhost.x"]
)
def test_without_auth_anything_but_loopback_is_refused(host: str) -> None:
    with pytest.raises(BadConfiguration, match="auth is off"):
        Settings(auth="off", host=host, _env_file=None).check_auth()  # type: ignore[call-arg]


def test_settings_that_believe_everybody_are_refused() -> None:
    with pytest.raises(BadConfiguration, match="TALLYHOOK_TRUSTED_PROXIES would let everybody say who they are"):
        load(trusted_proxies="*")


@pytest.mark.journey
def test_a_web_process_that_believes_everybody_who_they_are_does_not_start(sqlite_url: str) -> None:
    with web(sqlite_url, TALLYHOOK_TRUSTED_PROXIES="*") as process:
        told = process.communicate(timeout=120)[1]
    assert process.returncode != 0
    assert "TALLYHOOK_TRUSTED_PROXIES would let everybody say who they are" in told


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


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment and a folder that say nothing of Tallyhook."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TALLYHOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("PORT", raising=False)
    return monkeypatch


def test_behind_a_platforms_router_every_address_is_bound(nowhere: pytest.MonkeyPatch) -> None:
    nowhere.setenv("PORT", "5005")
    settings = load_behind_router()
    assert (settings.host, settings.port, settings.auth) == ("0.0.0.0", 5005, "on")


@pytest.mark.parametrize("said", ["TALLYHOOK_HOST", "TALLYHOOK_PORT"])
def test_who_says_where_to_bind_is_bound_there(nowhere: pytest.MonkeyPatch, said: str) -> None:
    nowhere.setenv("PORT", "5005")
    nowhere.setenv(said, {"TALLYHOOK_HOST": "127.0.0.1", "TALLYHOOK_PORT": "5006"}[said])
    assert load_behind_router().host == "127.0.0.1"


def test_without_a_router_only_this_machine_is_bound(nowhere: pytest.MonkeyPatch) -> None:
    assert load_behind_router().host == "127.0.0.1"


def test_behind_a_router_nobody_is_let_in_without_auth(nowhere: pytest.MonkeyPatch) -> None:
    nowhere.setenv("PORT", "5005")
    nowhere.setenv("TALLYHOOK_AUTH", "off")
    with pytest.raises(BadConfiguration, match="auth is off"):
        load_behind_router().check_auth()


@pytest.mark.journey
def test_the_procfiles_web_answers_a_router_at_an_address_of_this_machine_and_asks_who_comes(sqlite_url: str) -> None:
    port, command = free_port(0), procfile("web")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOOK_")}
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", *command[1:]],
        env={**environment, "PORT": str(port), "DATABASE_URL": sqlite_url},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert await_port(port, 60, alive=lambda: process.poll() is None)
            address = f"http://{address_of_this_machine()}:{port}"
            paths = ("/healthz", "/api/dead-letters")
            answers = [httpx.get(f"{address}{path}", timeout=60).status_code for path in paths]
        finally:
            process.terminate()
            process.communicate(timeout=120)
    assert answers == [200, 401]


def procfile(name: str) -> list[str]:
    """A command of the Procfile."""
    lines = (Path(__file__).parents[2] / "Procfile").read_text().splitlines()
    return next(line.split(":", 1)[1].split() for line in lines if line.startswith(f"{name}:"))


def address_of_this_machine() -> str:
    """One that is not loopback's, where there is one; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"  # no network: loopback has more addresses than the one that is bound by default
        return str(probe.getsockname()[0])
