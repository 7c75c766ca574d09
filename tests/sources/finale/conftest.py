"""Fixtures: simulated Finale accounts behind real HTTP."""

import time
from collections.abc import Callable, Iterator

import pytest

from app.sources.simulating.settings import Value
from tests.sources.finale.finale_account import Account, open_account
from tests.sources.simulated import Servers

Simulate = Callable[..., Account]


@pytest.fixture(scope="session")
def all_servers() -> Iterator[Servers]:
    """Waits for the servers at the end of the session, because each takes a tenth of a second to stop."""
    running = Servers()
    yield running
    running.wait()


@pytest.fixture
def servers(all_servers: Servers) -> Iterator[Servers]:
    """Servers that are asked to stop with the test."""
    yield all_servers
    all_servers.stop()


@pytest.fixture
def simulate(servers: Servers) -> Iterator[Simulate]:
    """Start a simulated account with options of the simulator."""
    opened: list[Account] = []

    def start(clock: Callable[[], float] = time.time, **options: Value) -> Account:
        opened.append(open_account(servers, options, clock))
        return opened[-1]

    yield start
    for account in opened:
        account.close()
