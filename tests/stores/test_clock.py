"""One clock, the database's: hosts that are off by seconds or by a year do no harm, and say so."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from app.domain import Cause, Change, ItemKey, Kind, Listing, Ref, micros
from app.errors import DatabaseFault
from app.flows.items.leases import LEASE, LeaseKeeper, blameless
from app.flows.items.sync_item import sync_item
from app.flows.reports.condition import skewed
from app.flows.reports.status import readiness
from app.flows.runs.request_run import check_stuck
from app.flows.upkeep.heartbeat import record_heartbeat
from app.sources.base import Limit
from app.stores import catalog, owed
from app.stores.runs import runs
from app.stores.runs.budgets import SharedBudget
from app.stores.sql.clock import DatabaseClock
from app.stores.sql.engine import Database, open_database
from app.stores.upkeep import heartbeats
from tests.fakes import SHOP, World, listing
from tests.rows import row_of

SKEWS = [60.0, -60.0, 400 * 86_400.0]
KEY = ItemKey(SHOP, Kind.PRODUCT, "A")


@dataclass
class Host:
    """A machine whose wall clock is off by ``ahead`` seconds; its monotonic clock is a real one."""

    ahead: float = 0.0
    counted: float = 0.0

    def wall(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.counted

    def clock(self, database: Database) -> DatabaseClock:
        clock = DatabaseClock(database, wall=self.wall, monotonic=self.monotonic)
        clock.measure()
        return clock


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    with closing(open_database(postgres_url)) as database:
        yield database


def away(one: datetime, other: datetime) -> float:
    return abs((one - other).total_seconds())


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_wrong_host_has_the_databases_time(postgres: Database, ahead: float) -> None:
    assert away(Host(ahead).clock(postgres).now(), datetime.now(UTC)) < 30


def test_a_host_whose_clock_jumps_keeps_the_databases_time(postgres: Database) -> None:
    host = Host()
    clock = host.clock(postgres)
    host.ahead = 3600.0
    assert away(clock.now(), datetime.now(UTC)) < 30


def test_a_monotonic_clock_that_drifts_is_corrected_by_the_next_measurement(postgres: Database) -> None:
    host = Host()
    clock = host.clock(postgres)
    host.counted = 500.0
    assert away(clock.now(), datetime.now(UTC)) > 400
    clock.measure()
    assert away(clock.now(), datetime.now(UTC)) < 30


def test_time_does_not_go_back_over_a_small_correction(postgres: Database) -> None:
    host = Host()
    clock = host.clock(postgres)
    before = clock.now()
    host.counted = -0.5
    assert clock.now() >= before


class Lost:
    """A database that answers once, and then is away."""

    def __init__(self, database: Database) -> None:
        self._database, self._answers = database, 1
        self.dialect = database.dialect

    def read(self) -> AbstractContextManager[Connection]:
        self._answers -= 1
        if self._answers < 0:
            raise DatabaseFault("the server is restarting")
        return self._database.read()


def test_a_measurement_that_fails_leaves_the_last_one_in_force(postgres: Database) -> None:
    clock = Host(ahead=3600.0).clock(Lost(postgres))  # type: ignore[arg-type]
    clock.measure()
    assert away(clock.now(), datetime.now(UTC)) < 30


class Rehearsed:
    """A server and a process of one virtual time (seconds); ``pauses`` says how long the process is stopped after each
    look at the server's clock."""

    dialect = "postgresql"

    def __init__(self, *pauses: float) -> None:
        self.seconds = 1_000_000.0
        self.pauses = list(pauses)

    @contextmanager
    def read(self) -> "Iterator[Rehearsed]":
        yield self

    def exec_driver_sql(self, _: str) -> "Rehearsed":
        return self

    def scalar_one(self) -> float:
        seen = self.seconds
        self.seconds += self.pauses.pop(0) if self.pauses else 0.0
        return seen

    def clock(self) -> DatabaseClock:
        return DatabaseClock(self, monotonic=lambda: self.seconds - 999_000)  # type: ignore[arg-type]


def test_a_process_that_is_stopped_while_it_measures_keeps_its_last_measurement() -> None:
    server = Rehearsed(0.0, 20.0, 20.0, 20.0)
    clock = server.clock()
    clock.measure()
    clock.measure()
    assert clock.now().timestamp() == server.seconds


