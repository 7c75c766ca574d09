"""What the benches of filters share: a filled database, and a table of how long each question takes."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from app.flows.deps import Deps
from app.stores.sql.engine import open_database
from tests.bench import servers
from tests.fakes import SHOP, FakeSource, ListQueue

ROUNDS = 30


@contextmanager
def filled(kind: str, fill: Callable[[Deps], None]) -> Iterator[Deps]:
    """A database of that kind, migrated and filled, whose planner knows what is in it."""
    with (
        servers.scratch() as folder,
        servers.database_url(kind, folder) as url,
        closing(open_database(url)) as database,
    ):
        database.migrate()
        source = {SHOP: FakeSource()}
        deps = Deps(database, ListQueue(), source, source, now=lambda: datetime.now(UTC))
        fill(deps)
        if database.dialect == "postgresql":
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                conn.exec_driver_sql("ANALYZE")
        yield deps


def measure(
    floor: float, questions: Mapping[str, Callable[[], object]], target: float = math.inf, rounds: int = ROUNDS
) -> None:
    """Print the 95th percentile of each question in milliseconds, and how it compares with ``floor``."""
    for name, ask in questions.items():
        took = p95(ask, rounds)
        late = "" if took < target else "  MISSED"
        print(f"  {name:62}{took:8.1f}{took / floor:8.2f} of baseline{late}", flush=True)


def p95(ask: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Milliseconds, at the 95th percentile."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took)[max(0, int(len(took) * 0.95) - 1)]
