"""A real web process with locked doors, what is said to it, and a watch over everything that it answers."""

import base64
import hashlib
import hmac
import http.client
import itertools
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import app
from app.local.embedded import await_port, free_port

KEY = "canary-webhook-key-5521"
ACCESS = "canary-access-token-7734"
HOOKS = "https://hooks.example.com"
HOOK = "/webhooks/square"
SIGNED = "x-square-hmacsha256-signature"
Headers = Mapping[str, str]


@dataclass
class Attacked:
    """The process. ``wrong`` is what it should not have answered, ``seen`` how often it answered with what."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    token: str
    secrets: list[bytes]
    wrong: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    lines: list[http.client.HTTPConnection] = field(default_factory=list)
    _mine: threading.local = field(default_factory=threading.local)
    _addresses: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def memory(self) -> int:
        """Resident memory in kB."""
        told = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert told
        return int(told[1])

    def logged(self) -> str:
        """Everything that it wrote."""
        return self.log.read_text(errors="replace")

    def dial(self, timeout: float = 30.0) -> socket.socket:
        """A bare connection, each from an address of its own: no rate stops a stranger's second try."""
        number = next(self._addresses)
        address = f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"
        line = socket.create_connection(("127.0.0.1", self.port), timeout, source_address=(address, 0))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a body would wait 40 ms for its head otherwise
        return line

    def ask(self, method: str, path: str, headers: Headers, body: bytes | None = None, note: str = "") -> int:
        """One well-formed request; its answer's status, 0 where it only closed."""
        try:
            line = self._line()
            line.request(method, path, body, dict(headers))
            answer = line.getresponse()
            told = f"{answer.headers}".encode() + answer.read()
        except (http.client.HTTPException, OSError):
            self._hang_up()
            self.saw(note or f"{method} {path[:100]}", 0, b"")
            return 0
        self.saw(note or f"{method} {path[:100]}", answer.status, told, said=path.encode() + (body or b""))
        return answer.status

    def _hang_up(self) -> None:
        line: http.client.HTTPConnection | None = getattr(self._mine, "line", None)
        if line is not None:
            line.close()
        self._mine.line = None

    def _line(self) -> http.client.HTTPConnection:
        """This thread's kept connection; it moves to another address now and then."""
        uses = getattr(self._mine, "uses", 0)
        self._mine.uses = uses + 1
        line: http.client.HTTPConnection | None = getattr(self._mine, "line", None)
        if line is None or line.sock is None or uses % 40 == 0:
            self._hang_up()
            line = self._mine.line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=35)
            line.sock = self.dial(35)
            self.lines.append(line)
        return line

    def say(self, note: str, raw: bytes, quiet: float = 0.1, *, ends: bool = True) -> list[int]:
        """Bytes on a connection of their own; the statuses of all answers until it is quiet or closed."""
        told = b""
        with closing(self.dial(quiet)) as line:
            try:
                line.settimeout(5)
                line.sendall(raw)
                line.settimeout(quiet)
                while more := line.recv(65_536):
                    told += more
            except TimeoutError:
                told += _rest(line) if ends else b""
            except OSError:
                told += b""
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", told)]
        for status in statuses or [0]:
            self.saw(note, status, told)
        return statuses

    def saw(self, note: str, status: int, told: bytes, *, said: bytes = b"") -> None:
        """Judge one answer. A word that the caller ``said`` may come back: drawn texts hold words of our own code."""
        lower, known = told.lower(), said.lower()
        found = [word.decode() for word in self.secrets if word.lower() in lower and word.lower() not in known]
        with self._lock:
            self.sent += status != 100  # that is no answer yet
            self.seen[str(status)] += 1
            if found:
                self.wrong.append(f"{note}: {status} tells {found}")
            if status >= 500 and not (status == 503 and b"retry-after" in lower):
                self.wrong.append(f"{note}: {status} {told[-300:]!r}")


def _rest(line: socket.socket) -> bytes:
    """What still comes after we said that we are done."""
    told = b""
    try:
        line.shutdown(socket.SHUT_WR)
        line.settimeout(5)
        while more := line.recv(65_536):
            told += more
    except OSError:
        pass
    return told


def signed(body: bytes) -> dict[str, str]:
    """The header that makes a delivery authentic."""
    digest = hmac.digest(KEY.encode(), (HOOKS + HOOK).encode() + body, hashlib.sha256)
    return {SIGNED: base64.b64encode(digest).decode()}


def bearer(token: str) -> dict[str, str]:
    """What a caller with a token sends."""
    return {"authorization": f"Bearer {token}"}


@contextmanager
def attacked(database_url: str, redis_url: str, folder: Path) -> Iterator[Attacked]:
    """The process, started for the first time on an empty migrated database; stopped afterwards."""
    port, log = free_port(0), folder / "web.log"
    settings = {
        "TALLYHOOK_DATABASE_URL": database_url,
        "TALLYHOOK_REDIS_URL": redis_url,
        "TALLYHOOK_PORT": str(port),
        "TALLYHOOK_PUBLIC_URL": HOOKS,
        "TALLYHOOK_RATE_PER_TOKEN": "1000000",
        "TALLYHOOK_RATE_PER_ADDRESS": "1000000",
        "TALLYHOOK_CONNECTIONS__SQUARE__ACCESS_TOKEN": ACCESS,
        "TALLYHOOK_CONNECTIONS__SQUARE__WEBHOOK_KEYS": KEY,
        "TALLYHOOK_CONNECTIONS__SQUARE__BASE_URL": f"http://127.0.0.1:{free_port(0)}",
    }
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.web"], env={**os.environ, **settings}, stdout=sink, stderr=sink
        )
    try:
        assert await_port(port, 60), log.read_text()
        token = _first_token(log)
        root = str(Path(app.__file__).parents[1])
        words = ("traceback", "sqlite", "psycopg", root, sys.prefix, str(folder), token, KEY, ACCESS, database_url)
        target = Attacked(process, port, log, token, [word.encode() for word in words])
        yield target
        for line in target.lines:
            line.close()
    finally:
        process.terminate()
        process.wait(60)


def _first_token(log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = re.search(r"th_[\w-]{43}", log.read_text())
        if told:
            return told[0]
        time.sleep(0.05)
    raise AssertionError(log.read_text())