def test_a_process_that_is_stopped_in_its_first_measurement_measures_again() -> None:
    server = Rehearsed(20.0)
    clock = server.clock()
    clock.measure()
    assert clock.now().timestamp() == server.seconds


def test_a_server_that_always_answers_slowly_is_believed_more_than_the_host() -> None:
    server = Rehearsed(*[4.0] * 3)
    clock = server.clock()
    clock.measure()
    assert abs(clock.now().timestamp() - server.seconds) <= 2


# --- a clock that jumps ahead: a laptop that slept, a clock that was set ---


@pytest.fixture
def slept(database: Database) -> World:
    """A worker on a machine that slept for an hour: its monotonic clock did not count it."""
    host = Host(ahead=-3600.0 if database.dialect == "sqlite" else 0.0)
    world = World(database)
    clock = host.clock(database)
    world.deps = replace(world.deps, now=clock.now, host=clock)
    if database.dialect == "sqlite":
        host.ahead = 0.0
    else:
        host.counted = -3600.0
    clock.measure()
    clock.now()
    return world


def test_a_lease_that_a_jump_of_the_clock_ended_was_lost_by_nobody(slept: World) -> None:
    assert away(blameless(slept.deps), slept.deps.now() - timedelta(hours=1)) < 30


def test_no_run_is_failed_because_the_clock_jumped_ahead(slept: World) -> None:
    before = slept.deps.now() - timedelta(hours=1)
    with slept.database.begin() as conn:
        run_id = runs.open_run(conn, connection=SHOP, strategy="full", cause="person", slot=None, now=before)
        assert run_id is not None
        runs.start(conn, run_id, "token", LEASE, before)
    assert check_stuck(slept.deps) == []


def test_a_clock_that_runs_evenly_is_no_trouble(database: Database) -> None:
    clock = Host().clock(database)
    clock.now()
    clock.measure()
    clock.now()
    assert database.trouble() is None


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_host_knows_how_far_it_is_off(postgres: Database, ahead: float) -> None:
    assert abs(Host(ahead).clock(postgres).skew() - ahead) < 30


def test_the_machines_clock_is_that_of_an_embedded_database(sqlite_url: str) -> None:
    with closing(open_database(sqlite_url)) as database:
        assert DatabaseClock(database, wall=lambda: 1_700_000_000.0).now() == datetime.fromtimestamp(
            1_700_000_000, UTC
        )


# --- what hangs on it ---


def world_on(database: Database, ahead: float) -> World:
    """A worker on a host that is so far ahead."""
    world = World(database)
    clock = Host(ahead).clock(database)
    world.deps = replace(world.deps, now=clock.now, host=clock)
    return world


def owe(world: World) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, "A")], Cause.WEBHOOK, world.deps.now())


def sync(world: World) -> None:
    sync_item(world.deps, LeaseKeeper(world.database, world.deps.now), KEY)


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_living_lease_is_not_taken_by_a_host_that_is_off(postgres: Database, ahead: float) -> None:
    right, wrong = world_on(postgres, 0.0), world_on(postgres, ahead)
    owe(right)
    with postgres.begin() as conn:
        assert owed.claim(conn, KEY, more=0, lease=LEASE, now=right.deps.now())
    wrong.source.put(listing("A"))
    sync(wrong)
    assert wrong.source.calls() == 0


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_deletion_seen_by_a_right_host_stays_though_a_wrong_one_read_before(
    postgres: Database, ahead: float
) -> None:
    right, wrong = world_on(postgres, 0.0), world_on(postgres, ahead)
    began = wrong.deps.now()
    owe(right)
    sync(right)
    with postgres.begin() as conn:
        catalog.apply(conn, SHOP, [listing("A", version=5)], read_at=began, now=wrong.deps.now())
        row = row_of(conn, SHOP, Kind.PRODUCT, ("A",))
    assert row is not None
    assert row["deleted"]


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_budget_is_one_window_for_all_hosts(postgres: Database, ahead: float) -> None:
    limit = Limit("calls", 3, 3600.0)
    clocks = [Host(0.0).clock(postgres), Host(ahead).clock(postgres)]
    budgets = [SharedBudget(postgres, SHOP, lambda clock=clock: clock.now().timestamp()) for clock in clocks]  # type: ignore[misc]
    granted = sum(budget.take([limit]) == 0.0 for _ in range(5) for budget in budgets)
    assert granted <= 3


