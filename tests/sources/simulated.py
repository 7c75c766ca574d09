"""A simulated account behind real HTTP, of any vendor: its server, and the means to talk to its control endpoints."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from app.sources.simulating.settings import Value


class Simulated:
    """The control endpoints of a running simulator."""

    control: httpx.Client

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """The rows of a perfect copy."""
        rows: list[dict[str, Any]] = self.control.get(f"/_sim/truth/{kind}").json()
        return rows

    def change(self, count: int, *kinds: str) -> list[dict[str, str]]:
        """Make changes in the shop; returns what changed."""
        answer = self.control.post("/_sim/changes", json={"count": count, "kinds": kinds})
        assert answer.status_code == 200, answer.text
        changed: list[dict[str, str]] = answer.json()
        return changed

    def faults(self, **switches: Value) -> None:
        """Switch faults."""
        answer = self.control.post("/_sim/faults", json=switches)
        assert answer.status_code == 200, answer.text

    def status(self) -> dict[str, Any]:
        """The simulator's status."""
        status: dict[str, Any] = self.control.get("/_sim/status").json()
        return status

    def wait_for(self, ready: Callable[[dict[str, Any]], bool], seconds: float = 60.0) -> dict[str, Any]:
        """The status as soon as it is as wanted."""
        deadline = time.monotonic() + seconds
        while not ready(status := self.status()):
            assert time.monotonic() < deadline, status
        return status


class Servers:
    """Starts apps on ports that the system picks, and stops them."""

    def __init__(self) -> None:
        self._running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(self, app: ASGIApp) -> str:
        """Serve an app; returns its base URL."""
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
        """Ask all to stop. Each needs a tenth of a second, for which ``wait`` waits once, after the last test."""
        for server, _ in self._running:
            server.should_exit = True

    def wait(self) -> None:
        """Stop all, and wait until they have stopped."""
        self.stop()
        for _, thread in self._running:
            thread.join(60)
        self._running.clear()
