"""The database's own trouble is told from bad data and bad statements, and one failure heals the process."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, exc, text

from app.errors import BadConfiguration, DatabaseFault, Refused
from app.stores.sql.engine import Database, open_database
from app.stores.sql.faults import TransactionUndone, Trouble, fault_of
from app.stores.upkeep import heartbeats
from tests.stores.racing import at_once

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

NOT_THE_DATABASES = (
    "INSERT INTO beats (process) VALUES (NULL)",  # a constraint
    "SELECT nonsense FROM beats",
    "SELECT * FROM no_such_table",
    "SELEKT 1",
)


def _beat(database: Database, process: str = "one") -> None:
    with database.begin() as conn:
        heartbeats.record(conn, process, "worker", NOW, NOW)


def _alive(database: Database) -> int:
    with database.read() as conn:
        return heartbeats.alive(conn, "worker", NOW)


def _end_all_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )


def _faults(database: Database, times: int) -> int:
    found = 0
    for _ in range(times):
        try:
            _beat(database)
        except DatabaseFault:
            found += 1
    return found


@contextmanager
def _hasty(url: str) -> Iterator[Database]:
    """A SQLite database that waits 20 ms for another program's lock instead of 10 s."""
    with closing(open_database(url, patience=0.02)) as database:
        yield database


@pytest.mark.parametrize(
    "state",
    [
        "08006",
        "25006",
        "40001",
        "40P01",
        "53100",
        "53300",
        "55P03",
        "57P01",
        "57014",
        "58000",
        "58P01",
        "XX000",
        "XX001",
    ],
)
def test_a_state_of_the_server_is_a_fault(state: str) -> None:
    assert fault_of(psycopg.errors.lookup(state)()) is not None


@pytest.mark.parametrize("state", ["22003", "22P05", "23505", "42P01", "42501", "54000", "0A000"])
def test_a_state_that_the_data_or_the_statement_brought_about_is_none(state: str) -> None:
    assert fault_of(psycopg.errors.lookup(state)()) is None


@pytest.mark.parametrize(
    "words",
    [
        'password authentication failed for user "merchant"',
        'no pg_hba.conf entry for host "10.0.0.1", user "merchant", database "shop", no encryption',
        'role "merchant" does not exist',
        'database "shop" does not exist',
        'permission denied for database "shop"',
    ],
)
def test_a_server_that_refuses_us_is_told_in_a_sentence_with_what_to_do(words: str) -> None:
    said = f'connection failed: connection to server at "10.0.0.1", port 5432 failed: FATAL:  {words}'
    fault = fault_of(psycopg.OperationalError(f"{said}\nDETAIL:  more"))
    assert fault is not None
    assert fault.message.startswith(f"the database server refuses us ({words}): correct the user, the password")


@pytest.mark.parametrize("setting", ["search_path%3D", "search_path%3Dnowhere"])
def test_a_migration_without_a_schema_says_what_to_name(empty_postgres_url: str, setting: str) -> None:
    mark = "&" if "?" in empty_postgres_url else "?"
    with (
        closing(open_database(f"{empty_postgres_url}{mark}options=-c{setting}")) as database,
        pytest.raises(BadConfiguration, match="names no schema that exists: name one"),
    ):
        database.migrate()


