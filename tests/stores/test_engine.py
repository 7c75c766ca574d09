"""A transaction means the same on both databases, and SQLite's writers take turns."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, text

from app.errors import BadConfiguration, DatabaseFault
from app.stores.sql.engine import Database, open_database
from app.stores.sql.sessions import Turn
from app.stores.upkeep import heartbeats
from tests.stores.racing import at_once

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _beat(database: Database, process: str) -> None:
    with database.begin() as conn:
        heartbeats.record(conn, process, "worker", NOW, NOW)


def _beat_often(database: Database, process: str, times: int) -> None:
    for again in range(times):
        _beat(database, f"{process}-{again}")


def _alive(database: Database) -> int:
    with database.read() as conn:
        return heartbeats.alive(conn, "worker", NOW)


def test_a_block_that_ends_is_committed(database: Database) -> None:
    _beat(database, "one")
    assert _alive(database) == 1


def test_a_block_that_raises_is_rolled_back(database: Database) -> None:
    def fail() -> None:
        with database.begin() as conn:
            heartbeats.record(conn, "one", "worker", NOW, NOW)
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert _alive(database) == 0


def test_a_writer_can_follow_one_that_failed(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.begin():
        raise ZeroDivisionError
    _beat(database, "one")
    assert _alive(database) == 1


def test_sixteen_writers_at_once_all_get_through(database: Database) -> None:
    at_once(16, lambda number: _beat_often(database, str(number), 10))
    assert _alive(database) == 160


def test_writers_of_two_objects_on_one_file_take_turns(sqlite_url: str) -> None:
    with closing(open_database(sqlite_url)) as one, closing(open_database(sqlite_url, durable=True)) as other:
        at_once(8, lambda number: _beat_often((one, other)[number % 2], str(number), 20))
        assert _alive(one) == 160


@pytest.mark.nests
def test_a_read_on_sqlite_sees_one_moment(sqlite_url: str) -> None:
    with closing(open_database(sqlite_url)) as database, database.read() as conn:
        before = heartbeats.alive(conn, "worker", NOW)
        _beat(database, "one")
        assert heartbeats.alive(conn, "worker", NOW) == before


def test_a_write_inside_a_write_of_the_same_thread_is_refused(sqlite_url: str) -> None:
    with closing(open_database(sqlite_url)) as database:
        refused = pytest.raises(RuntimeError, match="inside another")
        with database.begin(), refused, database.begin():
            pass


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])
def test_only_a_durable_sqlite_flushes_every_commit(sqlite_url: str, durable: bool, synchronous: int) -> None:
    with closing(open_database(sqlite_url, durable=durable)) as database, database.read() as conn:
        assert conn.execute(text("PRAGMA synchronous")).scalar() == synchronous


def test_sqlite_runs_with_a_write_ahead_log(sqlite_url: str) -> None:
    with closing(open_database(sqlite_url)) as database, database.read() as conn:
        assert conn.execute(text("PRAGMA journal_mode")).scalar() == "wal"


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "sqlite://", "sqlite:///:memory:", "secret nonsense", ""])
def test_a_url_we_cannot_use_is_refused(url: str) -> None:
    with pytest.raises(BadConfiguration):
        open_database(url)


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "secret nonsense"])
def test_the_refusal_does_not_show_the_url(url: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        open_database(url)
    assert "secret" not in str(refused.value)


def test_every_spelling_of_postgresql_uses_one_driver() -> None:
    spellings = ("postgres://u@h/d", "postgresql://u@h/d", "postgresql+psycopg://u@h/d")
    assert {open_database(url).engine.dialect.driver for url in spellings} == {"psycopg"}


def test_a_connection_the_server_ended_is_replaced(postgres_url: str) -> None:
    with closing(open_database(postgres_url, pool=4)) as database:
        at_once(4, lambda number: _beat(database, str(number)))
        with database.read() as conn:
            conn.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    " AND datname = current_database()"
                )
            )
        failures = sum(_fails(database) for _ in range(6))
        assert failures <= 1


def _fails(database: Database) -> bool:
    try:
        _beat(database, "again")
    except Exception:
        return True
    return False


def test_the_turn_goes_to_whoever_asked_first() -> None:
    turn = Turn()
    order: list[int] = []
    threads = []
    with turn:
        for number in range(5):
            waiting = threading.Thread(target=lambda number=number: _take(turn, order, number))
            threads.append(waiting)
            waiting.start()
            while turn.waiting() <= number:
                threading.Event().wait(0.001)
    for waiting in threads:
        waiting.join()
    assert order == [0, 1, 2, 3, 4]


def _take(turn: Turn, order: list[int], number: int) -> None:
    with turn:
        order.append(number)


def test_times_come_back_aware_and_equal(database: Database) -> None:
    moment = NOW + timedelta(microseconds=123_456)
    with database.begin() as conn:
        heartbeats.record(conn, "one", "worker", moment, moment)
        alive = [heartbeats.alive(conn, "worker", moment + timedelta(microseconds=more)) for more in (0, 1)]
    assert alive == [1, 0]


def test_a_statement_outside_a_transaction_is_refused(database: Database) -> None:
    with database.engine.connect() as conn, pytest.raises(RuntimeError, match="needs a transaction"):
        heartbeats.alive(conn, "worker", NOW)


def test_one_statement_alone_is_committed(database: Database) -> None:
    with database.once() as conn:
        heartbeats.record(conn, "one", "worker", NOW, NOW)
    assert _alive(database) == 1


def test_a_transaction_after_a_single_statement_can_still_be_rolled_back(database: Database) -> None:
    """The pool must not hand out a connection that commits by itself."""

    def fail() -> None:
        with database.begin() as conn:
            heartbeats.record(conn, "two", "worker", NOW, NOW)
            raise ZeroDivisionError

    with database.once() as conn:
        heartbeats.record(conn, "one", "worker", NOW, NOW)
    with pytest.raises(ZeroDivisionError):
        fail()
    assert _alive(database) == 1


def test_a_checkpoint_empties_the_log_of_sqlite(tmp_path: Path) -> None:
    with closing(open_database(f"sqlite:///{tmp_path / 'a.db'}")) as database:
        database.migrate()
        before = (tmp_path / "a.db").stat().st_size
        database.checkpoint()
        assert (tmp_path / "a.db").stat().st_size > before


def _plan_settings(conn: Connection) -> list[str]:
    return [conn.exec_driver_sql(f"SHOW {name}").scalar_one() for name in ("enable_seqscan", "jit")]


@pytest.mark.parametrize(("way", "expected"), [("begin", "off"), ("once", "off"), ("read", "on")])
def test_only_reads_may_read_a_table_from_end_to_end(postgres_url: str, way: str, expected: str) -> None:
    with closing(open_database(postgres_url, pool=1)) as database:
        for before in ("read", "begin", "once"):
            with getattr(database, before)() as conn:
                _plan_settings(conn)
        with getattr(database, way)() as conn:
            assert _plan_settings(conn) == [expected, "off"]


def test_a_process_never_opens_more_sessions_than_its_pool_has(postgres_url: str) -> None:
    most: list[int] = []
    with psycopg.connect(postgres_url) as other:  # the server may take a moment to end sessions of the test before
        (began,) = other.execute("SELECT clock_timestamp()").fetchone() or ()

    def load(number: int) -> None:
        for again in range(10):
            _beat(database, f"{number}-{again}")
            with database.once() as conn:
                most.append(conn.exec_driver_sql(_SESSIONS, (began,)).scalar_one())
            _alive(database)

    with closing(open_database(postgres_url, pool=3)) as database:
        at_once(16, load)
    assert max(most) <= 3


def test_a_thread_that_finds_no_connection_free_gets_a_fault(postgres_url: str) -> None:
    with closing(open_database(postgres_url, pool=1, patience=0.01)) as database, database.read():
        assert at_once(1, lambda _: _fault_of(database)) == [True]


def test_reads_leave_a_connection_to_writes(postgres_url: str) -> None:
    begun, over = threading.Semaphore(0), threading.Event()

    def read(number: int) -> None:
        with database.read():
            begun.release()
            over.wait(60)

    with closing(open_database(postgres_url, pool=3)) as database, ThreadPoolExecutor(6) as readers:
        reading = [readers.submit(read, number) for number in range(6)]
        assert begun.acquire(timeout=60)
        assert begun.acquire(timeout=60)
        _beat(database, "one")
        over.set()
    assert [one.exception() for one in reading] == [None] * 6


def _fault_of(database: Database) -> bool:
    try:
        _beat(database, "one")
    except DatabaseFault:
        return True
    return False


_SESSIONS = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND backend_start > %s"""


@pytest.mark.parametrize(
    "setting",
    ["DateStyle = 'German'", "TimeZone = 'Asia/Tokyo'", "client_encoding = 'LATIN1'", "IntervalStyle = 'iso_8601'"],
)
def test_what_a_server_sets_for_its_sessions_changes_no_value(empty_postgres_url: str, setting: str) -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    with psycopg.connect(empty_postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET {setting}".encode())
    with closing(open_database(empty_postgres_url)) as database, database.read() as conn:
        asked = text("SELECT CAST(:moment AS timestamptz), CAST(:words AS text)")
        assert conn.execute(asked, {"moment": last, "words": "\N{SNOWMAN}"}).one() == (last, "\N{SNOWMAN}")


def test_a_database_that_cannot_hold_every_text_is_refused(pg_server: str) -> None:
    address, _, options = pg_server.partition("?")
    with psycopg.connect(pg_server, autocommit=True) as admin:
        admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    url = f"{address.rpartition('/')[0]}/latin?{options}"
    with (
        closing(open_database(url)) as database,
        pytest.raises(BadConfiguration, match="encoding LATIN1"),
        database.read(),
    ):
        pass
