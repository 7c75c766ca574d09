"""A simulated Finale account behind real HTTP, and the means to talk to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from app.sources.base import Budget, Context, Unlimited
from app.sources.finale import connect
from app.sources.finale.simulator import create
from app.sources.finale.source import FinaleSource
from app.sources.simulating.settings import Value

CREDENTIALS = {"account": "demo", "api_key": "simulated-key", "api_secret": "simulated-secret"}
AUTH = ("simulated-key", "simulated-secret")
NO_LIMITS: Mapping[str, Value] = {"rate_get": 0, "rate_lists": 0}


@dataclass
class Account:
    """A running simulator and the means to talk to it."""

    url: str
    control: httpx.Client
    app: Any
    sources: list[FinaleSource] = field(default_factory=list)

    @property
    def world(self) -> Any:
        """The simulator's state."""
        return self.app.state.account.world

    def source(
        self, budget: Budget | None = None, sleep: Callable[[float], None] | None = None, **options: str
    ) -> Any:
        """A connection to the account; without a ``sleep`` it does not wait for anything."""
        context = Context("finale", budget or Unlimited(), patience=10_000, sleep=sleep or (lambda seconds: None))
        given = {"base_url": self.url, "history_start": "2024-01-01", **CREDENTIALS, **options}
        self.sources.append(connect(context, given))  # type: ignore[arg-type]
        return self.sources[-1]

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """What a perfect copy holds."""
        rows: list[dict[str, Any]] = self.control.get(f"/_sim/truth/{kind}").json()
        return rows

    def change(self, count: int, *kinds: str) -> list[dict[str, str]]:
        """Let things happen in the shop."""
        answer = self.control.post("/_sim/changes", json={"count": count, "kinds": kinds})
        assert answer.status_code == 200, answer.text
        done: list[dict[str, str]] = answer.json()
        return done

    def faults(self, **switches: Value) -> None:
        """Switch faults."""
        answer = self.control.post("/_sim/faults", json=switches)
        assert answer.status_code == 200, answer.text

    def status(self) -> dict[str, Any]:
        """The simulator's status."""
        found: dict[str, Any] = self.control.get("/_sim/status").json()
        return found

    def reads(self, collection: str) -> int:
        """How many list reads of a collection there were."""
        found: int = self.status()["requests"].get(f"GET /demo/api/{collection}/", 0)
        return found

    def wait_for(self, ready: Callable[[dict[str, Any]], bool], seconds: float = 60.0) -> dict[str, Any]:
        """The status as soon as it is as wanted."""
        deadline = time.monotonic() + seconds
        while not ready(status := self.status()):
            assert time.monotonic() < deadline, status
        return status

    def close(self) -> None:
        """Close our side."""
        for source in self.sources:
            source.close()
        self.control.close()


class Servers:
    """Starts apps on ports the system picks, and stops them."""

    def __init__(self) -> None:
        self._running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(self, app: ASGIApp) -> str:
        """Serve an app; its base URL."""
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="on"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.005)  # uvicorn offers nothing to wait for
        self._running.append((server, thread))
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        """Ask all to stop; they need a moment."""
        for server, _ in self._running:
            server.should_exit = True

    def wait(self) -> None:
        """Wait until all have stopped."""
        self.stop()
        for _, thread in self._running:
            thread.join(60)
        self._running.clear()


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self, at: float = 1_767_225_600.0) -> None:
        self.at = at
        self._lock = threading.Lock()

    def now(self) -> float:
        """Epoch seconds."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        with self._lock:
            self.at += seconds

    def moment(self) -> datetime:
        """Now, aware."""
        return datetime.fromtimestamp(self.at, UTC)


def open_account(servers: Servers, options: Mapping[str, Value], clock: Callable[[], float] = time.time) -> Account:
    """Start a simulated account; it has no limits unless told."""
    app = create({**NO_LIMITS, **options}, clock)
    url = servers.start(app)
    return Account(url, httpx.Client(base_url=url, timeout=60), app)


def api(account: Account, method: str, path: str, **more: Any) -> httpx.Response:
    """One request of the vendor's API, with credentials unless told others."""
    return account.control.request(method, f"/demo/{path}", **{"auth": AUTH, **more})
