"""Rounds of real processes find nothing, and what judges them would find something."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psycopg
import pytest

from app.domain import Kind
from app.prove import processes
from app.prove.real.databases import ProvingDatabase, postgresql, sqlite
from app.prove.real.mischief import PAST_LEASE
from app.prove.real.stack import Stack, eventually, simulate
from app.prove.real.truth import difference, lost
from app.sources import names

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]


@pytest.mark.parametrize("database", [pytest.param("sqlite", marks=pytest.mark.prove), "postgresql"])
def test_a_round_of_real_processes_finds_nothing(database: str) -> None:
    assert processes.rounds(1, 9, print, database=database) == []


def test_a_seed_always_means_the_same_plan() -> None:
    assert processes.plan(Random(3)) == processes.plan(Random(3))


def test_another_seed_means_another_plan() -> None:
    assert processes.plan(Random(3)) != processes.plan(Random(4))


def test_every_pause_is_longer_than_a_lease() -> None:
    pauses = [event.lasts for event in processes.plan(Random(3)) if event.name == "pause"]
    assert min(pauses) >= PAST_LEASE[0]


# --- the judges ---


@pytest.fixture
def empty(sqlite_url: str, tmp_path: Path) -> Iterator[Stack]:
    """Simulated vendors beside a database that holds nothing of theirs."""
    stack = Stack(tmp_path, {"TALLYHOOK_DATABASE_URL": sqlite_url, "TALLYHOOK_PUBLIC_URL": "http://127.0.0.1:1"})
    try:
        for name in names():
            simulate(stack, name, {"products": 3, "orders": 0}, {})
        yield stack
    finally:
        stack.stop()


@pytest.mark.parametrize("kind", [Kind.PRODUCT, Kind.STOCK])
def test_every_row_that_we_lack_is_a_difference(empty: Stack, kind: Kind) -> None:
    for name, vendor in empty.simulated.items():
        assert len(difference(empty, name, kind)) == len(vendor.truth(kind)) > 0


@dataclass
class Acknowledged:
    """A vendor who was answered."""

    events: set[str]

    def acknowledged(self) -> set[str]:
        return self.events


def test_an_acknowledged_event_that_is_not_in_the_inbox_is_lost(sqlite_url: str, tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"TALLYHOOK_DATABASE_URL": sqlite_url})
    stack.simulated["shop"] = Acknowledged({"e1"})  # type: ignore[assignment]
    assert lost(stack) == ["shop: event e1 was acknowledged and is lost"]


def test_waiting_goes_on_as_long_as_something_moves() -> None:
    left = list(range(20))

    def work() -> bool:
        left.pop()
        return not left

    assert eventually(work, within=0.05, every=0.03, progress=lambda: len(left))


def test_waiting_ends_when_nothing_moves() -> None:
    assert not eventually(lambda: False, within=0.05, every=0.01, progress=lambda: 1)


# --- the harms ---


def test_a_locked_sqlite_file_lets_nobody_write(tmp_path: Path) -> None:
    with (
        sqlite(tmp_path) as database,
        database.harms["database locked by another program"](),
        closing(sqlite3.connect(tmp_path / "tallyhook.db", timeout=0.05)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


@pytest.fixture(scope="module")
def server() -> Iterator[ProvingDatabase]:
    with postgresql() as database:
        yield database


@pytest.mark.parametrize("harm", ["database restarted", "database read-only"])
def test_a_harmed_postgresql_lets_nobody_write_until_it_is_over(server: ProvingDatabase, harm: str) -> None:
    with server.harms[harm](), pytest.raises(psycopg.Error):
        write(server)
    write(server)


@pytest.mark.parametrize("harm", ["database restarted", "database read-only", "sessions ended"])
def test_a_harm_to_postgresql_ends_the_sessions_there_are(server: ProvingDatabase, harm: str) -> None:
    with closing(psycopg.connect(server.url, autocommit=True)) as session:
        with server.harms[harm]():
            pass
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")


def test_a_session_that_began_read_only_stays_so(server: ProvingDatabase) -> None:
    with server.harms["database read-only"]():
        session = psycopg.connect(server.url, autocommit=True)
    with closing(session), pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session.execute("UPDATE schedules SET enabled = enabled")


def write(database: ProvingDatabase) -> None:
    with psycopg.connect(database.url) as conn:
        conn.execute("UPDATE schedules SET enabled = enabled")
