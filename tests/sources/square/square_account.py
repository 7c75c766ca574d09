"""A simulated Square account behind real HTTP, and the means to talk to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from app.sources.base import Context, Unlimited
from app.sources.simulating.settings import Value
from app.sources.square import connect
from app.sources.square.simulator import create
from app.sources.square.source import SquareSource
from tests.sources.simulated import Servers, Simulated

TOKEN = "simulated-token"


@dataclass
class Account(Simulated):
    """A running simulator and the means to talk to it."""

    url: str
    control: httpx.Client
    source: SquareSource
    world: Any


Simulate = Callable[..., Account]


def open_account(servers: Servers, patience: float, options: dict[str, Value]) -> Account:
    """Start a simulated account and connect to it."""
    app = create(options)
    url = servers.start(app)
    context = Context("square", Unlimited(), public_url="https://shop.example", patience=patience)
    source = connect(context, {"access_token": TOKEN, "base_url": url, "webhook_keys": "k"})
    assert isinstance(source, SquareSource)
    return Account(url, httpx.Client(base_url=url, timeout=60), source, app.state.account.world)