def test_a_migration_by_a_user_who_may_make_no_table_says_what_to_grant(empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as conn:
        conn.execute("CREATE ROLE guest LOGIN")
        try:
            with (
                closing(open_database(empty_postgres_url.replace("postgres:@", "guest:@"))) as database,
                pytest.raises(BadConfiguration, match=r"permission denied for schema public.*GRANT it CREATE"),
            ):
                database.migrate()
        finally:
            conn.execute("DROP ROLE guest")


def test_a_server_that_only_starts_is_told_in_its_own_words() -> None:
    fault = fault_of(psycopg.OperationalError("connection failed: FATAL:  the database system is starting up"))
    assert fault is not None
    assert fault.message.endswith("the database system is starting up")


@pytest.mark.parametrize("words", ["the connection is lost", "consuming input failed: server closed the connection"])
def test_what_the_driver_says_of_a_connection_is_a_fault(words: str) -> None:
    assert fault_of(psycopg.OperationalError(words)) is not None


def test_too_many_parameters_are_no_fault_of_the_database(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as conn, pytest.raises(psycopg.OperationalError) as raised:
        conn.execute("SELECT 1" + " , %s" * 70_000, [1] * 70_000)
    assert fault_of(raised.value) is None


def test_a_plan_that_a_migration_made_useless_is_a_fault() -> None:
    assert fault_of(psycopg.errors.FeatureNotSupported("cached plan must not change result type")) is not None


def test_every_connection_in_use_is_a_fault() -> None:
    assert fault_of(exc.TimeoutError("QueuePool limit of size 2 reached")) is not None


@pytest.mark.parametrize("statement", NOT_THE_DATABASES)
def test_a_statement_that_is_wrong_stays_the_drivers_error(database: Database, statement: str) -> None:
    with pytest.raises(exc.DBAPIError), database.begin() as conn:
        conn.execute(text(statement))


def test_an_error_of_ours_passes_through_a_transaction(database: Database) -> None:
    with pytest.raises(Refused), database.begin():
        raise Refused("no")


def test_an_unreachable_server_is_a_fault() -> None:
    with (
        closing(open_database("postgresql://u:secret@127.0.0.1:1/d")) as database,
        pytest.raises(DatabaseFault) as raised,
    ):
        _beat(database)
    assert "secret" not in str(raised.value)


def test_a_file_that_cannot_be_opened_is_a_fault() -> None:
    with closing(open_database("sqlite:////no/such/folder/a.db")) as database, pytest.raises(DatabaseFault):
        _beat(database)


@pytest.mark.parametrize("way", ["begin", "once"])
def test_a_file_that_another_program_locks_is_a_fault(sqlite_url: str, way: str) -> None:
    with (
        _hasty(sqlite_url) as database,
        closing(_locked(sqlite_url)),
        pytest.raises(DatabaseFault),
        getattr(database, way)(),
    ):
        pass


def test_a_file_that_was_locked_takes_writes_again(sqlite_url: str) -> None:
    with _hasty(sqlite_url) as database:
        with closing(_locked(sqlite_url)), pytest.raises(DatabaseFault):
            _beat(database)
        _beat(database)
        assert _alive(database) == 1


def test_a_full_file_is_a_fault(sqlite_url: str) -> None:
    with closing(open_database(sqlite_url)) as database, pytest.raises(DatabaseFault):
        _fill(database)


def test_a_server_that_ended_all_sessions_costs_a_process_one_failure(postgres_url: str) -> None:
    with closing(open_database(postgres_url, pool=4)) as database:
        at_once(4, lambda number: _beat(database, str(number)))
        _end_all_sessions(postgres_url)
        assert _faults(database, 6) == 1


@pytest.mark.parametrize("way", ["begin", "once", "read"])
def test_a_session_that_ends_inside_a_block_is_a_fault(postgres_url: str, way: str) -> None:
    def run(database: Database) -> None:
        with getattr(database, way)() as conn:
            _end_all_sessions(postgres_url)
            heartbeats.alive(conn, "worker", NOW)

    with closing(open_database(postgres_url)) as database, pytest.raises(DatabaseFault):
        run(database)


def test_a_commit_whose_answer_is_lost_is_a_fault(postgres_url: str) -> None:
    def run(database: Database) -> None:
        with database.begin() as conn:
            heartbeats.record(conn, "one", "worker", NOW, NOW)
            _end_all_sessions(postgres_url)

    with closing(open_database(postgres_url)) as database, pytest.raises(DatabaseFault):
        run(database)


def test_sessions_that_became_read_only_cost_a_process_one_failure(postgres_url: str) -> None:
    """As after a failover: old sessions are on a standby, new ones on the new primary."""
    with closing(open_database(postgres_url, pool=5)) as database:
        event.listen(database.engine, "connect", _become_read_only)
        together = threading.Barrier(4)
        at_once(4, lambda _: _read_together(database, together))
        event.remove(database.engine, "connect", _become_read_only)
        assert _faults(database, 6) == 1


def test_a_block_that_a_deadlock_undid_is_run_again(postgres_url: str) -> None:
    runs: list[int] = []

    def work(conn: Any) -> str:
        runs.append(1)
        if len(runs) < 3:
            raise psycopg.errors.DeadlockDetected
        return "done"

    with closing(open_database(postgres_url)) as database:
        assert (database.transact(work), len(runs)) == ("done", 3)


def test_a_block_that_is_undone_for_ever_ends_as_a_fault(postgres_url: str) -> None:
    def work(conn: Any) -> None:
        raise psycopg.errors.SerializationFailure

    with closing(open_database(postgres_url)) as database, pytest.raises(TransactionUndone):
        database.transact(work)


def test_a_block_that_fails_otherwise_is_run_once(database: Database) -> None:
    runs: list[int] = []

    def work(conn: Any) -> None:
        runs.append(1)
        raise psycopg.errors.DiskFull

    with pytest.raises(DatabaseFault):
        database.transact(work)
    assert len(runs) == 1


def test_a_database_that_answers_was_never_in_trouble(database: Database) -> None:
    _beat(database)
    assert database.trouble() is None


def test_trouble_lasts_until_the_database_answers_again(sqlite_url: str) -> None:
    with _hasty(sqlite_url) as database:
        with closing(_locked(sqlite_url)), pytest.raises(DatabaseFault):
            _beat(database)
        still = database.trouble()
        _beat(database)
        ended = database.trouble()
        assert still is not None
        assert ended is not None
        assert still[1] == 0.0
        assert ended[1] > 0.0


def test_a_read_does_not_end_the_trouble_of_a_write(sqlite_url: str) -> None:
    with _hasty(sqlite_url) as database, closing(_locked(sqlite_url)):
        with pytest.raises(DatabaseFault):
            _beat(database)
        _alive(database)
        assert database._trouble.now


def test_a_deadlock_is_no_trouble(database: Database) -> None:
    with pytest.raises(DatabaseFault), database.begin():
        raise psycopg.errors.DeadlockDetected
    assert database.trouble() is None


def test_trouble_says_how_long_ago_it_came_and_went() -> None:
    moments = iter([10.0, 14.5, 20.0])
    trouble = Trouble(lambda: next(moments))
    fault = fault_of(psycopg.errors.AdminShutdown("gone"))
    assert fault is not None
    trouble.began(fault, writing=False)
    trouble.ended(writing=False)
    assert trouble.ages() == (10.0, 5.5)


def _locked(url: str) -> sqlite3.Connection:
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def _fill(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("PRAGMA max_page_count=1"))  # the fewest it may have: as many as it has
        for number in range(10_000):
            heartbeats.record(conn, str(number), "worker", NOW, NOW)


def _become_read_only(connection: Any, record: Any) -> None:
    connection.execute("SET default_transaction_read_only = on")
    connection.commit()


def _read_together(database: Database, together: threading.Barrier) -> None:
    """In as many sessions as there are threads."""
    with database.read():
        together.wait(60)
