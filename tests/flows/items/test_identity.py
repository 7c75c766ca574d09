"""Whose account a connection reads: found by one process, known to all."""

from dataclasses import replace

import pytest

from app.errors import Unavailable
from app.flows.connections.identity import find_accounts, learn_accounts
from app.stores.sql.engine import Database
from tests.fakes import SHOP, FakeSource, World


class Account(FakeSource):
    """A shop that knows whose it is."""

    def __init__(self, account: str = "M-1") -> None:
        super().__init__()
        self.name_of_account = account
        self.learned: list[str] = []

    def account(self) -> str:
        self._called("account")
        return self.name_of_account

    def learn(self, account: str) -> None:
        self.learned.append(account)


@pytest.fixture
def world(database: Database) -> World:
    return World(database, Account())


def elsewhere(world: World) -> tuple[World, Account]:
    """Another process: it makes no calls of its own."""
    source = Account()
    other = World(world.database, source)
    other.deps = replace(other.deps, sources={SHOP: source}, now=world.clock)
    return other, source


def test_what_the_clock_finds_the_web_process_learns(world: World) -> None:
    find_accounts(world.deps)
    other, source = elsewhere(world)
    learn_accounts(other.deps)
    assert (source.learned, source.calls()) == (["M-1"], 0)


def test_an_account_that_cannot_be_told_is_not_learned(database: Database) -> None:
    world = World(database, Account(""))
    find_accounts(world.deps)
    other, source = elsewhere(world)
    learn_accounts(other.deps)
    assert source.learned == []


def test_a_vendor_that_does_not_answer_leaves_what_was_known(world: World) -> None:
    find_accounts(world.deps)
    world.source.failures.append(Unavailable("down"))
    find_accounts(world.deps)
    other, source = elsewhere(world)
    learn_accounts(other.deps)
    assert source.learned == ["M-1"]
