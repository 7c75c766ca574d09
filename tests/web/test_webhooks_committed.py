"""The receiver over real HTTP: what is in the database when an answer arrives."""

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from app.domain import ItemKey, Kind
from app.stores.sql.engine import Database, open_database
from tests.fakes import SHOP, FakeSource, ListQueue, World
from tests.web.serving import FRIEND, body_of, deliver, inbox_ids, rows, serving


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serving(world.deps) as serving_:
        yield serving_


def owed_rows(database: Database) -> list[tuple[Any, ...]]:
    return rows(database, "SELECT external_id, rev FROM owed_items ORDER BY external_id")


def test_a_delivery_is_in_the_inbox_when_its_202_arrives(client: httpx.Client, database: Database) -> None:
    assert deliver(client, body_of("e1", "A")).status_code == 202
    assert inbox_ids(database) == ["e1"]


def test_the_items_of_a_delivery_are_owed_when_its_202_arrives(client: httpx.Client, database: Database) -> None:
    deliver(client, body_of("e1", "A", "B"))
    assert owed_rows(database) == [("A", 1), ("B", 1)]


def test_a_body_is_stored_byte_for_byte(client: httpx.Client, database: Database) -> None:
    body = b' {"id": "e1",\n "type": "t\\u00e9", "items": []}\r\n'
    deliver(client, body)
    assert [bytes(stored) for (stored,) in rows(database, "SELECT body FROM inbox_events")] == [body]


def test_a_duplicate_is_acknowledged(client: httpx.Client) -> None:
    assert [deliver(client, body_of("e1", "A")).status_code for _ in range(3)] == [202] * 3


def test_a_duplicate_changes_nothing(client: httpx.Client, database: Database) -> None:
    deliver(client, body_of("e1", "A"))
    before = rows(database, "SELECT * FROM inbox_events"), rows(database, "SELECT * FROM owed_items")
    deliver(client, body_of("e1", "A"))
    assert (rows(database, "SELECT * FROM inbox_events"), rows(database, "SELECT * FROM owed_items")) == before


def test_the_same_delivery_twenty_times_at_once_counts_once(client: httpx.Client, database: Database) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: deliver(client, body_of("e1", "A")).status_code, range(20)))
    assert answers == [202] * 20
    assert owed_rows(database) == [("A", 1)]


def test_two_events_about_one_item_raise_its_revision(client: httpx.Client, database: Database) -> None:
    deliver(client, body_of("e1", "A"))
    deliver(client, body_of("e2", "A"))
    assert owed_rows(database) == [("A", 2)]


def test_one_event_id_from_two_connections_is_two_events(database: Database) -> None:
    world = World(database)
    sources = {SHOP: world.source, "shop-eu": FakeSource()}
    with serving(replace(world.deps, sources=sources)) as client:
        deliver(client, body_of("e1", "A"))
        deliver(client, body_of("e1", "A"), to="shop-eu")
    assert inbox_ids(database) == ["e1", "e1"]


def test_an_unknown_event_type_is_acknowledged(client: httpx.Client) -> None:
    assert deliver(client, body_of("e1", "A", type_="unknown")).status_code == 202


def test_an_unknown_event_type_is_stored_as_ignored(client: httpx.Client, database: Database) -> None:
    deliver(client, body_of("e1", "A", type_="unknown"))
    assert rows(database, "SELECT event_id, verdict FROM inbox_events") == [("e1", "ignored")]


def test_an_unknown_event_type_owes_nothing(client: httpx.Client, database: Database) -> None:
    deliver(client, body_of("e1", "A", type_="unknown"))
    assert owed_rows(database) == []


def test_headers_that_could_carry_a_secret_are_not_stored(client: httpx.Client, database: Database) -> None:
    secrets = {
        "authorization": "Bearer s3cret",
        "cookie": "session=s3cret",
        "x-api-key": "s3cret",
        "X-Auth-Token": "s3cret",
    }
    deliver(client, body_of("e1"), headers={**FRIEND, **secrets})
    stored = rows(database, "SELECT headers FROM inbox_events")[0][0]
    assert "s3cret" not in stored


def test_a_signature_is_stored(client: httpx.Client, database: Database) -> None:
    """It proves the body beside it and opens nothing; without it an exported delivery could not be verified."""
    deliver(client, body_of("e1"), headers={**FRIEND, "webhook-signature": "v1,abc"})
    stored = json.loads(rows(database, "SELECT headers FROM inbox_events")[0][0])
    assert stored["webhook-signature"] == "v1,abc"


