"""Bulk runs on real processes against a real simulator: killed again and again, resumed, and right in the end."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app import config, wiring
from app.channels.queue import NullQueue
from app.domain import Kind, Options, Strategy
from app.errors import Refused
from app.flows.deps import Deps
from app.flows.runs.request_run import cancel_run, request_run, resume_run
from app.stores.runs import runs
from app.stores.runs.run_row import Run
from tests.stack import Stack, difference, eventually, simulate

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

NAME = "square"
KILLS = 25
KINDS = (Kind.PRODUCT, Kind.STOCK, Kind.ORDER, Kind.LOCATION, Kind.VENDOR, Kind.CATEGORY)


class Installation:
    """A database, a simulated vendor with short pages, and workers that are started one at a time."""

    def __init__(self, stack: Stack, deps: Deps) -> None:
        self.stack, self.deps = stack, deps

    def ask(self, **options: Any) -> int:
        return request_run(self.deps, NAME, Strategy.FULL, Options(**options), cause="person")

    def worker(self, run_id: int) -> subprocess.Popen[str]:
        """A worker process that has just begun with the run."""
        command = [sys.executable, "-m", "tests.workers.bulk_process", str(run_id)]
        environment = {**os.environ, **self.stack.environment}
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def carry_out(self, run_id: int) -> float:
        """Undisturbed to the end; returns the seconds."""
        began = time.monotonic()
        with self.worker(run_id) as process:
            assert process.wait(300) == 0
        return time.monotonic() - began

    def run(self, run_id: int) -> Run:
        with self.deps.database.read() as conn:
            row = runs.get(conn, run_id)
        assert row is not None
        return row

    def differences(self) -> list[str]:
        """But for orders older than a week, which a full run leaves alone."""
        result = [line for kind in KINDS for line in difference(self.stack, NAME, kind)]
        return [line for line in result if not (line.startswith("order ") and line.endswith("we lack it"))]

    def calls(self) -> int:
        return int(self.stack.simulated[NAME].status()["calls"]["total"])


@pytest.fixture
def latency() -> float:
    """Seconds that the vendor takes for an answer."""
    return 0.02


@pytest.fixture
def installation(database_url: str, monkeypatch: pytest.MonkeyPatch, latency: float) -> Iterator[Installation]:
    folder = Path(tempfile.mkdtemp(prefix="tallyhook-runs-"))
    stack = Stack(folder, {"TALLYHOOK_DATABASE_URL": database_url, "TALLYHOOK_PUBLIC_URL": "http://127.0.0.1:1"})
    simulate(stack, NAME, {"products": 300, "orders": 60, "seed": 5, "short_pages": 1, "latency": latency}, {})
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    deps = wiring.build(config.load(), "cli", queue=NullQueue())
    try:
        with closing(deps.database):
            yield Installation(stack, deps)
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_runs_killed_at_25_random_points_and_resumed_end_equal_to_the_simulator(installation: Installation) -> None:
    chance = random.Random(7)
    run_id = installation.ask()
    for number in range(KILLS):
        with installation.worker(run_id) as process:
            time.sleep(chance.uniform(0.0, 0.35))
            process.kill()
            process.wait()
        if installation.run(run_id).status == "completed":  # it was done before its worker died
            run_id = installation.ask()
        else:
            cancel_run(installation.deps, NAME, run_id)
            resume_run(installation.deps, NAME, run_id)
        if number % 5 == 0:
            installation.stack.simulated[NAME].change(3)
    installation.carry_out(run_id)
    finished = installation.run(run_id).status
    installation.carry_out(installation.ask())  # what changed behind the reader's back is the next run's
    assert (finished, installation.differences()) == ("completed", [])


STARTER = """
from concurrent.futures import ThreadPoolExecutor
from app import config, wiring
from app.channels.queue import NullQueue
from app.domain import Options, Strategy
from app.errors import Busy
from app.flows.runs.request_run import request_run
deps = wiring.build(config.load(), "cli", queue=NullQueue())
def start(_):
    try:
        return f"run {request_run(deps, 'square', Strategy.FULL, Options(), cause='person')}"
    except Busy:
        return "busy"
print("ready", flush=True)
input()
with ThreadPoolExecutor(5) as pool:
    print(*pool.map(start, range(5)), sep="|")
"""


def test_twenty_starts_at_once_by_four_processes_make_one_run(installation: Installation) -> None:
    pipe = subprocess.PIPE
    environment = {**os.environ, **installation.stack.environment}
    processes = [
        subprocess.Popen([sys.executable, "-c", STARTER], env=environment, stdin=pipe, stdout=pipe, text=True)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [answer for process in processes for answer in process.communicate(timeout=120)[0].strip().split("|")]
    assert sorted(answers)[:19] == ["busy"] * 19
    assert len(answers) == 20


def test_a_cancelled_run_asks_for_one_more_page_at_most(installation: Installation) -> None:
    run_id = installation.ask()
    with installation.worker(run_id) as process:
        while installation.run(run_id).progress.processed == 0:
            time.sleep(0.02)
        assert cancel_run(installation.deps, NAME, run_id)
        before = installation.run(run_id).progress
        assert process.wait(120) == 0
    assert installation.run(run_id).progress == before


def test_a_dry_run_writes_nothing_and_names_the_rows_that_the_real_one_writes(installation: Installation) -> None:
    installation.carry_out(installation.ask())
    installation.stack.simulated[NAME].change(40)
    before = installation.differences()
    dry = installation.ask(dry_run=True)
    installation.carry_out(dry)
    assert installation.differences() == before
    real = installation.ask()
    installation.carry_out(real)
    assert _told(installation, dry) == _told(installation, real)
    assert installation.differences() == []
    with pytest.raises(Refused):
        resume_run(installation.deps, NAME, dry)


def _told(installation: Installation, run_id: int) -> list[tuple[Any, ...]]:
    """Drift rows; those of orders aside, which nobody has polled yet: a first load is no drift."""
    wanted = "SELECT kind, item, change, fields FROM drift WHERE run_id = :id AND kind <> 'order' ORDER BY kind, item"
    return [tuple(row.values()) for row in installation.stack.sql(wanted, id=run_id)]


@pytest.mark.parametrize("latency", [0.15])  # a run that is long enough for three deploys
def test_three_deploys_during_one_run_do_not_fail_it(installation: Installation) -> None:
    stack = installation.stack
    run_id = installation.ask()
    for number in range(3):
        name = f"worker {number}"
        before = _processed(installation, run_id)
        stack.start(name, "workers", "worker", "--queues", "bulk", "--threads", "2")
        eventually(lambda before=before: _processed(installation, run_id) > before, within=60, every=0.02)  # type: ignore[misc]
        assert stack.end(name) == []
        given_back = installation.run(run_id)
        assert (given_back.status, given_back.kills) == ("idle", 0)
    installation.carry_out(run_id)
    finished = installation.run(run_id)
    assert (finished.status, finished.kills, installation.differences()) == ("completed", 0, [])


def _processed(installation: Installation, run_id: int) -> int:
    return installation.run(run_id).progress.processed
