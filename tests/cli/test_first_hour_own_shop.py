"""The first hour with one's own shop, as real processes: init, up, a second terminal, stop, start again, a slip."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from dotenv import dotenv_values

from app.local.embedded import await_port, free_port
from tests.cli.test_first_hour import plain, tallyhook

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1200)]

CLI = [sys.executable, "-m", "app.cli"]
LONGEST = 900.0  # seconds that `up` may run


class Vendors:
    """Both simulated accounts, each a process."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.square = self._start(stack, folder, "square", "--set", "plain_http=true")
        self.finale = self._start(stack, folder, "finale")

    def _start(self, stack: ExitStack, folder: Path, name: str, *options: str) -> str:
        port = free_port(0)
        command = [*CLI, "simulate", name, "--port", str(port), "--set", "products=20", *options]
        process = stack.enter_context(subprocess.Popen(command, env=plain(), cwd=folder))
        stack.callback(process.terminate)
        assert await_port(port, 120, alive=lambda: process.poll() is None)
        return f"http://127.0.0.1:{port}"

    def rows(self) -> dict[str, dict[str, int]]:
        """How many there are of each kind that both have, without tombstones."""
        kinds = ("product", "location", "vendor")
        return {name: {kind: self._count(url, kind) for kind in kinds} for name, url in self._urls().items()}

    def _urls(self) -> dict[str, str]:
        return {"square": self.square, "finale": self.finale}

    def _count(self, url: str, kind: str) -> int:
        return len(httpx.get(f"{url}/_sim/truth/{kind}", timeout=60).json())


@pytest.fixture
def vendors(tmp_path: Path) -> Iterator[Vendors]:
    with ExitStack() as stack:
        yield Vendors(stack, tmp_path)


