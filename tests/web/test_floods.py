"""Requests one behind the other in a connection, and answers that nobody reads: neither fills our memory."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from app.stores.sql.engine import Database, open_database
from app.web.auth import AuthSettings
from app.web.protocol import LimitedProtocol
from tests.fakes import World
from tests.stack import eventually
from tests.web.attacked import Attacked, attacked
from tests.web.serving import serving

ASK = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
GROWTH = 60_000
"""kB; without a bound a flood of a few seconds takes more than a million."""


@pytest.fixture
def client(database: Database) -> Iterator[httpx.Client]:
    with serving(World(database).deps, doors=AuthSettings()) as client:
        yield client


def dialled(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port or 0), 30)


def said(line: socket.socket) -> bytes:
    """Everything until the other side closes."""
    told = b""
    try:
        while more := line.recv(65_536):
            told += more
    except ConnectionResetError:
        pass
    return told


def ask_for_ever(line: socket.socket) -> None:
    """And read no answer."""
    while True:
        line.sendall(b"GET /static/tallyhook.css HTTP/1.1\r\nHost: here\r\n\r\n")


def test_as_many_requests_as_may_wait_are_answered_in_their_order(client: httpx.Client) -> None:
    with closing(dialled(client)) as line:
        last = ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        line.sendall(ASK * LimitedProtocol.MAX_QUEUED + last)
        assert said(line).count(b"HTTP/1.1 200") == LimitedProtocol.MAX_QUEUED + 1


def test_a_connection_with_more_is_closed_and_others_are_served(client: httpx.Client) -> None:
    with closing(dialled(client)) as line:
        line.sendall(ASK * (LimitedProtocol.MAX_QUEUED + 2))
        assert b"HTTP/1.1 400" in said(line)
    assert client.get("/healthz").status_code == 200


class ThreeOfAnAddress(LimitedProtocol):
    MAX_PER_NETWORK = 3
    HEAD_TIMEOUT = 3_600.0


def test_an_address_has_only_so_many_connections_and_gets_another_for_one_that_ends(database: Database) -> None:
    with serving(World(database).deps, protocol=ThreeOfAnAddress) as client, ExitStack() as lines:
        held = [lines.enter_context(closing(dialled(client))) for _ in range(3)]
        for line in held:
            line.sendall(ASK)
            assert line.recv(65_536).startswith(b"HTTP/1.1 200")
            line.sendall(b"GET")  # who is about to ask again is not idle
        assert not is_served(client)
        held[0].close()
        assert eventually(lambda: is_served(client), within=30)


def is_served(client: httpx.Client) -> bool:
    try:
        with httpx.Client(base_url=client.base_url, timeout=30) as another:
            return another.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


class ReadAtOnce(LimitedProtocol):
    UNREAD_TIMEOUT = 0.1
    CHECK_INTERVAL = 0.05


def test_an_answer_that_nobody_reads_is_given_up(database: Database) -> None:
    with serving(World(database).deps, protocol=ReadAtOnce) as client, closing(socket.socket()) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        line.settimeout(60)
        line.connect((client.base_url.host, client.base_url.port or 0))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            ask_for_ever(line)


class Unread:
    """A transport with bytes that nobody reads, and the loop whose clock it goes by."""

    def __init__(self) -> None:
        self.now = 0.0
        self.aborted_at: list[float] = []

    def get_write_buffer_size(self) -> int:
        return 1

    def abort(self) -> None:
        self.aborted_at.append(self.now)

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, look: object) -> None:
        """The test looks when it is time."""


def test_an_unread_answer_is_given_up_after_its_time_and_not_before() -> None:
    unread, line = Unread(), LimitedProtocol.__new__(LimitedProtocol)
    line.transport, line.loop, line.connections = unread, unread, {line}  # type: ignore[assignment]
    for now in (1.0, LimitedProtocol.UNREAD_TIMEOUT, LimitedProtocol.UNREAD_TIMEOUT + 2.0):
        unread.now = now
        line._check_all()
    assert unread.aborted_at == [LimitedProtocol.UNREAD_TIMEOUT + 2.0]


@pytest.fixture
def target(tmp_path: Path, _valkey_server: str) -> Iterator[Attacked]:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    with closing(open_database(url)) as database:
        database.migrate()
    with attacked(url, _valkey_server, tmp_path) as target:
        yield target


@pytest.mark.journey
def test_floods_of_requests_whose_answers_nobody_reads_take_no_memory(target: Attacked) -> None:
    before = target.memory()
    with ExitStack() as lines:
        crowd = [lines.enter_context(closing(target.dial(5))) for _ in range(12)]

        def flood(line: socket.socket) -> None:
            try:
                for _ in range(2_000):
                    line.sendall(ASK * 500)
            except OSError:
                pass

        threads = [threading.Thread(target=flood, args=(line,)) for line in crowd]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        grown = target.memory() - before
        assert target.ask("GET", "/healthz", {}) == 200
    assert grown < GROWTH, f"{grown} kB more"
    assert not re.search("Traceback", target.logged())
