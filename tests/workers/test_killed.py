"""Worker processes that die: their work is done by others, and what kills them is put away."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlmodel import col

from app.channels.queue import BrokerQueue, redis_broker
from app.domain import Cause, Change, ItemKey, Kind
from app.flows.items.leases import LEASE
from app.stores import owed
from app.stores.letters.rows import Letter
from app.stores.sql.engine import Database
from app.stores.tables.work import OwedItem
from tests.fakes import SHOP
from tests.letters import all_letters
from tests.rows import row_of
from tests.stack import eventually
from tests.workers.perilous import clock

pytestmark = pytest.mark.journey

TEN_TIMES = 10.0


class Crew:
    """Worker processes of one installation, and what they are given to do."""

    def __init__(self, database: Database, valkey: str, *, speed: float = 1.0, batch: int = 1) -> None:
        self._start = time.time()
        self._now = clock(self._start, speed)
        self._arguments = [database.url, valkey, str(self._start), str(speed), str(batch)]
        self._broker = redis_broker(valkey)
        self._database = database
        self._crew: list[subprocess.Popen[str]] = []

    def hire(self) -> subprocess.Popen[str]:
        """Start one more worker."""
        command = [sys.executable, "-m", "tests.workers.perilous", *self._arguments]
        pipe = subprocess.PIPE
        worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self._crew.append(worker)
        return worker

    def owe(self, *external_ids: str) -> None:
        """Owe products and wake the workers, as the receiver does."""
        changes = [Change(Kind.PRODUCT, item) for item in external_ids]
        with self._database.begin() as conn:
            fresh = owed.owe(conn, SHOP, changes, Cause.WEBHOOK, self._now())
        BrokerQueue(self._broker).enqueue(fresh)

    def is_held(self, external_id: str) -> bool:
        with self._database.read() as conn:
            return row_of(conn, SHOP, Kind.PRODUCT, (external_id,)) is not None

    def is_owed(self, external_id: str) -> bool:
        with self._database.read() as conn:
            return owed.is_owed(conn, ItemKey(SHOP, Kind.PRODUCT, external_id))

    def lease_until(self, external_id: str) -> datetime:
        with self._database.read() as conn:
            query = select(col(OwedItem.lease_until)).where(col(OwedItem.external_id) == external_id)
            moment = conn.execute(query).scalar_one()
        assert moment is not None
        return moment

    def letters(self) -> list[Letter]:
        return all_letters(self._database)

    def until_buried(self, letters: int) -> list[Letter]:
        """Replace every worker that dies, as a supervisor does, until so many letters are there."""
        worker = self.hire()

        def buried() -> list[Letter]:
            nonlocal worker
            if worker.poll() is not None:
                worker = self.hire()
            result = self.letters()
            return result if len(result) >= letters else []

        return list(eventually(buried, within=240, every=0.05))

    def hired(self) -> int:
        return len(self._crew)

    def dismiss(self) -> None:
        """End every worker that lives."""
        for worker in self._crew:
            worker.kill()
            worker.wait(60)
            for stream in (worker.stdin, worker.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
        self._broker.client.close()


@pytest.fixture
def crew(database: Database, valkey: str) -> Iterator[Crew]:
    crew = Crew(database, valkey)
    yield crew
    crew.dismiss()


@pytest.fixture(params=[1, 100], ids=["alone", "in batches"])
def hasty(database: Database, valkey: str, request: pytest.FixtureRequest) -> Iterator[Crew]:
    """Whose clocks run ten times as fast, so that a lease ends after a second and a half."""
    crew = Crew(database, valkey, speed=TEN_TIMES, batch=request.param)
    yield crew
    crew.dismiss()


def test_an_item_that_kills_its_worker_dies_and_its_neighbours_live(hasty: Crew) -> None:
    neighbours = [f"good-{n}" for n in range(5)]
    hasty.owe("deadly", *neighbours)
    letters = hasty.until_buried(1)
    assert [(letter.external_id, letter.error_type) for letter in letters] == [("deadly", "KilledWorker")]
    assert not hasty.is_owed("deadly")
    assert eventually(lambda: all(hasty.is_held(item) for item in neighbours), within=120)
    assert hasty.hired() == 4, [worker.poll() for worker in hasty._crew]


def started_fetching(worker: subprocess.Popen[str]) -> bool:
    assert worker.stdout is not None
    # Reads on until such a line, past what is logged; a log line of another thread may stand before it.
    return any(line.endswith("fetching\n") for line in worker.stdout)


def let_go_on(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


def test_the_item_of_a_worker_killed_in_the_middle_is_taken_by_another_once_its_lease_has_ended(crew: Crew) -> None:
    crew.owe("slow")
    victim = crew.hire()
    assert started_fetching(victim)
    successor = crew.hire()
    victim.kill()
    ended = crew.lease_until("slow")
    assert started_fetching(successor)
    taken = crew.lease_until("slow") - timedelta(seconds=LEASE)
    assert timedelta() <= taken - ended < timedelta(seconds=30)
    let_go_on(successor)
    assert eventually(lambda: crew.is_held("slow"), within=60, every=0.05)


def test_a_worker_told_to_stop_finishes_the_item_it_works_on(crew: Crew) -> None:
    crew.owe("slow")
    worker = crew.hire()
    assert started_fetching(worker)
    worker.terminate()
    let_go_on(worker)
    assert worker.wait(60) == 0
    assert crew.is_held("slow")
    assert not crew.is_owed("slow")


def test_a_worker_that_is_told_to_end_while_it_is_stopped_ends_when_it_goes_on(crew: Crew) -> None:
    """After SIGCONT any thread may get the SIGTERM; Python carries it out in the main thread, when that wakes."""
    crew.owe("slow")
    worker = crew.hire()
    assert started_fetching(worker)
    let_go_on(worker)
    assert eventually(lambda: crew.is_held("slow"), within=120, every=0.05)
    worker.send_signal(signal.SIGSTOP)
    worker.terminate()
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(60) == 0


def test_a_worker_whose_calls_hang_ends_all_the_same_and_gives_back_what_it_held(crew: Crew) -> None:
    crew.owe("slow")
    worker = crew.hire()
    assert started_fetching(worker)
    worker.terminate()
    assert worker.wait(60) == 0
    assert crew.is_owed("slow")


def test_a_worker_told_to_stop_leaves_what_it_had_not_begun_to_others(crew: Crew) -> None:
    crew.owe("slow-1", "slow-2", "slow-3", "slow-4", "waiting")
    worker = crew.hire()
    for _ in range(4):
        assert started_fetching(worker)
    worker.terminate()
    for _ in range(4):
        let_go_on(worker)
    worker.wait(60)
    crew.hire()
    assert eventually(lambda: crew.is_held("waiting"), within=120, every=0.05)
