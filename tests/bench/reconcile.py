"""Measures a whole reconciliation against the least it could cost: ``python -m tests.bench.reconcile``.

Each measurement is a process of its own, so that its peak memory (VmHWM) is its own. Both sides must leave the very
same rows, or the comparison is void and the program fails.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import msgspec

from app.domain import Kind
from app.sources.base import Context, Source, Unlimited
from app.stores.catalog import bulk
from app.stores.catalog import catalog_sql as sql
from app.stores.catalog.differ import Differ
from app.stores.sql.engine import Database, open_database
from tests.bench import reconcile_files, reconcile_floor

CONNECTION = "shop"
KINDS = (Kind.PRODUCT, Kind.STOCK)
CASES = {"all new": "before", "unchanged": "before", "1 % changed": "after"}
SIDES = ("floor", "ours")


def main() -> None:
    """Run all cases of the wanted databases, or (``--child``) one measurement."""
    options = _options()
    if options.child:
        side, state, url = options.child
        print(msgspec.json.encode(measure(side, Path(state), url)).decode())
        return
    folder = Path(tempfile.gettempdir()) / f"tallyhook-bench-{options.products}-{options.stock}"
    reconcile_files.make(folder, options.products, options.stock)
    for database in [options.database] if options.database else ["sqlite", "postgresql"]:
        print(f"\n{database}: {options.products:,} products, {options.stock:,} stock rows, {options.rounds} round(s)")
        _report([_round(folder, database) for _ in range(options.rounds)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"))
    parser.add_argument("--products", type=int, default=280_000)
    parser.add_argument("--stock", type=int, default=600_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--child", nargs=3, metavar=("SIDE", "FOLDER", "URL"), help=argparse.SUPPRESS)
    return parser.parse_args()


Figures = dict[tuple[str, str], dict[str, Any]]


def _round(folder: Path, database: str) -> Figures:
    figures: Figures = {}
    with _servers(database) as urls:
        for case, state in CASES.items():
            for side in SIDES:
                figures[case, side] = _in_a_process(side, folder / state, urls[side])
            if figures[case, "floor"]["rows"] != figures[case, "ours"]["rows"]:
                raise SystemExit(f"{case}: not the same rows: {figures[case, 'floor']} {figures[case, 'ours']}")
    return figures


def _in_a_process(side: str, state: Path, url: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.reconcile", "--child", side, str(state), url]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # what a failing one says is seen at once
    figures: dict[str, Any] = msgspec.json.decode(answer.stdout)
    return figures


def _report(rounds: list[Figures]) -> None:
    """Wall and processor seconds (the client's own; medians) and peak memory (the highest) of both sides."""
    print(f"{'':13}{'floor s':>9}{'ours s':>8}{'ratio':>7}{'floor cpu':>11}{'ours cpu':>10}{'ratio':>7}", end="")
    print(f"{'paused s':>10}{'floor MB':>10}{'ours MB':>9}")
    for case in CASES:
        floor, ours = ([figures[case, side] for figures in rounds] for side in SIDES)
        wall, cpu = (
            [median(figure[name] for figure in side) for side in (floor, ours)] for name in ("seconds", "cpu")
        )
        peaks = [max(figure["peak_mb"] for figure in side) for side in (floor, ours)]
        print(f"{case:13}{wall[0]:9.2f}{wall[1]:8.2f}{wall[1] / wall[0]:7.2f}", end="")
        print(f"{cpu[0]:11.2f}{cpu[1]:10.2f}{cpu[1] / cpu[0]:7.2f}", end="")
        print(f"{ours[0]['paused']:10.2f}{peaks[0]:10.0f}{peaks[1]:9.0f}")
        print("             ours: " + ", ".join(f"{name} {value:.2f}" for name, value in ours[0]["phases"].items()))


@contextmanager
def _servers(database: str) -> Iterator[dict[str, str]]:
    """A migrated, empty database for each side."""
    from tests.bench.servers import database_url, scratch  # the measured processes should not carry its imports

    with ExitStack() as stack:
        urls = {side: stack.enter_context(database_url(database, stack.enter_context(scratch()))) for side in SIDES}
        _migrate(urls)
        yield urls


def _migrate(urls: dict[str, str]) -> None:
    for url in urls.values():
        with closing(open_database(url)) as database:
            database.migrate()


def measure(side: str, state: Path, url: str) -> dict[str, Any]:
    """Reconcile a migrated database with the files of a state, by hand (``floor``) or as we do (``ours``)."""
    database = open_database(url)
    phases: dict[str, float] = {}
    started, cpu_before = time.perf_counter(), time.process_time()
    if side == "floor":
        reconcile_floor.run(state, url, CONNECTION)
    else:
        _run_ours(state, database, phases)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_before
    paused = phases.pop("paused", 0.0)
    measured = {"seconds": seconds, "cpu": cpu, "phases": phases, "paused": paused, "peak_mb": _peak_mb()}
    return {**measured, "rows": _rows(database)}


def _run_ours(state: Path, database: Database, phases: dict[str, float]) -> None:
    with closing(_source(state)) as source:
        for kind in KINDS:
            _reconcile(source, kind, database, phases)


def _reconcile(source: Source, kind: Kind, database: Database, phases: dict[str, float]) -> None:
    """What the flow does: compare the stream with what we hold, then write only that."""
    clock = time.perf_counter
    read_at = datetime.now(UTC)
    mark = clock()
    differ = Differ(database, CONNECTION, kind, read_at)
    phases[f"load {kind}"] = clock() - mark
    compared, scope = 0.0, None
    mark = clock()
    for page in source.full(kind):
        before = clock()
        differ.feed(page.records)
        compared += clock() - before
        scope = page.complete or scope
    phases[f"read {kind}"] = clock() - mark - compared
    mark = clock()
    diff = differ.diff(scope)
    phases[f"compare {kind}"] = compared + clock() - mark
    del differ
    mark = clock()
    written = bulk.write(database, CONNECTION, diff, read_at=read_at, now=datetime.now(UTC), scope=scope)
    phases[f"write {kind}"] = clock() - mark
    batches = (written.created, written.updated, written.touched, written.deleted)
    commits = sum(max(0, -(-rows // bulk.ROWS_PER_COMMIT[database.dialect]) - 1) for rows in batches)
    phases["paused"] = phases.get("paused", 0.0) + commits * bulk.PAUSE[database.dialect]


def _source(state: Path) -> Source:
    from app.sources import finale

    context = Context(CONNECTION, Unlimited(), transport=lambda: _Files(state))
    options = {"account": reconcile_files.ACCOUNT, "api_key": "key", "api_secret": "secret", "row_cap": "100000000"}
    return finale.connect(context, options)


class _Files(httpx.BaseTransport):
    """Answers a collection read with the local file of that name, in pieces as a network would."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rstrip("/").rpartition("/")[2]
        return httpx.Response(200, headers={"content-type": "application/json"}, content=self._pieces(name))

    def _pieces(self, name: str) -> Iterator[bytes]:
        with (self._folder / name).open("rb") as file:
            while piece := file.read(1 << 18):
                yield piece


def _peak_mb() -> float:
    """VmHWM, not ru_maxrss: that one is inherited from the parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _rows(database: Database) -> list[Any]:
    """Number of rows and sum of their hashes, per kind."""
    with database.read() as conn:
        cursor = sql.driver(conn).cursor()
        return [_sums(cursor, sql.shape(kind).table) for kind in KINDS]


def _sums(cursor: Any, table: str) -> list[int]:
    cursor.execute(f"SELECT row_hash FROM {table}")
    hashes = [row[0] for row in cursor.fetchall()]
    return [len(hashes), sum(hashes) % 2**61]


if __name__ == "__main__":
    main()
