"""A simulated Square account behind real HTTP, and the means to talk to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from app.sources.base import Context, Unlimited
from app.sources.simulating.settings import Value
from app.sources.square import connect
from app.sources.square.simulator import create
from app.sources.square.source import SquareSource

TOKEN = "simulated-token"


@dataclass
class Account:
    """A running simulator and the means to talk to it."""

    url: str
    control: httpx.Client
    source: SquareSource
    world: Any

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """What a perfect copy holds."""
        rows: list[dict[str, Any]] = self.control.get(f"/_sim/truth/{kind}", timeout=60).json()
        return rows

    def change(self, count: int, *kinds: str) -> list[dict[str, str]]:
        """Let changes happen."""
        done: list[dict[str, str]] = self.control.post("/_sim/changes", json={"count": count, "kinds": kinds}).json()
        return done

    def faults(self, **switches: Value) -> None:
        """Switch faults."""
        assert self.control.post("/_sim/faults", json=switches).status_code == 200

    def status(self) -> dict[str, Any]:
        """The simulator's status."""
        found: dict[str, Any] = self.control.get("/_sim/status").json()
        return found

    def wait_for(self, ready: Callable[[dict[str, Any]], bool], seconds: float = 60.0) -> dict[str, Any]:
        """The status as soon as it is as wanted."""
        deadline = time.monotonic() + seconds
        while not ready(status := self.status()):
            assert time.monotonic() < deadline, status["webhooks"]
        return status


class Servers:
    """Starts apps on ports the system picks, and stops them."""

    def __init__(self) -> None:
        self._running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(self, app: ASGIApp) -> str:
        """Serve an app; its base URL."""
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.005)  # uvicorn offers nothing to wait for
        self._running.append((server, thread))
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        """Ask all to stop; they need a tenth of a second, for which ``join`` waits once, after the last test."""
        for server, _ in self._running:
            server.should_exit = True

    def join(self) -> None:
        """Wait until all have stopped."""
        for _, thread in self._running:
            thread.join(60)


Simulate = Callable[..., Account]


def open_account(servers: Servers, patience: float, options: dict[str, Value]) -> Account:
    """Start a simulated account and connect to it."""
    app = create(options)
    url = servers.start(app)
    context = Context("square", Unlimited(), public_url="https://shop.example", patience=patience)
    source = connect(context, {"access_token": TOKEN, "base_url": url, "webhook_keys": "k"})
    assert isinstance(source, SquareSource)
    return Account(url, httpx.Client(base_url=url, timeout=60), source, app.state.account.world)
