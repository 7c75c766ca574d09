"""While its database is away a worker buries nothing, fails no run and counts no attempt; afterwards it goes on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, suppress

import psycopg
import pytest
from sqlalchemy import exc
from sqlmodel import SQLModel

from app.errors import DatabaseFault, Unmappable
from app.prove.real.databases import ProvingDatabase, postgresql
from app.stores.sql.engine import Database, open_database
from tests.letters import all_letters
from tests.stack import eventually
from tests.workers.away import WITHIN, Shop, full, locked, on_call, read_only
from workers.middleware import DeadLetters

ITEMS = 100
ALL_WELL = {"held": ITEMS, "letters": 0, "attempts": 0, "kills": 0}

Harm = Callable[[Database], AbstractContextManager[None]]


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    with closing(open_database(sqlite_url, patience=0.05)) as database:
        yield database


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    with closing(open_database(postgres_url, pool=6)) as database:
        yield database


@pytest.fixture(scope="module")
def server() -> Iterator[ProvingDatabase]:
    """A server that these tests may stop."""
    with postgresql() as made:
        yield made


@pytest.fixture
def stoppable(server: ProvingDatabase) -> Iterator[Database]:
    with psycopg.connect(server.url, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(";".join(f"DELETE FROM {table}" for table in SQLModel.metadata.tables).encode())
    with closing(open_database(server.url, pool=6)) as database:
        yield database


def end_sessions(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )


def drained(shop: Shop, harm: AbstractContextManager[None]) -> dict[str, int]:
    """What became of everything, when the database was harmed until a worker had noticed."""
    shop.owe()
    with shop.employed():
        with harm:
            shop.await_trouble()
        assert eventually(shop.is_drained, within=WITHIN)
    return shop.outcome()


def run_through(shop: Shop, harm: AbstractContextManager[None]) -> tuple[str, dict[str, int]]:
    """How a run ends whose database is harmed at its third page until that was noticed, and what else came of it."""
    stack, harmed = ExitStack(), threading.Event()

    def third(number: int) -> None:
        if number == 2 and not harmed.is_set():
            stack.enter_context(harm)
            harmed.set()

    shop.source.on_page = third
    run_id = shop.request_run()
    with shop.employed():
        with stack:
            assert harmed.wait(WITHIN)
            shop.await_trouble()
        assert eventually(lambda: shop.status(run_id) in ("completed", "failed"), within=WITHIN)
    return shop.status(run_id), shop.outcome()


@pytest.mark.parametrize("harm", [locked, full])
def test_items_are_drained_after_a_harm_to_sqlite(sqlite: Database, harm: Harm) -> None:
    assert drained(Shop(sqlite, ITEMS), harm(sqlite)) == ALL_WELL


@pytest.mark.parametrize("harm", [locked, full])
def test_a_run_goes_on_after_a_harm_to_sqlite(sqlite: Database, harm: Harm) -> None:
    assert run_through(Shop(sqlite, ITEMS), harm(sqlite)) == ("completed", ALL_WELL)


def test_items_are_drained_when_all_sessions_are_ended_again_and_again(postgres: Database) -> None:
    shop = Shop(postgres, ITEMS)
    on_call(shop, {5, 25, 26, 60}, lambda: end_sessions(postgres))
    shop.owe()
    with shop.employed():
        assert eventually(shop.is_drained, within=WITHIN)
    assert (shop.outcome(), postgres.trouble() is not None) == (ALL_WELL, True)


def test_a_run_goes_on_when_all_sessions_are_ended_at_its_third_page(postgres: Database) -> None:
    shop = Shop(postgres, ITEMS)
    shop.source.on_page = lambda number: end_sessions(postgres) if number == 2 else None
    run_id = shop.request_run()
    with shop.employed():
        assert eventually(lambda: shop.status(run_id) in ("completed", "failed"), within=WITHIN)
    assert (shop.status(run_id), shop.outcome()) == ("completed", ALL_WELL)


def test_items_are_drained_after_a_failover_that_leaves_sessions_read_only(postgres: Database) -> None:
    assert drained(Shop(postgres, ITEMS), read_only(postgres)) == ALL_WELL


def test_a_run_goes_on_after_a_failover_that_leaves_sessions_read_only(postgres: Database) -> None:
    assert run_through(Shop(postgres, ITEMS), read_only(postgres)) == ("completed", ALL_WELL)


@pytest.mark.parametrize("harm", ["database restarted", "database read-only", "sessions ended"])
def test_items_are_drained_after_a_harm_to_the_server(
    server: ProvingDatabase, stoppable: Database, harm: str
) -> None:
    assert drained(Shop(stoppable, ITEMS), server.harms[harm]()) == ALL_WELL


@pytest.mark.parametrize("harm", ["database restarted", "database read-only"])
def test_a_run_goes_on_after_a_harm_to_the_server(server: ProvingDatabase, stoppable: Database, harm: str) -> None:
    assert run_through(Shop(stoppable, ITEMS), server.harms[harm]()) == ("completed", ALL_WELL)


@pytest.mark.nests
def test_items_are_drained_after_every_connection_was_in_use(postgres_url: str) -> None:
    with closing(open_database(postgres_url, pool=2, patience=0.02)) as database:
        shop = Shop(database, ITEMS)
        shop.owe()
        with shop.employed(), ExitStack() as held:
            while not database._trouble.now:
                with suppress(exc.TimeoutError):
                    held.enter_context(database.engine.connect())
            held.close()
            assert eventually(shop.is_drained, within=WITHIN)
        assert shop.outcome() == ALL_WELL


def test_a_message_that_the_databases_trouble_ended_does_not_fail(sqlite: Database) -> None:
    shop, message = Shop(sqlite, 1), _Dead()
    DeadLetters(shop.deps).after_process_message(shop.broker, message, exception=DatabaseFault("restarted"))
    assert not message.failed


def test_a_letter_that_cannot_be_written_is_written_later(sqlite: Database) -> None:
    shop = Shop(sqlite, 1)
    letters = DeadLetters(shop.deps)
    message = _Dead()
    letters.after_process_message(shop.broker, message, exception=Unmappable("price: expected a number"))
    with locked(sqlite):
        letters.after_nack(shop.broker, message)
    before = all_letters(sqlite)
    letters.write_pending()
    assert (before, [letter.error_type for letter in all_letters(sqlite)]) == ([], ["Unmappable"])


class _Dead:
    """A message that its actor failed."""

    failed = False
    message_id, actor_name, queue_name, args = "m1", "run", "bulk", (1,)

    def fail(self) -> None:
        self.failed = True