def test_other_headers_are_stored(client: httpx.Client, database: Database) -> None:
    deliver(client, body_of("e1"), headers={**FRIEND, "X-Retry-Number": "2"})
    stored = json.loads(rows(database, "SELECT headers FROM inbox_events")[0][0])
    assert stored["x-retry-number"] == "2"


class HeardQueue(ListQueue):
    """Tells when it was asked to wake somebody."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()

    def enqueue(self, keys: Sequence[ItemKey]) -> None:
        super().enqueue(keys)
        self.heard.set()


def test_an_accepted_delivery_wakes_the_workers(world: World) -> None:
    queue = HeardQueue()
    with serving(replace(world.deps, queue=queue)) as client:
        deliver(client, body_of("e1", "A"))
        assert queue.heard.wait(60)
    assert queue.enqueued == [ItemKey(SHOP, Kind.PRODUCT, "A")]


class StuckQueue(ListQueue):
    """Never gets a message through while the test lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = threading.Event()

    def enqueue(self, keys: Sequence[ItemKey]) -> None:
        self.freed.wait(60)


def test_a_queue_that_hangs_keeps_no_delivery_waiting(world: World) -> None:
    queue = StuckQueue()
    with serving(replace(world.deps, queue=queue)) as client:
        try:
            assert [deliver(client, body_of(f"e{n}", f"P{n}")).status_code for n in range(3)] == [202] * 3
        finally:
            queue.freed.set()


# --- a database that cannot write now ---


@pytest.fixture
def impatient(database_url: str) -> Iterator[Database]:
    """A database whose writers wait for a lock a twentieth of a second at most."""
    if database_url.startswith("sqlite"):
        with closing(open_database(database_url)) as opened:
            event.listen(opened.engine, "connect", lambda made, _: made.execute("PRAGMA busy_timeout=50").close())
            yield opened
    else:
        separator = "&" if "?" in database_url else "?"
        with closing(open_database(f"{database_url}{separator}options=-c lock_timeout=50ms")) as opened:
            yield opened


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Somebody else is in the middle of writing the inbox."""
    with closing(open_database(database.url)) as other, other.engine.connect() as conn:
        if database.dialect == "sqlite":
            conn.exec_driver_sql("PRAGMA user_version")  # in the transaction that the next line makes a writing one
            conn.exec_driver_sql("DELETE FROM beats")
        else:
            conn.exec_driver_sql("LOCK TABLE inbox_events IN EXCLUSIVE MODE")
        yield
        conn.rollback()


def test_a_locked_database_is_answered_503(impatient: Database) -> None:
    with serving(World(impatient).deps) as client, locked(impatient):
        assert deliver(client, body_of("e1", "A")).status_code == 503


def test_a_503_says_when_to_come_back(impatient: Database) -> None:
    with serving(World(impatient).deps) as client, locked(impatient):
        assert int(deliver(client, body_of("e1", "A")).headers["retry-after"]) > 0


def test_what_was_answered_503_is_not_in_the_inbox(impatient: Database) -> None:
    with serving(World(impatient).deps) as client:
        with locked(impatient):
            deliver(client, body_of("e1", "A"))
        assert inbox_ids(impatient) == []


def test_a_delivery_repeated_after_a_503_is_accepted(impatient: Database) -> None:
    with serving(World(impatient).deps) as client:
        with locked(impatient):
            deliver(client, body_of("e1", "A"))
        assert deliver(client, body_of("e1", "A")).status_code == 202
    assert owed_rows(impatient) == [("A", 1)]


@contextmanager
def broken(database: Database) -> Iterator[None]:
    """The inbox is not there, as in the middle of a botched upgrade."""
    with database.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE inbox_events RENAME TO elsewhere")
    try:
        yield
    finally:
        with database.begin() as conn:
            conn.exec_driver_sql("ALTER TABLE elsewhere RENAME TO inbox_events")


def test_a_broken_database_is_answered_503(client: httpx.Client, database: Database) -> None:
    with broken(database):
        assert deliver(client, body_of("e1", "A")).status_code == 503


def test_a_delivery_that_was_not_stored_owes_nothing(client: httpx.Client, database: Database) -> None:
    with broken(database):
        deliver(client, body_of("e1", "A"))
    assert owed_rows(database) == []


def test_the_answer_to_a_broken_database_tells_nothing_of_it(client: httpx.Client, database: Database) -> None:
    with broken(database):
        answer = deliver(client, body_of("e1", "A"))
    assert "inbox_events" not in answer.text
