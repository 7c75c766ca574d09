"""The first hour of somebody new: what is written wrongly is named at once, and what runs is found."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app import config
from app.cli.up import at_a_free_port, webhook_addresses
from app.config import Settings
from app.local.embedded import free_port, locked
from app.local.run_file import NAME, Running, clear, find, write

RUNNING = Running(
    database_url="sqlite:///x.db",
    host="127.0.0.1",
    port=8000,
    public_url="http://127.0.0.1:8000",
    connections={"shop": {"source": "finale", "api_key": "k"}},
    redis_url="redis://:p@127.0.0.1:1/0",
)
ACCOUNT = {"SOURCE": "finale", "ACCOUNT": "acme", "API_KEY": "k", "API_SECRET": "s"}


def tallyhook(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """What a command says in a folder, in an environment that knows nothing of Tallyhook."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env={**plain(), **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def plain() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYHOOK_")}
    return {**kept, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}


def dotenv(folder: Path, **settings: str) -> None:
    (folder / ".env").write_text("".join(f"TALLYHOOK_{name}={value}\n" for name, value in settings.items()))


def account(**more: str) -> dict[str, str]:
    return {f"CONNECTIONS__SHOP__{name}": value for name, value in {**ACCOUNT, **more}.items()}


@pytest.mark.parametrize(
    ("words", "written", "meant"),
    [
        (["up"], {"PUBLC_URL": "https://x"}, "TALLYHOOK_PUBLIC_URL"),
        (["up"], account(API_SECRT="s"), "did you mean api_secret?"),
        (["status"], account(API_SECRT="s"), "did you mean api_secret?"),
        (["web"], {"PUBLC_URL": "https://x"}, "TALLYHOOK_PUBLIC_URL"),
        (["worker"], account(API_SECRT="s"), "did you mean api_secret?"),
    ],
)
def test_a_misspelt_option_is_named_with_its_neighbour_and_nothing_is_made(
    tmp_path: Path, words: list[str], written: dict[str, str], meant: str
) -> None:
    dotenv(tmp_path, **{**account(), **written})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tallyhook.db").touch()
    done = tallyhook(tmp_path, *words)
    assert (done.returncode != 0, done.stderr.count("\n")) == (True, 1), done.stderr
    assert meant in done.stderr
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["tallyhook.db"]


def test_up_refuses_a_port_that_is_taken_and_says_who_posts_to_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        dotenv(tmp_path, **account(), PORT=str(port), PUBLIC_URL="https://hooks.example.com")
        done = tallyhook(tmp_path, "up")
    assert done.returncode == 4
    assert f"port {port} is taken" in done.stderr
    assert "https://hooks.example.com" in done.stderr


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which another program listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_web_at_a_port_that_is_taken_makes_no_token_and_says_why(taken: int, tmp_path: Path) -> None:
    assert tallyhook(tmp_path, "migrate").returncode == 0
    done = tallyhook(tmp_path, "web", TALLYHOOK_PORT=str(taken))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert f"port {taken} is taken" in done.stderr
    assert json.loads(tallyhook(tmp_path, "tokens", "list", "--json").stdout) == []


def test_a_simulator_at_a_port_that_is_taken_says_so_in_one_line(taken: int, tmp_path: Path) -> None:
    done = tallyhook(tmp_path, "simulate", "finale", "--port", str(taken))
    assert (done.returncode, done.stderr) == (4, f"tallyhook: port {taken} is taken; stop what listens there\n")


