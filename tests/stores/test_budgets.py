"""A shared budget never lets more calls through than a window holds, whoever asks."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass

import pytest

from app.stores.budgets import SharedBudget
from app.stores.engine import Database, open_database
from tests.stores.racing import at_once


@dataclass(frozen=True)
class Limit:
    name: str
    calls: int
    seconds: float


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


TWO = Limit("reads", 2, 10.0)


def _budget(database: Database, connection: str = "shop") -> tuple[SharedBudget, Clock]:
    clock = Clock()
    return SharedBudget(database, connection, clock), clock


def test_calls_within_the_limit_go_at_once(database: Database) -> None:
    budget, _ = _budget(database)
    assert [budget.take([TWO]) for _ in range(2)] == [0.0, 0.0]


def test_a_call_too_many_is_told_how_long_to_wait(database: Database) -> None:
    budget, clock = _budget(database)
    budget.take([TWO])
    clock.now += 4
    budget.take([TWO])
    assert budget.take([TWO]) == pytest.approx(6.0)


def test_after_that_wait_it_goes(database: Database) -> None:
    budget, clock = _budget(database)
    for _ in range(2):
        budget.take([TWO])
    clock.now += budget.take([TWO])
    assert budget.take([TWO]) == 0.0


def test_a_refused_call_does_not_count(database: Database) -> None:
    budget, clock = _budget(database)
    for _ in range(5):
        budget.take([TWO])
    clock.now += 10
    assert [budget.take([TWO]) for _ in range(2)] == [0.0, 0.0]


def test_several_limits_are_taken_together_or_not_at_all(database: Database) -> None:
    budget, _ = _budget(database)
    one = Limit("all", 1, 10.0)
    budget.take([one])
    budget.take([TWO, one])
    assert [budget.take([TWO]) for _ in range(3)] == [0.0, 0.0, pytest.approx(10.0)]


def test_connections_do_not_share(database: Database) -> None:
    _budget(database)[0].take([Limit("reads", 1, 10.0)])
    assert _budget(database, "other")[0].take([Limit("reads", 1, 10.0)]) == 0.0


def test_no_limit_is_no_wait(database: Database) -> None:
    assert _budget(database)[0].take([]) == 0.0


def test_a_clock_that_was_set_back_blocks_for_one_window_at_most(database: Database) -> None:
    budget, clock = _budget(database)
    for _ in range(2):
        budget.take([TWO])
    clock.now -= 3600
    assert budget.take([TWO]) <= TWO.seconds


def test_threads_with_limits_in_opposite_orders_all_get_through(database: Database) -> None:
    budget, _ = _budget(database)
    limits = [Limit("a", 1000, 10.0), Limit("b", 1000, 10.0)]
    waits = at_once(8, lambda number: [budget.take(limits[:: 1 if number % 2 else -1]) for _ in range(5)])
    assert {wait for mine in waits for wait in mine} == {0.0}


_PROGRAM = """
import json, sys, threading, time
from app.stores.budgets import SharedBudget
from app.stores.engine import open_database
from tests.stores.test_budgets import Limit
from tests.stores.racing import at_once

database = open_database(sys.argv[1])
limits = [Limit("small", 5, 0.2), Limit("large", 20, 1.0)]
clocks = threading.local()

def clock():
    clocks.now = time.time()
    return clocks.now

budget = SharedBudget(database, "shop", clock)

def work(number):
    taken, end = [], time.time() + 1.5
    while time.time() < end:
        wait = budget.take(limits)
        if wait:
            time.sleep(wait / 4)
        else:
            taken.append(clocks.now)
    return taken

sys.stdin.readline()
print(json.dumps([moment for taken in at_once(8, work) for moment in taken]))
"""


def test_two_processes_of_eight_threads_never_exceed_a_window(database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0] for process in processes]
    taken = sorted(moment for answer in answers for moment in json.loads(answer))
    assert len(taken) >= 20
    assert (_fullest(taken, 0.2), _fullest(taken, 1.0)) == (5, 20)


def _fullest(moments: list[float], seconds: float) -> int:
    """The most moments that any window of that length, open at its end, holds."""
    return max(sum(start <= moment < start + seconds for moment in moments) for start in moments)


def test_a_budget_is_shared_by_objects(database: Database) -> None:
    with closing(open_database(database.url)) as other:
        budget, clock = _budget(database)
        for _ in range(2):
            budget.take([TWO])
        assert SharedBudget(other, "shop", clock).take([TWO]) > 0
