"""A whole installation for a benchmark: a migrated database, Valkey, a cheap vendor, and our own real processes."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import text

from app.stores.sql.engine import Database, open_database
from app.stores.upkeep import heartbeats
from tests.bench import servers

DATABASES = ("sqlite", "postgresql")
LIVE = ("worker", "--queues", "live", "--threads", "16")
WORKERS = 2
UPSTREAM_MS = 20
ACCOUNT = "bench"
BEARER = "bench-bearer-secret"
SQUARE_KEY = "bench-signature-key"
PUBLIC = "https://hooks.example.com"


@dataclass
class Installation:
    """What runs, and how to ask it. ``environment`` is what every process of ours is given."""

    database: Database
    environment: dict[str, str]
    upstream: str
    _processes: ExitStack
    _asking: httpx.Client

    @property
    def port(self) -> int:
        """The web process's."""
        return int(self.environment["TALLYHOOK_PORT"])

    def web(self) -> None:
        """Start the web process."""
        self._processes.enter_context(servers.process("app.web", env=self.environment, port=self.port))

    @contextmanager
    def workers(self, module: str = "workers", *command: str) -> Iterator[None]:
        """Two live worker processes of 16 threads while the block runs; of another ``module`` for a baseline.

        They have booted when the block begins: what comes while nobody works would gather, and be taken for a storm.
        """
        began = datetime.now(UTC)
        with ExitStack() as stack:
            for _ in range(WORKERS):
                stack.enter_context(servers.process(module, *(command or LIVE), env=self.environment))
            while self._alive(began) < WORKERS:
                time.sleep(0.1)
            yield

    def _alive(self, since: datetime) -> int:
        with self.database.read() as conn:
            return heartbeats.alive(conn, "worker", since)

    def calls(self) -> int:
        """How many calls the vendor has had."""
        return int(self._asking.get(f"{self.upstream}/_calls").raise_for_status().text)

    def rows(self, query: str, **bound: Any) -> list[tuple[Any, ...]]:
        """What a query with named parameters gives."""
        with self.database.read() as conn:
            return [tuple(row) for row in conn.execute(text(query), bound)]

    def await_settled(self, seconds: float, connection: str = "%") -> None:
        """Wait until nothing of a connection is owed, or nothing at all; raises ``TimeoutError``."""
        deadline = time.monotonic() + seconds
        owed = "SELECT count(*) FROM owed_items WHERE connection LIKE :connection"
        while (waiting := self.rows(owed, connection=connection)[0][0]) > 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{waiting} items are owed still after {seconds:g} s")
            time.sleep(0.25)


@contextmanager
def installed(kind: str, made: str | None = None) -> Iterator[Installation]:
    """A database of this kind (or the one ``made`` already, by its URL), Valkey and the vendor, started; all gone
    afterwards."""
    with (
        servers.scratch() as folder,
        nullcontext(made) if made else servers.database_url(kind, folder) as url,
        servers.valkey_url(folder) as queue,
        ExitStack() as processes,
    ):
        upstream = servers.free_port()
        processes.enter_context(
            servers.process("tests.bench.upstream", str(upstream), str(UPSTREAM_MS), env={}, port=upstream)
        )
        database = open_database(url, pool=4)
        processes.callback(database.close)
        database.migrate()
        address = f"http://127.0.0.1:{upstream}"
        with httpx.Client(timeout=10) as asking:
            yield Installation(database, _environment(url, queue, address), address, processes, asking)


def _environment(url: str, queue: str, upstream: str) -> dict[str, str]:
    """Both connections on the cheap vendor. Finale's budget is out of the way, Square's is the default."""
    finale, square = "TALLYHOOK_CONNECTIONS__FINALE__", "TALLYHOOK_CONNECTIONS__SQUARE__"
    return {
        "TALLYHOOK_DATABASE_URL": url,
        "TALLYHOOK_REDIS_URL": queue,
        "TALLYHOOK_PORT": str(servers.free_port()),
        "TALLYHOOK_PUBLIC_URL": PUBLIC,
        "TALLYHOOK_LOG_LEVEL": "warning",
        f"{finale}BASE_URL": upstream,
        f"{finale}ACCOUNT": ACCOUNT,
        f"{finale}API_KEY": "bench",
        f"{finale}API_SECRET": "bench",
        f"{finale}BEARER_SECRET": BEARER,
        f"{finale}GETS_PER_MINUTE": "0",
        f"{finale}READS_PER_HOUR": "0",
        f"{square}BASE_URL": upstream,
        f"{square}ACCESS_TOKEN": "bench",
        f"{square}WEBHOOK_KEYS": SQUARE_KEY,
    }