def test_the_demo_moves_on_from_a_port_that_is_taken_and_says_so(
    taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = at_a_free_port(Settings(port=taken), moves_on=True).port
    assert found != taken
    assert f"Port {taken} is taken; using {found}." in capsys.readouterr().out


def test_addresses_of_webhooks_are_told_only_where_they_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYHOOK_PUBLIC_URL", "https://hooks.example.com")
    for name, value in {**ACCOUNT, "BEARER_SECRET": "b"}.items():
        monkeypatch.setenv(f"TALLYHOOK_CONNECTIONS__OPEN__{name}", value)
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(f"TALLYHOOK_CONNECTIONS__SHUT__{name}", value)
    assert webhook_addresses(config.load()) == [
        "https://hooks.example.com/webhooks/open",
        "none for shut: it has no webhook secret and is polled",
    ]


def test_a_command_where_nothing_was_started_says_which_folder_it_looked_at(tmp_path: Path) -> None:
    done = tallyhook(tmp_path, "dead", "list")
    assert done.returncode == 4
    assert str(tmp_path / "data") in done.stderr
    assert "TALLYHOOK_DATA_DIR" in done.stderr
    assert not (tmp_path / "data").exists()


def test_reading_needs_no_public_url(tmp_path: Path) -> None:
    dotenv(tmp_path, CONNECTIONS__SQUARE__ACCESS_TOKEN="t", CONNECTIONS__SQUARE__WEBHOOK_KEYS="k")
    assert tallyhook(tmp_path, "migrate").returncode == 0
    done = tallyhook(tmp_path, "connections", "list")
    assert (done.returncode, done.stderr) == (0, "")


def test_web_on_an_unmigrated_database_refuses_with_the_command_to_run(empty_url: str, tmp_path: Path) -> None:
    done = tallyhook(tmp_path, "web", TALLYHOOK_DATABASE_URL=empty_url)
    assert done.returncode == 1
    assert "run `tallyhook migrate` first" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("process", ["web", "worker", "clock"])
def test_a_process_alone_in_a_folder_without_a_database_refuses_with_the_command_to_run(
    tmp_path: Path, process: str
) -> None:
    done = tallyhook(tmp_path, process)
    assert done.returncode == 2
    assert f"there is no database in {tmp_path / 'data'}: run `tallyhook migrate` first" in done.stderr


@pytest.mark.parametrize("process", ["worker", "clock"])
def test_a_process_that_waits_for_its_schema_stops_without_an_error(
    empty_url: str, tmp_path: Path, process: str
) -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-m", "app.cli", process],
        env={**plain(), "TALLYHOOK_DATABASE_URL": empty_url, "PYTHONUNBUFFERED": "1"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert waiting.stdout is not None
    said = next(line for line in waiting.stdout if "waits_for_schema" in line)
    waiting.send_signal(signal.SIGTERM)
    said += waiting.communicate(timeout=60)[0]
    assert waiting.returncode == 0, said
    assert "started" not in said


def test_a_clone_that_is_not_installed_describes_its_api() -> None:
    code = (
        "import importlib.metadata as m\n"
        "def missing(name): raise m.PackageNotFoundError(name)\n"
        "m.version = missing\n"
        "import app.web.api.document as document\n"
        "print(document.version('x') if False else document._version())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=plain(), check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


def test_the_run_file_is_read_by_its_owner_only(tmp_path: Path) -> None:
    write(tmp_path, RUNNING)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_the_run_file_of_a_process_that_was_killed_is_not_believed(tmp_path: Path) -> None:
    write(tmp_path, RUNNING)
    assert find(tmp_path) is None


def test_what_runs_is_found_by_its_run_file(tmp_path: Path) -> None:
    with locked(tmp_path):
        write(tmp_path, RUNNING)
        assert find(tmp_path) == RUNNING


@pytest.mark.parametrize("keep", [True, False])
def test_after_a_stop_only_the_demo_is_still_found_without_its_queue(tmp_path: Path, keep: bool) -> None:
    write(tmp_path, Running(**{**json.loads(_json(RUNNING)), "keep": keep}))
    clear(tmp_path)
    found = find(tmp_path)
    assert (found is not None) == keep
    assert found is None or (found.redis_url, found.connections) == (None, RUNNING.connections)


def _json(running: Running) -> bytes:
    import msgspec

    return msgspec.json.encode(running)


@contextmanager
def demo(folder: Path, **settings: str) -> Iterator[list[str]]:
    """A demo in a folder; gives its lines up to the last one before the shop comes alive."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "demo", "--products", "12", "--changes", "0"],
        env={**plain(), "TALLYHOOK_PORT": str(free_port(0)), **settings},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    stopper = threading.Timer(120, process.kill)
    stopper.start()
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "tallyhook inbox list" in line:
                break
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        stopper.cancel()


@pytest.mark.journey
def test_a_second_terminal_in_the_same_folder_finds_the_demo(tmp_path: Path) -> None:
    with demo(tmp_path) as lines:
        said = "".join(lines)
        assert len(re.findall(r"th_[\w-]{43}", said)) == 1, said
        assert "tallyhook tokens create --name me --role admin" in said
        listed = tallyhook(tmp_path, "connections", "list", "--json")
        assert [one["connection"] for one in json.loads(listed.stdout)] == ["finale", "square"], listed.stderr
        assert tallyhook(tmp_path, "dead", "list").stdout.startswith("No dead letters")
        token = tallyhook(tmp_path, "tokens", "create", "--name", "me", "--role", "admin")
        assert token.stdout.startswith("th_")
    stopped = tallyhook(tmp_path, "connections", "list", "--json")
    assert [one["connection"] for one in json.loads(stopped.stdout)] == ["finale", "square"], stopped.stderr


@pytest.mark.journey
def test_a_process_that_dies_at_its_start_shows_its_last_lines_and_no_token_is_made(tmp_path: Path) -> None:
    dotenv(tmp_path, **account(), PORT=str(free_port(0)), HOST="192.0.2.1")  # no address of this machine
    done = tallyhook(tmp_path, "up")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "192.0.2.1" in said
    assert "th_" not in said
