"""A simulated account of either vendor behind real HTTP, connected to a real database, for tests of whole runs."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from sqlalchemy import select

from app import sources
from app.domain import Kind, Options, Strategy
from app.flows.deps import Deps
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.runs.request_run import request_run
from app.flows.runs.run import run
from app.sources.base import Context, Source
from app.stores.catalog.catalog_sql import shape
from app.stores.runs import drift, runs
from app.stores.runs.budgets import SharedBudget
from app.stores.runs.drift import Difference
from app.stores.runs.run_row import Run
from app.stores.sql.engine import Database
from app.stores.tables import CATALOG
from tests.fakes import ListQueue

SHOP = "shop"
Rows = dict[tuple[Kind, str], dict[str, Any]]
NO_CONTENT = ("version", "modified_at")


@dataclass
class Shop:
    """One simulated account and what we hold of it."""

    deps: Deps
    source: Source
    control: httpx.Client

    def run(self, strategy: Strategy, **options: Any) -> Run:
        """Carry out a run; returns it as it ended."""
        run_id = request_run(self.deps, SHOP, strategy, Options(**options), cause="person")
        run(self.deps, LeaseKeeper(self.deps.database), run_id, patience=0.0)
        with self.deps.database.read() as conn:
            ended = runs.get(conn, run_id)
        assert ended is not None
        return ended

    def change(self, count: int, *kinds: str) -> None:
        """Let things happen in the shop."""
        body = {"count": count, "kinds": kinds} if kinds else {"count": count}
        self.control.post("/_sim/changes", json=body).raise_for_status()

    def drift(self, run_id: int) -> list[Difference]:
        """The rows that a run wrote down as different."""
        with self.deps.database.read() as conn:
            return drift.of_run(conn, run_id, 100_000)

    def settle(self) -> None:
        """Have all that is owed fetched, as workers would."""
        queue: Any = self.deps.queue
        keeper = LeaseKeeper(self.deps.database)
        while queue.enqueued:
            sync_item(self.deps, keeper, queue.enqueued.pop(0))

    def rows(self) -> Rows:
        """What we hold, by kind and item, as plain values; the times that differ between two runs are left out."""
        rows: Rows = {}
        with self.deps.database.read() as conn:
            for kind, table in CATALOG.items():
                for row in conn.execute(select(table)).mappings():
                    item = "/".join(row[name] for name in shape(kind).keys)
                    rows[kind, item] = {name: row[name] for name in shape(kind).fields if name not in NO_CONTENT}
        return rows

    def requests(self, path: str) -> int:
        """How many requests that end so the vendor has answered."""
        counts: dict[str, int] = self.control.get("/_sim/status").json()["requests"]
        return sum(count for name, count in counts.items() if name.endswith(path))


@contextmanager
def shop(vendor: str, database: Database, **options: str) -> Iterator[Shop]:
    """An account of a vendor with 60 products, and nothing read of it yet."""
    given, credentials = sources.demo(vendor, "http://127.0.0.1:1", "http://127.0.0.1:1/webhooks/here")
    unhurried, connection = sources.fast_options(vendor)
    given = {name: value for name, value in given.items() if "url" not in name}
    given |= {"products": "60", "seed": "3", **unhurried, **options}
    server = uvicorn.Server(
        uvicorn.Config(sources.simulator(vendor, given), host="127.0.0.1", port=0, log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    waiting = threading.Event()
    while not server.started:
        waiting.wait(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    source = sources.connect(
        vendor, Context(SHOP, SharedBudget(database, SHOP)), {**credentials, **connection, "base_url": url}
    )
    with closing(source), httpx.Client(base_url=url, timeout=30) as control:
        connected = {SHOP: source}
        yield Shop(Deps(database, ListQueue(), connected, connected, worker="test"), source, control)
    server.should_exit = True
    thread.join(60)
