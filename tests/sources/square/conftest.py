"""Fixtures: a simulated Square account behind real HTTP, and our source connected to it."""

from collections.abc import Iterator

import pytest

from app.sources.simulating.settings import Value
from tests.sources.simulated import Servers
from tests.sources.square.square_account import Account, Simulate, open_account


@pytest.fixture(scope="session")
def _all_servers() -> Iterator[Servers]:
    running = Servers()
    yield running
    running.wait()


@pytest.fixture
def servers(_all_servers: Servers) -> Iterator[Servers]:
    """Servers that stop with the test."""
    yield _all_servers
    _all_servers.stop()


@pytest.fixture(scope="session")
def still() -> Iterator[Account]:
    """A simulated account that no test may change."""
    running = Servers()
    account = open_account(running, 5.0, {"products": 60, "orders": 60, "seed": 7})
    yield account
    account.source.close()
    account.control.close()
    running.wait()


@pytest.fixture
def simulate(servers: Servers) -> Iterator[Simulate]:
    """Start a simulated account with options of the simulator and connect to it."""
    opened: list[Account] = []

    def start(patience: float = 5.0, **options: Value) -> Account:
        opened.append(open_account(servers, patience, options))
        return opened[-1]

    yield start
    for account in opened:
        account.source.close()
        account.control.close()
