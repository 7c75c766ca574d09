"""A worker in this process for a shop of products, and what can be done to its database meanwhile."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from typing import Any

import dramatiq
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import event

from app.channels.queue import BULK, LIVE, LocalQueue
from app.domain import Cause, Change, Kind
from app.errors import DatabaseFault
from app.flows.deps import utc_now
from app.flows.items.leases import LeaseKeeper
from app.stores import owed
from app.stores.runs import runs
from app.stores.sql.engine import Database
from tests.asking import request_reconcile
from tests.fakes import SHOP, FakeSource, World, listing
from tests.letters import all_letters
from tests.stack import eventually
from workers.actors import register
from workers.middleware import DeadLetters, Housekeeping

WITHIN = 120.0


class Shop(World):
    """Products that are owed or read in bulk, and what became of them."""

    def __init__(self, database: Database, products: int) -> None:
        super().__init__(database, FakeSource(page_size=5))
        self.broker = StubBroker(middleware=[])
        self.deps = replace(self.deps, queue=LocalQueue(self.broker), now=utc_now)
        self.source.put(*[listing(f"A{number}") for number in range(products)])
        self._keeper = LeaseKeeper(database, utc_now, every=0.2)
        letters = DeadLetters(self.deps)
        self.broker.add_middleware(letters)
        self.broker.add_middleware(Housekeeping(self.deps, role="worker", every=0.05, also=letters.write_pending))
        register(self.broker, self.deps, self._keeper)

    def owe(self) -> None:
        """Every product has changed."""
        changes = [Change(Kind.PRODUCT, item) for item in self.source.listings]
        with self.database.begin() as conn:
            owed.owe(conn, SHOP, changes, Cause.WEBHOOK, utc_now())

    def request_run(self) -> int:
        return request_reconcile(self.deps, SHOP)

    def number(self, query: str) -> int:
        with self.database.read() as conn:
            return int(conn.exec_driver_sql(query).scalar_one())

    def is_drained(self) -> bool:
        try:
            return self.number("SELECT count(*) FROM owed_items") == 0
        except DatabaseFault:
            return False

    def outcome(self) -> dict[str, int]:
        """What may have gone wrong, and how many products are right."""
        return {
            "held": self.number("SELECT count(*) FROM listings WHERE deleted IS NOT TRUE"),
            "letters": len(all_letters(self.database)),
            "attempts": self.number("SELECT count(*) FROM attempts"),
            "kills": self.number("SELECT coalesce(sum(kills), 0) FROM owed_items"),
        }

    def status(self, run_id: int) -> str:
        try:
            with self.database.read() as conn:
                row = runs.get(conn, run_id)
        except DatabaseFault:
            return "unknown"
        assert row is not None
        return str(row.status)

    def await_trouble(self) -> None:
        """Until this process has seen the database in trouble, which may be over already."""
        assert eventually(lambda: self.database.trouble() is not None, within=WITHIN, every=0.01)

    @contextmanager
    def employed(self) -> Iterator[None]:
        """A worker with four threads works meanwhile."""
        worker = dramatiq.Worker(self.broker, queues={LIVE, BULK}, worker_threads=4, worker_timeout=10)
        worker.start()
        try:
            yield
        finally:
            worker.stop()
            self._keeper.stop()


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Another program holds SQLite's write lock."""
    file = database.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None, timeout=60, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def full(database: Database) -> AbstractContextManager[None]:
    """SQLite's file cannot grow: no session may write a page that is not there yet."""
    harm = threading.Event()

    def limit(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={1 if harm.is_set() else 1_000_000}").close()

    event.listen(database.engine, "checkout", limit)  # now: not while others take connections
    return _while_set(harm)


def read_only(database: Database) -> AbstractContextManager[None]:
    """The sessions there are, and those opened meanwhile, may only read, and stay so when it is over."""
    harm = threading.Event()

    def take_away(connection: Any, *_: Any) -> None:
        if harm.is_set():
            connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            connection.commit()

    event.listen(database.engine, "checkout", take_away)
    return _while_set(harm)


@contextmanager
def _while_set(harm: threading.Event) -> Iterator[None]:
    harm.set()
    try:
        yield
    finally:
        harm.clear()


def on_call(shop: Shop, numbers: set[int], do: Callable[[], object]) -> None:
    """Do it inside so many of the vendor's calls, by number."""
    calls: list[int] = []

    def called() -> None:
        calls.append(1)
        if len(calls) in numbers:
            do()

    shop.source.on_call = called
