"""How fast people's questions are answered at 280,000 products, 600,000 stock rows and 1,000,000 deliveries.

``python -m tests.bench.questions [--database sqlite|postgresql] [--scale 1.0] [--rounds 50]``

Each question is asked again and again, alone, by one thread. Validation and the list of critical listings look at
whole tables and are remembered; what finding them anew costs, which somebody pays once in ten minutes and once in one,
is printed beside, check by check.
"""

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Connection

from app.domain import Kind
from app.flows.catalog import critical, validate
from app.flows.deps import Deps
from app.flows.reports import metrics
from app.stores import validation
from app.stores.runs import drift, history, runs
from app.stores.runs.history import DriftWanted, RunsWanted
from app.stores.sql.engine import open_database
from app.stores.validation import measuring
from app.web import prometheus
from tests.bench import servers
from tests.bench.installation import DATABASES
from tests.bench.questions_data import MAIN, OTHER, RUNS, Sizes, fill
from tests.fakes import FakeSource, ListQueue

TARGET_MS = 200.0
"""At the 95th percentile."""

LAST_RUN = RUNS
"""The run that found all drift."""


def _with(question: Callable[[Connection], Any]) -> Callable[[Deps], Any]:
    """A question to the database alone."""

    def ask(deps: Deps) -> Any:
        with deps.database.read() as conn:
            return question(conn)

    return ask


QUESTIONS: Mapping[str, Callable[[Deps], Any]] = {
    "validate": lambda deps: validate.validate(deps, MAIN),
    "critical: a page": lambda deps: critical.page(deps, MAIN, limit=101),
    "critical: the last page": lambda deps: critical.page(deps, MAIN, limit=101, after="1279990"),
    "runs: latest": _with(lambda conn: runs.latest(conn, MAIN)),
    "history: a page": _with(lambda conn: history.runs_page(conn, MAIN, RunsWanted(limit=51))),
    "metrics: seven days": lambda deps: metrics.metrics(deps, MAIN, 7),
    "drift: of a run": _with(lambda conn: drift.of_run(conn, LAST_RUN)),
    "drift: summary": _with(lambda conn: drift.summary(conn, LAST_RUN)),
    "drift: a page": _with(lambda conn: history.drift_page(conn, MAIN, DriftWanted(limit=51))),
    "metrics: everything, for Prometheus": prometheus.exposition,
    "drift: a page of a rare cause": _with(
        lambda conn: history.drift_page(conn, MAIN, DriftWanted(cause="local", limit=51))
    ),
    "drift: a page of a kind": _with(
        lambda conn: history.drift_page(conn, MAIN, DriftWanted(kind="product", limit=51))
    ),
}


def main() -> None:
    """Print every question's time for each database."""
    chosen = _options()
    sizes = Sizes.at(chosen.scale)
    print(f"questions; {servers.machine()}")
    print(
        f"{sizes.products:,} products, {sizes.stock:,} stock rows, {sizes.sold_elsewhere:,} of them sold elsewhere,"
    )
    print(f"{sizes.inbox:,} deliveries, {RUNS:,} runs, {sizes.drift:,} differences")
    for kind in [chosen.database] if chosen.database else DATABASES:
        bench(kind, sizes, chosen.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=50)
    return parser.parse_args()


@contextmanager
def _filled(kind: str, sizes: Sizes) -> Iterator[Deps]:
    with (
        servers.scratch() as folder,
        servers.database_url(kind, folder) as url,
        closing(open_database(url)) as database,
    ):
        database.migrate()
        fill(database, sizes)
        sources = {MAIN: FakeSource(), OTHER: FakeSource()}
        yield Deps(database, ListQueue(), sources, sources)


def bench(kind: str, sizes: Sizes, rounds: int) -> None:
    """Every question, on one database."""
    with _filled(kind, sizes) as deps:
        _ask(deps, rounds)


def _ask(deps: Deps, rounds: int) -> None:
    print(f"\n{deps.database.dialect}, load average {os.getloadavg()[0]:.1f}")
    validate.validate(deps, MAIN, anew=True)
    critical.page(deps, MAIN, limit=1, anew=True)
    print(f"{'milliseconds':40}{'p50':>9}{'p95':>9}{'target':>9}")
    for name, question in QUESTIONS.items():
        took = sorted(milliseconds(lambda question=question: question(deps)) for _ in range(rounds))  # type: ignore[misc]
        p50, p95 = rank(took, 0.5), rank(took, 0.95)
        print(f"{name:40}{p50:9.1f}{p95:9.1f}{TARGET_MS:9.0f}{'' if p95 < TARGET_MS else '  MISSED'}", flush=True)
    _print_anew(deps)


def _print_anew(deps: Deps) -> None:
    print(f"\n{'found anew, once':56}{'ms':>9}")
    with deps.database.read() as conn:
        span = validation.cutoffs(conn, deps.now())
        for question in measuring.questions(tuple(Kind)):
            names = ", ".join(check.name for check in question.checks)
            took = milliseconds(lambda question=question: question.ask(conn, MAIN, span, 100))  # type: ignore[misc]
            print(f"{names:56}{took:9.0f}")
    print(f"{'validation in all':56}{milliseconds(lambda: validate.validate(deps, MAIN, anew=True)):9.0f}")
    print(f"{'critical in all':56}{milliseconds(lambda: critical.page(deps, MAIN, limit=1, anew=True)):9.0f}")


def milliseconds(work: Callable[[], Any]) -> float:
    """How long some work takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def rank(ordered: Sequence[float], share: float) -> float:
    """The nearest rank's value."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


if __name__ == "__main__":
    main()
