"""The stage: one thread at a time, in the order of virtual time, and the dead do nothing more."""

from dataclasses import dataclass

import pytest

from app.prove.stage import MOST_STEPS, Endless, Stage, Task


@dataclass(eq=False)
class Somebody:
    """A process of a test."""

    name: str = "somebody"
    dead: bool = False
    stopped_until: float = 0.0


def test_who_waits_less_goes_first() -> None:
    stage, seen = Stage(1), list[str]()

    def work(name: str, seconds: float) -> None:
        stage.pause(seconds)
        seen.append(name)

    stage.spawn("slow", lambda: work("slow", 2.0), None)
    stage.spawn("quick", lambda: work("quick", 1.0), None)
    stage.pause(5.0)
    assert seen == ["quick", "slow"]
    assert stage.now == 5.0


def test_a_process_that_is_dead_does_nothing_more() -> None:
    stage, process, seen = Stage(1), Somebody(), list[str]()

    def work() -> None:
        stage.pause(1.0)
        seen.append("it lives")

    stage.spawn("work", work, process)
    stage.pause(0.5)
    process.dead = True
    stage.hurry(process)
    stage.pause(5.0)
    assert seen == []


def test_a_stopped_process_goes_on_where_it_was_when_its_time_comes() -> None:
    stage, process, seen = Stage(1), Somebody(), list[float]()

    def work() -> None:
        for _ in range(2):
            stage.pause(1.0)
            seen.append(stage.now)

    stage.spawn("work", work, process)
    stage.pause(0.5)
    stage.stop(process, 10.0)
    stage.pause(20.0)
    assert seen == [10.5, 11.5]


def test_whoever_is_woken_waits_no_longer() -> None:
    stage, waiting, seen = Stage(1), list[Task](), list[float]()

    def work() -> None:
        stage.park(100.0, waiting)
        seen.append(stage.now)

    stage.spawn("work", work, None)
    stage.pause(1.0)
    stage.notify(waiting)
    stage.pause(1.0)
    assert seen == [1.0]


def test_nobody_else_goes_on_while_a_transaction_is_open() -> None:
    stage, seen = Stage(1), list[str]()
    stage.spawn("other", lambda: seen.append("other"), None)
    stage.current.inside = 1
    stage.pause(10.0)
    assert seen == []
    assert stage.now == 10.0


def test_to_wait_for_another_thread_inside_a_transaction_is_an_error() -> None:
    stage = Stage(1)
    stage.current.inside = 1
    with pytest.raises(RuntimeError, match="transaction open"):
        stage.park(None, [])


def test_a_simulation_that_goes_round_in_circles_ends() -> None:
    stage = Stage(1)
    stage.steps = MOST_STEPS - 10

    def pause_on() -> None:
        for _ in range(20):
            stage.pause(0.0)

    with pytest.raises(Endless):
        pause_on()
