"""Leases: slow work is not taken twice, whatever happens to one renewal."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from app.domain import Cause, Change, ItemKey, Kind
from app.flows.leases import LeaseKeeper
from app.stores import owed
from app.stores.engine import Database
from tests.fakes import SHOP

SOON = 60.0  # seconds a test waits for what takes milliseconds


class Renewal:
    """Counts its calls, and fails as often as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self._called = threading.Condition()
        self.calls = 0

    def __call__(self, conn: Connection, until: datetime) -> None:
        with self._called:
            self.calls += 1
            self._called.notify_all()
        if self._failures:
            raise self._failures.pop(0)

    def comes(self, calls: int) -> bool:
        with self._called:
            return self._called.wait_for(lambda: self.calls >= calls, SOON)


@pytest.fixture
def keeper(database: Database) -> Iterator[LeaseKeeper]:
    with closing(_Stopping(database)) as kept:
        yield kept.keeper


class _Stopping:
    def __init__(self, database: Database) -> None:
        self.keeper = LeaseKeeper(database, every=0.005)

    def close(self) -> None:
        self.keeper.stop()


def test_a_lease_is_renewed_while_its_work_lasts(keeper: LeaseKeeper) -> None:
    renewal = Renewal()
    with keeper.hold(renewal):
        assert renewal.comes(3)


def test_a_lease_is_not_renewed_after_its_work(keeper: LeaseKeeper) -> None:
    ended, other = Renewal(), Renewal()
    with keeper.hold(ended):
        assert ended.comes(1)
    with keeper.hold(other):
        assert other.comes(2)
        calls = ended.calls
        assert other.comes(4)
    assert ended.calls == calls


def test_leases_are_held_side_by_side(keeper: LeaseKeeper) -> None:
    one, other = Renewal(), Renewal()
    with keeper.hold(one), keeper.hold(other):
        assert one.comes(2)
        assert other.comes(2)


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("", {}, Exception("gone")),
        sqlite3.OperationalError("database is locked"),
        psycopg.OperationalError("server closed the connection"),
        psycopg.errors.DeadlockDetected("deadlock"),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_a_renewal_that_failed_is_tried_again(keeper: LeaseKeeper, error: Exception) -> None:
    renewal = Renewal(error)
    with keeper.hold(renewal):
        assert renewal.comes(2)


def test_one_failing_renewal_stops_no_other(keeper: LeaseKeeper) -> None:
    failing, healthy = Renewal(*[sqlite3.OperationalError("locked")] * 1000), Renewal()
    with keeper.hold(failing), keeper.hold(healthy):
        assert healthy.comes(3)


def test_renewals_do_not_hold_each_others_locks(keeper: LeaseKeeper, database: Database) -> None:
    """A transaction over several claims would lock rows in no order, and so deadlock with a receiver's commit."""
    claimed_at = datetime(2026, 6, 1, tzinfo=UTC)
    with database.begin() as conn:
        owed.remember(conn, SHOP, [Change(Kind.PRODUCT, "A")], Cause.WEBHOOK, claimed_at)
        claims = owed.claim(conn, ItemKey(SHOP, Kind.PRODUCT, "A"), more=0, lease=15, now=claimed_at)
    seen: list[object] = []
    looked = threading.Event()

    def look(conn: Connection, until: datetime) -> None:
        with database.read() as other:
            seen.append(other.exec_driver_sql("SELECT lease_until FROM owed_items").scalar())
        if len(seen) == 2:
            looked.set()

    before = _lease(database)
    with keeper.hold(lambda conn, until: owed.extend(conn, claims, until=until)), keeper.hold(look):
        assert looked.wait(SOON)
    assert seen[0] != before, "the first renewal was committed before the second began"


def _lease(database: Database) -> object:
    with database.read() as conn:
        return conn.exec_driver_sql("SELECT lease_until FROM owed_items").scalar()
