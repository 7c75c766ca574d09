"""A shared budget never lets more calls through than a window holds, whoever asks, and says what is left for whom."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.rules.calls.lanes import Lane, Limit, lane
from app.stores.runs.budgets import LimitUse, SharedBudget, usage
from app.stores.sql.engine import Database, open_database
from tests.stores.racing import at_once


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


TWO = Limit("reads", 2, 10.0)
TWENTY = Limit("reads", 20, 10.0)


@pytest.fixture(autouse=True)
def a_person_asks() -> Iterator[None]:
    """Whose lane may use a window up; tests of other lanes say so."""
    with lane(Lane.PERSON):
        yield


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
from app.rules.calls.lanes import Lane, Limit, lane
from app.stores.runs.budgets import SharedBudget
from app.stores.sql.engine import open_database
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
    with lane(Lane(number % 4)):
        while time.time() < end:
            wait = budget.take(limits)
            if wait:
                time.sleep(min(wait, 0.2) / 4)
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
    assert len(taken) > 20, "the windows were never full: nothing was tried"
    assert _fullest(taken, 0.2) <= 5
    assert _fullest(taken, 1.0) <= 20


def _fullest(moments: list[float], seconds: float) -> int:
    """The most moments that any window of that length, open at its end, holds."""
    return max(sum(start <= moment < start + seconds for moment in moments) for start in moments)


def test_a_budget_is_shared_by_objects(database: Database) -> None:
    with closing(open_database(database.url)) as other:
        budget, clock = _budget(database)
        for _ in range(2):
            budget.take([TWO])
        assert SharedBudget(other, "shop", clock).take([TWO]) > 0


def take_all(budget: SharedBudget, lane_: Lane, limit: Limit = TWENTY) -> int:
    """How many calls the lane gets before it must wait."""
    taken = 0
    with lane(lane_):
        while budget.take([limit]) == 0.0:
            taken += 1
    return taken


def test_lanes_that_ask_from_the_lowest_up_each_find_calls_left(database: Database) -> None:
    budget, _ = _budget(database)
    assert [take_all(budget, each) for each in reversed(Lane)] == [10, 7, 1, 1, 1]


def test_lanes_that_ask_from_the_highest_down_find_nothing_after_a_person(database: Database) -> None:
    budget, _ = _budget(database)
    assert [take_all(budget, each) for each in Lane] == [20, 0, 0, 0, 0]


def test_without_a_lane_a_call_is_a_webhooks(database: Database) -> None:
    budget, _ = _budget(database)
    (taken,) = at_once(1, lambda number: sum(budget.take([TWENTY]) == 0.0 for _ in range(30)))
    assert taken == 19


def test_a_lane_is_told_to_wait_for_room_below_its_own_ceiling(database: Database) -> None:
    budget, clock = _budget(database)
    for _ in range(20):
        budget.take([TWENTY])
        clock.now += 0.1
    waits = []
    for each in Lane:
        with lane(each):
            waits.append(budget.take([TWENTY]))
    assert waits == pytest.approx([8.0, 8.1, 8.2, 8.3, 9.0])


def test_a_bulk_run_that_had_its_share_waits_for_its_own_calls(database: Database) -> None:
    budget, clock = _budget(database)
    budget.take([TWENTY])
    clock.now += 3
    assert take_all(budget, Lane.BULK) == 12
    with lane(Lane.BULK):
        assert budget.take([TWENTY]) == pytest.approx(10.0)


def test_after_its_wait_a_bulk_run_goes_on(database: Database) -> None:
    budget, clock = _budget(database)
    take_all(budget, Lane.WEBHOOK)
    with lane(Lane.BULK):
        clock.now += budget.take([TWENTY])
        assert budget.take([TWENTY]) == 0.0


def test_a_window_stored_before_there_were_lanes_still_counts(database: Database) -> None:
    budget, clock = _budget(database)
    old = {"taken": json.dumps([clock.now - 1] * 18)}
    with database.begin() as conn:
        conn.execute(text("INSERT INTO budget_use (connection, name, taken) VALUES ('shop', 'reads', :taken)"), old)
    assert take_all(budget, Lane.PERSON) == 2


def _usage(database: Database, now: float, *limits: Limit) -> list[LimitUse]:
    with database.read() as conn:
        return usage(conn, "shop", limits, datetime.fromtimestamp(now, UTC))


def test_usage_counts_what_each_lane_took_and_may_still_take(database: Database) -> None:
    budget, clock = _budget(database)
    take_all(budget, Lane.BULK)
    clock.now += 4
    budget.take([TWENTY])
    assert _usage(database, clock.now, TWENTY) == [
        LimitUse(
            name="reads",
            calls=20,
            seconds=10.0,
            used=13,
            left=7,
            used_by={"person": 1, "webhook": 0, "poll": 0, "bulk": 12, "spare": 0},
            free_for={"person": 7, "webhook": 6, "poll": 5, "bulk": 0, "spare": 0},
            fresh_in=6.0,
        )
    ]


def test_usage_forgets_calls_that_have_left_the_window(database: Database) -> None:
    budget, clock = _budget(database)
    take_all(budget, Lane.PERSON)
    (told,) = _usage(database, clock.now + 10, TWENTY)
    assert (told.used, told.left, told.fresh_in) == (0, 20, 0.0)


def test_a_limit_nobody_has_used_yet_is_all_left(database: Database) -> None:
    assert [told.left for told in _usage(database, 1000.0, TWENTY, Limit("other", 7, 1.0))] == [20, 7]


def test_usage_agrees_with_what_each_lane_then_gets(database: Database) -> None:
    for each in Lane:
        budget, clock = _budget(database, "shop")
        with database.begin() as conn:
            conn.execute(text("DELETE FROM budget_use"))
        take_all(budget, Lane.POLL, Limit("reads", 7, 10.0))
        (told,) = _usage(database, clock.now, TWENTY)
        promised = told.free_for
        assert take_all(budget, each) == promised[each.word]


def test_a_window_that_was_stored_before_there_were_spot_checks_still_counts(database: Database) -> None:
    budget, clock = _budget(database)
    budget.take([TWENTY])
    with database.begin() as conn:
        conn.execute(text("UPDATE budget_use SET taken = :taken"), {"taken": f"[[],[{clock.now}],[],[]]"})
    (told,) = _usage(database, clock.now, TWENTY)
    assert (told.used, told.used_by["spare"]) == (1, 0)