@contextmanager
def up(folder: Path) -> Iterator[Callable[[str], str]]:
    """Everything, started by one command; gives a way to read on until a line matches, which returns all that was read."""
    process = subprocess.Popen(
        [*CLI, "up"], env=plain(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    killer = threading.Timer(LONGEST, process.kill)
    killer.start()
    assert process.stdout is not None
    lines = process.stdout

    def until(pattern: str) -> str:
        said = ""
        for line in lines:
            said += line
            if re.search(pattern, line):
                return said
        raise AssertionError(f"it ended before {pattern!r}: {said}")

    try:
        yield until
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
        killer.cancel()


def await_first_reads(until: Callable[[str], str]) -> None:
    """Read on until both shops are copied; orders come last."""
    seen = ""
    while not all(re.search(rf"{name} .*everything new of kind order", seen) for name in ("square", "finale")):
        seen += until("everything new of kind order")


def document(folder: Path, *words: str) -> Any:
    """What a command in a second terminal tells a program."""
    done = tallyhook(folder, *words, "--json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def stored(folder: Path) -> dict[str, dict[str, int]]:
    shown = document(folder, "status")["connections"]
    return {
        name: {kind: one["rows"][kind] for kind in ("product", "location", "vendor")} for name, one in shown.items()
    }


def init(folder: Path, system: str, *words: str, **options: str) -> None:
    given = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
    done = tallyhook(folder, "init", system, *given, *words)
    assert done.returncode == 0, done.stderr


def test_from_credentials_to_a_copy_that_is_kept_fresh_and_survives_a_stop(
    empty_url: str, vendors: Vendors, tmp_path: Path
) -> None:
    port = free_port(0)
    (tmp_path / ".env").write_text(f"TALLYHOOK_PORT={port}\nTALLYHOOK_DATABASE_URL={empty_url}\n")
    public = ("--public-url", f"http://127.0.0.1:{port}")
    init(tmp_path, "square", *public, access_token="simulated-token", base_url=vendors.square)
    keys = {"account": "demo", "api_key": "simulated-key", "api_secret": "simulated-secret"}
    init(tmp_path, "finale", base_url=vendors.finale, **keys)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600

    with up(tmp_path) as until:
        said = until(r"webhooks .*/webhooks/square")
        assert len(re.findall(r"th_[\w-]{43}", said)) == 1
        await_first_reads(until)
        assert stored(tmp_path) == vendors.rows()
        assert tallyhook(tmp_path, "dead", "list").stdout.startswith("No dead letters")
        assert [one for one in document(tmp_path, "check") if one["state"] == "wrong"] == []
        httpx.post(f"{vendors.square}/_sim/changes", json={"count": 1, "kinds": ["receipt"]}, timeout=60)
        until(r"square .*on hand")
        delivered = document(tmp_path, "inbox", "list", "connection:square")["rows"]
        assert {one["verdict"] for one in delivered} == {"accepted"}

    with up(tmp_path) as until:
        assert "th_" not in until(r"webhooks .*/webhooks/square")
        assert stored(tmp_path) == vendors.rows()

    with (tmp_path / ".env").open("a") as file:
        file.write("TALLYHOOK_PUBLC_URL=https://x\n")
    slip = tallyhook(tmp_path, "up")
    assert (slip.returncode, "did you mean TALLYHOOK_PUBLIC_URL?" in slip.stderr) == (2, True)


class Terminal:
    """A command with a person at its terminal, who types when a question has been asked."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.said = ""
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [*CLI, *words], env={**plain(), "COLUMNS": "80"}, cwd=folder, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)

    def answer(self, question: str, words: str) -> None:
        """Type as soon as the question has been asked, and not before: what is typed earlier would be seen."""
        begin = len(self.said)
        while not (question in self.said[begin:] and self.said.endswith(": ")):
            assert self._read(), f"it ended before {question!r}: {self.said}"
        os.write(self._master, f"{words}\n".encode())

    def end(self) -> int:
        """The exit code."""
        while self._read():
            pass
        os.close(self._master)
        return self._process.wait(timeout=60)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 120)
        assert ready, f"nothing more came: {self.said}"
        try:
            came = os.read(self._master, 4096)
        except OSError:  # what Linux says at the end
            return False
        self.said += came.decode()
        return bool(came)


def test_a_person_is_asked_again_after_a_wrong_token_and_sees_no_secret(vendors: Vendors, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "init", "--set", f"base_url={vendors.square}")
    terminal.answer("Which system", "square")
    terminal.answer("Name of this connection", "My Shop")
    terminal.answer("Name of this connection", "my-shop")
    terminal.answer("Environment", "")
    terminal.answer("Access token", "not-this-one")
    terminal.answer("Environment", "")
    terminal.answer("Access token", "simulated-token")
    terminal.answer("outside reaches", "hooks.example.com")
    terminal.answer("outside reaches", "https://hooks.example.com")
    terminal.answer("Another connection", "n")
    assert terminal.end() == 0
    assert [secret for secret in ("not-this-one", "simulated-token") if secret in terminal.said] == []
    written = dotenv_values(tmp_path / ".env")
    assert written["TALLYHOOK_CONNECTIONS__MY_SHOP__WEBHOOK_URL"] == "https://hooks.example.com/webhooks/my-shop"
    assert written["TALLYHOOK_CONNECTIONS__MY_SHOP__SOURCE"] == "square"


def test_who_wrote_one_answer_wrongly_need_not_give_the_secrets_again(vendors: Vendors, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "init", "finale", "--name", "finale", "--set", f"base_url={vendors.finale}")
    terminal.answer("Account", "https://app.finaleinventory.com/demo/sc2/?products")
    terminal.answer("API key", "simulated-key")
    terminal.answer("API secret", "simulated-secret")
    terminal.answer("Currency", "dollars")
    terminal.answer("Account", "")
    terminal.answer("API key", "")
    terminal.answer("API secret", "")
    terminal.answer("Currency", "usd")
    terminal.answer("outside reaches", "")
    assert terminal.end() == 0
    written = dotenv_values(tmp_path / ".env")
    assert written["TALLYHOOK_CONNECTIONS__FINALE__API_KEY"] == "simulated-key"
