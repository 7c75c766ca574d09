"""Leases: slow work is not taken twice, and what a process cannot go on with it gives back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection
from sqlmodel import SQLModel

from app.domain import Cause, Change, ItemKey, Kind, Options, Strategy
from app.errors import DatabaseFault
from app.flows.items.leases import LEASE, LeaseKeeper
from app.stores import owed
from app.stores.owed import Claim
from app.stores.runs import runs
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from tests.fakes import SHOP, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(database: Database, clock: Clock) -> Iterator[LeaseKeeper]:
    keeper = LeaseKeeper(database, clock)
    yield keeper
    keeper.stop()


def key(item: str, kind: Kind = Kind.PRODUCT) -> ItemKey:
    return ItemKey(SHOP, kind, item)


def claim(database: Database, clock: Clock, *items: str, kind: Kind = Kind.PRODUCT) -> list[Claim]:
    with database.begin() as conn:
        owed.owe(conn, SHOP, [Change(kind, item) for item in items], Cause.WEBHOOK, clock())
        return [one for item in items for one in owed.claim(conn, key(item, kind), more=0, lease=LEASE, now=clock())]


def leased_until(database: Database) -> dict[str, datetime | None]:
    with database.read() as conn:
        table = SQLModel.metadata.tables["owed_items"]
        return {row.external_id: row.lease_until for row in conn.execute(table.select())}


def run_of(database: Database, clock: Clock) -> tuple[int, str]:
    with database.begin() as conn:
        run_id = runs.open_run(
            conn,
            connection=SHOP,
            strategy=Strategy.FULL,
            cause="person",
            slot=None,
            now=clock(),
            options=Options(),
        )
        assert run_id is not None
        assert runs.start(conn, run_id, "token", LEASE, clock())
    return run_id, "token"


def run_row(database: Database, run_id: int) -> Run:
    with database.read() as conn:
        row = runs.get(conn, run_id)
    assert row is not None
    return row


# --- renewing ---


def test_held_leases_are_renewed(database: Database, clock: Clock, keeper: LeaseKeeper) -> None:
    claims = claim(database, clock, "A", "B")
    clock.pass_(10)
    with keeper.hold_claims(claims):
        keeper.renew()
    assert set(leased_until(database).values()) == {clock() + timedelta(seconds=LEASE)}


def test_leases_of_several_kinds_are_renewed(database: Database, clock: Clock, keeper: LeaseKeeper) -> None:
    claims = claim(database, clock, "A") + claim(database, clock, "S", kind=Kind.STOCK)
    clock.pass_(10)
    with keeper.hold_claims(claims):
        keeper.renew()
    assert set(leased_until(database).values()) == {clock() + timedelta(seconds=LEASE)}


def test_a_lease_is_not_renewed_after_its_work(database: Database, clock: Clock, keeper: LeaseKeeper) -> None:
    claims = claim(database, clock, "A")
    before = leased_until(database)
    with keeper.hold_claims(claims):
        pass
    clock.pass_(10)
    keeper.renew()
    assert leased_until(database) == before


def test_a_lease_that_somebody_took_over_is_not_renewed(
    database: Database, clock: Clock, keeper: LeaseKeeper
) -> None:
    lost = claim(database, clock, "A")
    clock.pass_(LEASE + 1)
    claim(database, clock, "A")
    before = leased_until(database)
    clock.pass_(1)
    with keeper.hold_claims(lost):
        keeper.renew()
    assert leased_until(database) == before


def test_a_held_run_is_renewed(database: Database, clock: Clock, keeper: LeaseKeeper) -> None:
    run_id, token = run_of(database, clock)
    clock.pass_(10)
    with keeper.hold_run(run_id, token):
        keeper.renew()
    assert run_row(database, run_id).lease_until == clock() + timedelta(seconds=LEASE)


def test_the_thread_renews_by_itself(database: Database, clock: Clock) -> None:
    watched = _Watched(database)
    keeper = LeaseKeeper(watched, clock, every=0.001)  # type: ignore[arg-type]
    with keeper.hold_claims(claim(database, clock, "A")):
        assert watched.third.wait(30)
    keeper.stop()


# --- giving back ---


def test_what_is_given_back_can_be_claimed_at_once(database: Database, clock: Clock, keeper: LeaseKeeper) -> None:
    keeper.release_claims(claim(database, clock, "A"))
    assert claim(database, clock, "A")


def test_giving_back_counts_no_kill(database: Database, clock: Clock, keeper: LeaseKeeper) -> None:
    keeper.release_claims(claim(database, clock, "A"))
    clock.pass_(LEASE + 1)
    (again,) = claim(database, clock, "A")
    assert again.crashes == 0


def test_a_process_that_stops_gives_back_what_it_still_holds(database: Database, clock: Clock) -> None:
    keeper = LeaseKeeper(database, clock)
    with keeper.hold_claims(claim(database, clock, "A")):
        keeper.stop()
    assert leased_until(database) == {"A": None}


def test_a_process_that_stops_gives_its_run_back(database: Database, clock: Clock) -> None:
    keeper = LeaseKeeper(database, clock)
    run_id, token = run_of(database, clock)
    with keeper.hold_run(run_id, token):
        keeper.stop()
    row = run_row(database, run_id)
    assert (row.status, row.kills) == ("idle", 0)


def test_what_the_database_did_not_take_back_is_given_back_later(database: Database, clock: Clock) -> None:
    keeper = LeaseKeeper(_Failing(database, times=1), clock)  # type: ignore[arg-type]
    keeper.release_claims(claim(database, clock, "A"))
    assert leased_until(database)["A"] is not None
    keeper.renew()
    assert leased_until(database)["A"] is None
    keeper.stop()


def test_a_renewal_that_failed_stops_no_other(database: Database, clock: Clock) -> None:
    run_id, token = run_of(database, clock)
    keeper = LeaseKeeper(_Failing(database, times=1), clock)  # type: ignore[arg-type]
    clock.pass_(10)
    with keeper.hold_claims(claim(database, clock, "A")), keeper.hold_run(run_id, token):
        keeper.renew()
    assert run_row(database, run_id).lease_until == clock() + timedelta(seconds=LEASE)
    keeper.stop()


# --- whose fault a lost lease is ---


def test_a_lease_that_ran_out_while_the_database_was_away_is_no_kill(database: Database, clock: Clock) -> None:
    away_since = clock()
    claim(database, clock, "A")
    clock.pass_(60)
    with database.begin() as conn:
        (again,) = owed.claim(conn, key("A"), more=0, lease=LEASE, now=clock(), blameless=away_since)
    assert again.crashes == 0


def test_a_lease_that_ran_out_before_the_database_went_away_is_a_kill(database: Database, clock: Clock) -> None:
    claim(database, clock, "A")
    clock.pass_(60)
    with database.begin() as conn:
        (again,) = owed.claim(conn, key("A"), more=0, lease=LEASE, now=clock(), blameless=clock())
    assert again.crashes == 1


class _Watched:
    """A database that tells when its third transaction ended."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._left = 3
        self.third = threading.Event()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self._database.begin() as conn:
            yield conn
        self._left -= 1
        if self._left == 0:
            self.third.set()


class _Failing:
    """A database that is away for so many transactions."""

    def __init__(self, database: Database, times: int) -> None:
        self._database = database
        self._left = times

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        if self._left:
            self._left -= 1
            raise DatabaseFault("the server is restarting")
        with self._database.begin() as conn:
            yield conn


def test_a_keeper_that_holds_nothing_any_more_has_no_thread(database: Database, clock: Clock) -> None:
    keeper = LeaseKeeper(database, clock, every=0.01)
    with keeper.hold_claims(claim(database, clock, "A")):
        renewing = keeper._thread
    assert renewing is not None
    renewing.join(60)
    assert not renewing.is_alive()


def test_a_keeper_that_held_nothing_for_a_while_renews_what_it_holds_then(database: Database, clock: Clock) -> None:
    keeper = LeaseKeeper(database, clock, every=0.01)
    claimed = claim(database, clock, "A")
    with keeper.hold_claims(claimed):
        first = keeper._thread
    assert first is not None
    first.join(60)
    with keeper.hold_claims(claimed):
        second = keeper._thread
        assert second is not None
        assert second.is_alive()
    keeper.stop()
