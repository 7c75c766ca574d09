"""A question with a time limit ends with it, in the database; nothing of that stays, and no outage is made of it."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from app.errors import TakesTooLong
from app.stores.sql.engine import Database, open_database
from app.stores.sql.time_limits import STEPS, TimeLimit
from app.stores.upkeep import heartbeats
from tests.endless import question
from tests.stack import eventually

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def lone(database_url: str) -> Iterator[Database]:
    """A database with one connection for reading: whoever asks next uses the session of who asked before."""
    with closing(open_database(database_url, pool=2)) as database:
        yield database


def ask(database: Database, statement: str) -> Any:
    with database.read() as conn:
        return conn.exec_driver_sql(statement).scalar()


def test_a_question_ends_with_its_limit(database: Database) -> None:
    ask(database, "SELECT 1")  # to connect may take longer than the limit, and then nothing is asked
    with pytest.raises(TakesTooLong):
        ask(database.limited(TimeLimit(1.0)), question(database))


def test_who_asked_too_much_is_told_to_narrow_it(database: Database) -> None:
    with pytest.raises(TakesTooLong, match=r"longer than the 0\.1 s that a query may take; narrow it"):
        ask(database.limited(TimeLimit(0.1)), question(database))


def test_a_question_that_took_too_long_is_no_trouble_of_the_database(database: Database) -> None:
    with pytest.raises(TakesTooLong):
        ask(database.limited(TimeLimit(0.1)), question(database))
    assert database.trouble() is None


def test_a_question_in_time_is_answered(database: Database) -> None:
    assert ask(database.limited(TimeLimit(60)), "SELECT 7") == 7


def test_no_question_begins_after_the_limit(database: Database) -> None:
    limit = TimeLimit(60)
    limit.end()
    with pytest.raises(TakesTooLong):
        ask(database.limited(limit), "SELECT 7")


def test_a_statement_that_runs_is_interrupted_when_its_question_is_ended(lone: Database) -> None:
    limit, told = TimeLimit(3_600), []

    def asking() -> None:
        try:
            told.append(ask(lone.limited(limit), question(lone)))
        except TakesTooLong as error:
            told.append(error)

    thread = threading.Thread(target=asking)
    thread.start()
    await_statement(lone)
    limit.end()
    thread.join(30)
    assert not thread.is_alive()
    assert isinstance(told[0], TakesTooLong)


def await_statement(database: Database) -> None:
    """Returns when the endless statement runs; on SQLite, which tells nobody, when its connection is taken."""
    if database.dialect == "sqlite":
        assert eventually(lambda: database.engine.pool.checkedout() > 0, within=30)  # type: ignore[attr-defined]
        return
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
        " AND query LIKE '%%pg_sleep%%'"
    )

    def is_running() -> bool:
        with database.begin() as conn:
            return bool(conn.exec_driver_sql(running).scalar())

    assert eventually(is_running, within=30)


def test_who_uses_the_session_next_has_all_the_time(lone: Database) -> None:
    limit = TimeLimit(60)
    assert ask(lone.limited(limit), "SELECT 7") == 7
    limit.end()
    rows = STEPS  # many times as many instructions
    counted = f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {rows}) SELECT max(x) FROM n"
    next_one = {"sqlite": (counted, rows), "postgresql": ("SELECT current_setting('statement_timeout')", "0")}
    statement, answer = next_one[lone.dialect]
    assert ask(lone, statement) == answer


def test_a_change_that_took_too_long_is_undone_whole(database: Database) -> None:
    def change(conn: Connection) -> None:
        heartbeats.record(conn, "one", "worker", NOW, NOW)
        conn.exec_driver_sql(question(database))

    with pytest.raises(TakesTooLong):
        database.limited(TimeLimit(0.1)).transact(change)
    assert ask(database, "SELECT count(*) FROM beats") == 0


def test_many_short_statements_end_with_the_limit_as_well(database: Database) -> None:
    limit = TimeLimit(0.1)

    def go_on() -> None:
        while True:
            ask(database.limited(limit), "SELECT 1")

    with pytest.raises(TakesTooLong):
        go_on()
