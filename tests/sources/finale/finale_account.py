"""A simulated Finale account behind real HTTP, and the means to talk to it."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from app.sources.base import Budget, Context, Unlimited
from app.sources.finale import connect
from app.sources.finale.simulator import create
from app.sources.finale.source import FinaleSource
from app.sources.simulating.settings import Value
from tests.sources.simulated import Servers, Simulated

CREDENTIALS = {"account": "demo", "api_key": "simulated-key", "api_secret": "simulated-secret"}
AUTH = ("simulated-key", "simulated-secret")
NO_LIMITS: Mapping[str, Value] = {"rate_get": 0, "rate_lists": 0}


@dataclass
class Account(Simulated):
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

    def reads(self, collection: str) -> int:
        """How many list reads of a collection there were."""
        count: int = self.status()["requests"].get(f"GET /demo/api/{collection}/", 0)
        return count

    def close(self) -> None:
        """Close our side."""
        for source in self.sources:
            source.close()
        self.control.close()


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
