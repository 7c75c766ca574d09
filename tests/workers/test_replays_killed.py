"""A bulk replay on real worker processes, killed again and again: each letter replayed once in effect, none lost."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from app.domain import Kind
from app.flows.letters.replay import ReplayView, replay_letters, show_replay
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World
from tests.stack import eventually
from tests.workers.perilous import clock

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

LETTERS = 1_000
KILLS = 25
RATE = 60
"""Items per second: as slow as that all kills land while the replay is under way."""

FASTER = 5.0
"""How much faster than time the processes' clock runs, so that the leases of the killed end soon."""


@dataclass
class Zygote:
    """Makes worker processes."""

    process: subprocess.Popen[str]

    def worker(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("one\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture
def world(database: Database) -> World:
    """A thousand dead letters, of as many items."""
    world = World(database)
    world.clock = clock(time.time(), FASTER)  # type: ignore[assignment]
    now = datetime.now(UTC)
    letter = """
        INSERT INTO dead_letters (message_id, actor, queue, args, connection, kind, external_id, error_type, error,
                                  fingerprint, place, attempts, first_failed_at, died_at, state, replays)
        VALUES (:id, 'sync_item', 'live', '[]', :connection, :kind, :id, 'Refused', 'no', 'Refused-1', '', '[]', :now,
                :now, 'dead', 0)
    """
    with database.begin() as conn:
        rows = [
            {"id": f"P{number:04}", "connection": SHOP, "kind": Kind.PRODUCT.value, "now": now}
            for number in range(LETTERS)
        ]
        conn.execute(text(letter), rows)
    return world


@pytest.fixture
def zygote(database_url: str, valkey: str) -> Iterator[Zygote]:
    command = [sys.executable, "-m", "tests.workers.zygote", database_url, valkey, str(time.time()), str(FASTER)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
    with process:  # closes the pipes
        yield Zygote(process)
        os.killpg(process.pid, signal.SIGKILL)


def rows(world: World, sql: str) -> list[Any]:
    with world.database.read() as conn:
        return list(conn.execute(text(sql)))


def sent(world: World) -> int:
    return int(rows(world, "SELECT count(*) FROM replay_items WHERE state <> 'waiting'")[0][0])


def stopped(world: World, replay: ReplayView) -> str:
    """Why a replay does not go on."""
    letters = rows(world, "SELECT error, count(*) FROM dead_letters WHERE state = 'dead' GROUP BY error")
    return f"{replay.status}: {replay.reason}, {replay.progress}; dead: {letters}"


def test_a_replay_whose_workers_are_killed_25_times_replays_each_letter_once(world: World, zygote: Zygote) -> None:
    dice = random.Random(50)
    deps = replace(world.deps, now=world.clock)
    replay_id = replay_letters(deps, "", "killed", rate=RATE, canary=False)
    kills = 0
    for _ in range(KILLS):
        worker = zygote.worker()
        before = sent(world)
        going_on = eventually(lambda before=before: sent(world) > before, within=120, every=0.01)  # type: ignore[misc]
        assert going_on, stopped(world, show_replay(deps, replay_id))
        time.sleep(dice.random() * 0.3)
        kills += show_replay(deps, replay_id).status == "running"
        os.kill(worker, signal.SIGKILL)
    assert kills == KILLS, "the replay was over before the last kill"
    zygote.worker()
    assert eventually(lambda: show_replay(deps, replay_id).status != "running", within=300, every=0.1)
    replay = show_replay(deps, replay_id)
    assert (replay.status, replay.reason, replay.progress.done) == ("completed", None, LETTERS)
    letters = rows(world, "SELECT state, replays, count(*) FROM dead_letters GROUP BY state, replays")
    assert [tuple(row) for row in letters] == [("replayed", 1, LETTERS)]
    settled = rows(world, "SELECT external_id, cause, outcome FROM settlements")
    assert Counter(cause for _, cause, _ in settled) == {"replay": LETTERS}
    assert len({item for item, *_ in settled}) == LETTERS
    assert rows(world, "SELECT count(*) FROM owed_items") == [(0,)]
    assert rows(world, "SELECT count(*) FROM listings") == [(LETTERS,)]