@pytest.mark.parametrize(("ahead", "ready"), [(0.0, True), (60.0, False), (-60.0, False)])
def test_a_host_that_is_off_is_not_ready_and_says_by_how_much(postgres: Database, ahead: float, ready: bool) -> None:
    world = world_on(postgres, ahead)
    for role in ("worker", "clock"):
        record_heartbeat(replace(world.deps, worker=f"{role}@here"), role)
    report = readiness(world.deps)
    assert report.ready is ready
    assert abs(report.clock_ahead_seconds - ahead) < 2


def test_how_far_a_host_is_off_is_said_in_words() -> None:
    assert skewed(-60.2).startswith("this host's clock is 60.2 s behind the database's")


def test_a_process_is_known_to_have_begun_by_the_databases_clock(postgres: Database) -> None:
    world = world_on(postgres, 400 * 86_400.0)
    record_heartbeat(world.deps, "web")
    with postgres.read() as conn:
        began = heartbeats.first_start(conn, "web")
    assert began is not None
    assert timedelta(0) <= datetime.now(UTC) - began < timedelta(hours=3)


# --- rows that an earlier wrong clock wrote (E1), and records dated in the future (E3) ---


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def write(world: World, name: str, *, version: datetime, read_at: datetime, now: datetime) -> None:
    record = Listing("A", name=name, version=micros(version))
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, [record], read_at=read_at, now=now)


def name_of(world: World) -> object:
    with world.database.read() as conn:
        return (row_of(conn, SHOP, Kind.PRODUCT, ("A",)) or {})["name"]


def test_a_row_written_while_a_clock_was_ahead_does_not_hold_off_the_truth(world: World) -> None:
    ahead, now = world.clock() + timedelta(days=400), world.clock()
    write(world, "frozen", version=ahead, read_at=ahead, now=ahead)
    write(world, "true", version=now, read_at=now, now=now)
    assert name_of(world) == "true"


def test_a_row_read_while_a_clock_was_ahead_can_be_deleted(world: World) -> None:
    ahead, now = world.clock() + timedelta(days=400), world.clock()
    write(world, "frozen", version=ahead, read_at=ahead, now=ahead)
    with world.database.begin() as conn:
        catalog.tombstone(conn, SHOP, [Ref(Kind.PRODUCT, "A")], read_at=now, now=now)
        row = row_of(conn, SHOP, Kind.PRODUCT, ("A",))
    assert row is not None
    assert row["deleted"]


def test_a_record_dated_in_the_future_is_written(world: World) -> None:
    now = world.clock()
    write(world, "from 2031", version=datetime(2031, 1, 1, tzinfo=UTC), read_at=now, now=now)
    assert name_of(world) == "from 2031"


def test_a_record_dated_in_the_future_does_not_hold_off_a_later_edit(world: World) -> None:
    now = world.clock()
    write(world, "from 2031", version=datetime(2031, 1, 1, tzinfo=UTC), read_at=now, now=now)
    later = now + timedelta(minutes=1)
    write(world, "corrected", version=later, read_at=later, now=later)
    assert name_of(world) == "corrected"


def test_a_record_dated_some_seconds_ahead_does_not_hold_off_an_edit_before_that_time(world: World) -> None:
    now = world.clock()
    write(world, "dated ahead", version=now + timedelta(seconds=50), read_at=now, now=now)
    sooner = now + timedelta(seconds=10)
    write(world, "edited", version=sooner, read_at=sooner, now=sooner)
    assert name_of(world) == "edited"


def test_of_two_records_dated_ahead_the_older_read_does_not_win_by_being_written_later(world: World) -> None:
    now, later = world.clock(), world.clock() + timedelta(seconds=5)
    write(world, "newer", version=now + timedelta(seconds=51), read_at=now + timedelta(seconds=1), now=now)
    write(world, "older", version=now + timedelta(seconds=50), read_at=now, now=later)
    assert name_of(world) == "newer"
