"""PgBouncer in transaction mode stands between Tallyhook and PostgreSQL, and all works as without it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlmodel import SQLModel

from app.domain import Cause, Change, Delivery, ItemKey, Kind, Options, Strategy
from app.errors import BadConfiguration, DatabaseFault, TakesTooLong
from app.flows.inbox.receive import Intake
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.stores import owed
from app.stores.access import accounts
from app.stores.inbox.inbox import Arrival
from app.stores.runs import runs
from app.stores.sql.clock import DatabaseClock
from app.stores.sql.engine import Database, open_database
from app.stores.sql.time_limits import TimeLimit
from app.stores.upkeep import heartbeats
from tests import pgbouncer
from tests.fakes import EPOCH, SHOP, FakeSource, World, count, listing
from tests.stack import differences, eventually, running
from tests.stores.racing import at_once
from tests.web.serving import inbox_ids, rows

pytestmark = pytest.mark.pgbouncer

NAME = "pooled"
THREADS = 8  # more than the pooler has sessions
SPELLINGS = ("", "pgbouncer=true", "prepare_threshold=none", "prepare_threshold=0")


@pytest.fixture(scope="module")
def address(pg_server: str) -> Iterator[str]:
    with pgbouncer.running(pg_server) as found:
        yield found


@pytest.fixture(scope="module")
def _direct(pg_server: str, address: str) -> Iterator[str]:
    """A database that was migrated through the pooler, by its URL without it."""
    url = f"{pg_server.partition('?')[0].rpartition('/')[0]}/{NAME}?{pg_server.partition('?')[2]}"
    with psycopg.connect(pg_server, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {NAME}")
        with closing(open_database(pgbouncer.through(address, url), pool=1)) as database:
            database.migrate()
        yield url
        conn.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


@pytest.fixture
def direct(_direct: str) -> str:
    """The database, empty, by its URL without the pooler."""
    with psycopg.connect(_direct, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(";".join(f"DELETE FROM {table}" for table in SQLModel.metadata.tables).encode())
    return _direct


@pytest.fixture(params=SPELLINGS)
def pooled(request: pytest.FixtureRequest, address: str, direct: str) -> Iterator[Database]:
    """The database through the pooler, with each way to write it in the URL."""
    with closing(open_database(pgbouncer.through(address, direct, request.param), pool=THREADS)) as database:
        yield database


@pytest.fixture
def world(pooled: Database) -> World:
    return World(pooled, FakeSource(page_size=10))


def _beat(database: Database, thread: int) -> None:
    for number in range(12):  # often enough for any threshold
        with database.begin() as conn:
            heartbeats.record(conn, f"{thread}-{number}", "worker", EPOCH, EPOCH)
        with database.once() as conn:
            heartbeats.record(conn, f"{thread}-{number}-once", "worker", EPOCH, EPOCH)
        with database.read() as conn:
            heartbeats.alive(conn, "worker", EPOCH)


def _alive(database: Database) -> int:
    with database.read() as conn:
        return heartbeats.alive(conn, "worker", EPOCH)


def _of_every_session(address: str, url: str, query: str) -> list[object]:
    """What a query gives on each of the sessions that the pooler has with the server, all held at once."""
    with ExitStack() as held:
        plain = partial(psycopg.connect, pgbouncer.through(address, url), prepare_threshold=None)
        clients = [held.enter_context(plain()) for _ in range(pgbouncer.SESSIONS)]
        return [row[0] for client in clients if (row := client.execute(query.encode()).fetchone())]


def _shown(database: Database, way: str, setting: str) -> object:
    with getattr(database, way)() as conn:
        return conn.exec_driver_sql(f"SHOW {setting}").scalar()


# --- what runs through it ---


def test_a_time_limit_ends_its_question_and_stays_in_no_session_of_the_pooler(
    pooled: Database, address: str, direct: str
) -> None:
    with pytest.raises(TakesTooLong), pooled.limited(TimeLimit(0.2)).read() as conn:
        conn.exec_driver_sql("SELECT pg_sleep(60)")
    assert set(_of_every_session(address, direct, "SHOW statement_timeout")) == {"0"}


def test_a_question_is_ended_through_the_pooler(pooled: Database) -> None:
    limit, told = TimeLimit(3_600), []

    def ask() -> None:
        try:
            with pooled.limited(limit).read() as conn:
                conn.exec_driver_sql("SELECT pg_sleep(60)")
        except TakesTooLong as error:
            told.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'"
    assert eventually(lambda: rows(pooled, running) == [(1,)], within=30)
    limit.end()
    thread.join(30)
    assert len(told) == 1


def test_threads_that_share_its_sessions_all_get_through(pooled: Database) -> None:
    at_once(THREADS, partial(_beat, pooled))
    assert _alive(pooled) == THREADS * 24


def test_deliveries_that_arrive_together_are_all_committed(world: World) -> None:
    async def offer() -> None:
        intake = Intake(world.deps)
        intake.start()
        await asyncio.gather(*(intake.offer(_arrival(world, f"e{number:03}")) for number in range(300)))
        intake.stop()

    asyncio.run(offer())
    assert len(inbox_ids(world.database)) == 300


def _arrival(world: World, event_id: str) -> Arrival:
    change = Change(Kind.PRODUCT, event_id)
    return Arrival(SHOP, Delivery(event_id, "product.updated", [change]), {}, b"{}", world.clock())


def test_owed_items_are_synced_by_many_threads(world: World) -> None:
    names = [f"P{number:03}" for number in range(THREADS * 12)]
    world.source.put(*(listing(name) for name in names))
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(Kind.PRODUCT, name) for name in names], Cause.WEBHOOK, world.clock())
    keeper = LeaseKeeper(world.database)

    def work(thread: int) -> None:
        for name in names[thread::THREADS]:
            sync_item(world.deps, keeper, ItemKey(SHOP, Kind.PRODUCT, name))

    at_once(THREADS, work)
    assert _counted(world.database, "listings", "owed_items", "dead_letters") == [len(names), 0, 0]


def _counted(database: Database, *tables: str) -> list[int]:
    with database.read() as conn:
        return [int(conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()) for table in tables]


@pytest.mark.parametrize("strategy", [Strategy.FULL, Strategy.INCREMENTAL])
def test_a_run_completes(world: World, strategy: Strategy) -> None:
    for number in range(35):
        world.source.put(listing(f"P{number:03}"), count(f"P{number:03}", number))
    run_id = request_run(world.deps, SHOP, strategy, Options(), cause="person")
    run(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    with world.database.read() as conn:
        ended = runs.get(conn, run_id)
    assert ended is not None
    assert (ended.status, _counted(world.database, "listings", "stock")) == ("completed", [35, 35])


def test_a_schema_is_at_head_after_a_migration_through_it(pooled: Database) -> None:
    assert pooled.at_head()


def test_two_migrations_at_once_take_turns(pooled: Database) -> None:
    at_once(2, lambda number: pooled.migrate())
    assert pooled.at_head()


def test_the_database_clock_is_measured_through_it(pooled: Database) -> None:
    clock = DatabaseClock(pooled, wall=lambda: 0.0)
    clock.measure()
    assert clock.now() > EPOCH


def test_a_lock_ends_with_its_transaction(pooled: Database) -> None:
    def take(number: int) -> None:
        with pooled.begin() as conn:
            accounts.has_any(conn)

    at_once(THREADS, take)
    assert pooled.trouble() is None


@pytest.mark.journey
@pytest.mark.timeout(600)
def test_real_processes_end_equal_to_the_vendors_truth(address: str, direct: str, tmp_path: Path) -> None:
    url = pgbouncer.through(address, direct, "pgbouncer=true")
    mixed = ["--queues", "live,bulk", "--threads", "8"]
    with running(
        url, tmp_path, shop={"products": 40, "seed": 7}, workers={"worker": mixed}, TALLYHOOK_POLL_CRON="* * * * *"
    ) as stack:
        wrong = partial(differences, stack)
        loaded = "SELECT count(*) AS n FROM watermarks"
        assert eventually(lambda: stack.sql(loaded)[0]["n"] >= 9 and not wrong(), within=120, progress=wrong), wrong()
        for simulated in stack.simulated.values():
            simulated.change(50)
        assert eventually(lambda: not wrong(), within=150, progress=wrong), (wrong()[:10], stack.logs())
        assert stack.sql("SELECT * FROM dead_letters") == []


# --- what it is spared ---


@pytest.mark.parametrize("setting", ["enable_seqscan", "jit"])
def test_a_setting_of_ours_ends_with_its_transaction(
    pooled: Database, address: str, direct: str, setting: str
) -> None:
    at_once(THREADS, partial(_beat, pooled))
    with psycopg.connect(direct) as plain:
        (usual,) = plain.execute(f"SHOW {setting}".encode()).fetchone() or ()
    assert _of_every_session(address, direct, f"SHOW {setting}") == [usual] * pgbouncer.SESSIONS


def test_no_prepared_statement_is_left_in_a_session(pooled: Database, address: str, direct: str) -> None:
    at_once(THREADS, partial(_beat, pooled))
    left = _of_every_session(address, direct, "SELECT count(*) FROM pg_prepared_statements")
    assert left == [0] * pgbouncer.SESSIONS


@pytest.mark.parametrize(("way", "planned"), [("begin", "off"), ("once", "on"), ("read", "on")])
def test_only_a_write_transaction_rules_out_sequential_scans(pooled: Database, way: str, planned: str) -> None:
    assert _shown(pooled, way, "enable_seqscan") == planned


# --- how it is found out ---


def test_a_pooler_that_the_url_does_not_name_is_found_before_anything_is_prepared(address: str, direct: str) -> None:
    with closing(open_database(pgbouncer.through(address, direct))) as database, database.begin() as conn:
        connection = conn.connection.driver_connection
        assert connection is not None
        assert connection.prepare_threshold is None


def test_a_pooler_that_is_found_is_logged_once(address: str, direct: str, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(open_database(pgbouncer.through(address, direct), pool=THREADS)) as database:
        at_once(THREADS, partial(_beat, database))
    assert capsys.readouterr().out.count("database_pooler_found") == 1


def test_a_pooler_that_takes_any_parameter_is_found_as_well(pg_server: str, direct: str) -> None:
    with (
        pgbouncer.running(pg_server, more="ignore_startup_parameters = options,extra_float_digits") as address,
        closing(open_database(pgbouncer.through(address, direct), pool=THREADS)) as database,
    ):
        at_once(THREADS, partial(_beat, database))
        assert _alive(database) == THREADS * 24


def test_a_pooler_in_session_mode_works_too(pg_server: str, direct: str) -> None:
    with (
        pgbouncer.running(pg_server, mode="session", sessions=2 * THREADS) as address,
        closing(open_database(pgbouncer.through(address, direct), pool=THREADS)) as database,
    ):
        at_once(THREADS, partial(_beat, database))
        assert _alive(database) == THREADS * 24


def test_a_url_that_denies_the_pooler_is_put_right_by_the_first_lost_statement(pg_server: str, direct: str) -> None:
    with (
        pgbouncer.running(pg_server) as address,
        closing(open_database(pgbouncer.through(address, direct, "pgbouncer=false"), pool=THREADS)) as database,
    ):
        assert eventually(lambda: _faults(database), within=60)
        faults = [_faults(database) for _ in range(3)]
        assert faults == [0, 0, 0]


def _faults(database: Database) -> int:
    """How many of some threads fail that write at the same time."""
    return sum(at_once(THREADS, partial(_fails, database)))


def _fails(database: Database, thread: int) -> bool:
    try:
        _beat(database, thread)
    except DatabaseFault:
        return True
    return False


def test_options_that_a_pooler_refuses_are_the_urls_own_fault(address: str, direct: str) -> None:
    url = pgbouncer.through(address, direct, "options=-c%20search_path%3Dx")
    with closing(open_database(url)) as database, pytest.raises(DatabaseFault, match="options"):
        _alive(database)


def test_an_unknown_parameter_is_refused_through_it_as_well(address: str, direct: str) -> None:
    with pytest.raises(BadConfiguration, match="pool_mode"):
        open_database(pgbouncer.through(address, direct, "pool_mode=transaction"))


def test_a_pooler_that_was_restarted_costs_a_process_one_failure(pg_server: str, direct: str) -> None:
    with ExitStack() as held:
        with pgbouncer.running(pg_server) as address:
            database = held.enter_context(closing(open_database(pgbouncer.through(address, direct), pool=THREADS)))
            at_once(THREADS, partial(_beat, database))
        held.enter_context(pgbouncer.running(pg_server, port=int(address.rpartition(":")[2])))
        assert [_fails(database, 0) for _ in range(3)] == [True, False, False]


def test_a_session_that_the_server_ends_behind_it_is_a_fault_of_the_database(pooled: Database, direct: str) -> None:
    with pytest.raises(DatabaseFault):
        _lose_the_session(pooled, direct)
    assert eventually(lambda: not _fails(pooled, 0), within=60)  # the pooler sees its other sessions end one by one


def _lose_the_session(database: Database, direct: str) -> None:
    with database.begin() as conn:
        heartbeats.alive(conn, "worker", EPOCH)
        with psycopg.connect(direct, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        heartbeats.record(conn, "one", "worker", EPOCH, EPOCH)
