"""The lanes: who may still take a call when few are left."""

import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Cause
from app.rules.calls.lanes import Lane, ceiling, current_lane, free, lane, lane_of, most

CALLS = st.integers(1, 1_000)
LANES = st.sampled_from(Lane)
HIGHER = st.sampled_from([Lane.PERSON, Lane.WEBHOOK, Lane.POLL])


def play(wishes: list[Lane], calls: int) -> list[int]:
    """What each lane has of an empty window after these wishes for one call each, in this order."""
    used = [0 for _ in Lane]
    for wish in wishes:
        used[wish] += free(wish, used, calls) > 0
    return used


@given(st.lists(LANES, max_size=60), st.integers(1, 30))
def test_a_window_is_never_overfilled(wishes: list[Lane], calls: int) -> None:
    assert sum(play(wishes, calls)) <= calls


@given(st.lists(LANES, max_size=60), st.integers(1, 30))
def test_a_person_gets_every_call_that_is_left(wishes: list[Lane], calls: int) -> None:
    used = play(wishes, calls)
    assert free(Lane.PERSON, used, calls) == calls - sum(used)


@given(st.lists(LANES, max_size=60), st.integers(1, 30))
def test_where_a_lane_may_go_every_higher_one_may(wishes: list[Lane], calls: int) -> None:
    used = play(wishes, calls)
    may = [free(each, used, calls) > 0 for each in Lane]
    assert may == sorted(may, reverse=True)


@given(LANES, CALLS)
def test_in_an_empty_window_every_lane_gets_a_call(each: Lane, calls: int) -> None:
    assert free(each, [0 for _ in Lane], calls) >= 1


@given(st.integers(5, 1_000))
def test_each_lane_leaves_calls_to_the_one_above_it(calls: int) -> None:
    ceilings = [ceiling(each, calls) for each in Lane]
    assert ceilings == sorted(set(ceilings), reverse=True)


@given(HIGHER, CALLS)
def test_whatever_bulk_runs_took_they_leave_nothing_to_a_lane_that_is_at_its_ceiling(each: Lane, calls: int) -> None:
    used = [0 for _ in Lane]
    used[each] = free(each, used, calls)
    assert free(Lane.BULK, used, calls) == 0


@given(HIGHER, st.integers(4, 1_000))
def test_a_bulk_run_alone_leaves_a_quarter_of_the_window_to_any_other_lane(each: Lane, calls: int) -> None:
    used = play([Lane.BULK] * calls, calls)
    assert free(each, used, calls) >= max(1, calls // 4)


@given(st.integers(20, 1_000), st.floats(0, 0.75))
def test_a_bulk_run_uses_what_a_busy_shop_leaves(calls: int, busy: float) -> None:
    taken = int(calls * busy)
    assert free(Lane.BULK, [0, taken, 0, 0, 0], calls) >= min(calls * 85 // 100 - taken, calls * 60 // 100) > 0


@given(st.integers(1, 40), st.integers(1, 25), HIGHER, st.integers(0, 30))
def test_under_full_load_of_a_higher_lane_bulk_gets_nothing(
    calls: int, seconds: int, each: Lane, before: int
) -> None:
    """Each second the higher lane asks until it is refused, as often as bulk does after it."""
    window = Window(calls, seconds)
    for _ in range(before):
        window.take_all(Lane.BULK)
        window.tick()
    bulk = 0
    for second in range(3 * seconds):
        window.take_all(each)
        got = window.take_all(Lane.BULK)
        bulk += got if second >= seconds else 0  # by then its own earlier calls have left the window
        window.tick()
    assert bulk == 0


@given(st.integers(1, 40), st.integers(1, 25), HIGHER)
def test_a_higher_lane_gets_all_its_calls_although_a_bulk_run_wants_every_one(
    calls: int, seconds: int, each: Lane
) -> None:
    window = Window(calls, seconds)
    for _ in range(2 * seconds):
        window.take_all(Lane.BULK)
        window.tick()
    got = 0
    for _ in range(seconds):
        got += window.take_all(each)
        window.take_all(Lane.BULK)
        window.tick()
    assert got == ceiling(each, calls)


@given(st.integers(1, 40), st.integers(1, 25))
def test_a_bulk_run_alone_gets_its_share_of_every_window(calls: int, seconds: int) -> None:
    window = Window(calls, seconds)
    got = 0
    for _ in range(5 * seconds):
        got += window.take_all(Lane.BULK)
        window.tick()
    assert got == 5 * most(Lane.BULK, calls)


class Window:
    """A sliding window that moves second by second."""

    def __init__(self, calls: int, seconds: int) -> None:
        self._calls = calls
        self._taken: deque[list[int]] = deque([[0 for _ in Lane]], maxlen=seconds)

    def take_all(self, lane: Lane) -> int:
        used = [sum(taken) for taken in zip(*self._taken, strict=True)]
        got = free(lane, used, self._calls)
        self._taken[-1][lane] += got
        return got

    def tick(self) -> None:
        self._taken.append([0 for _ in Lane])


@pytest.mark.parametrize(
    ("calls", "ceilings", "bulk"),
    [
        (1, [1, 1, 1, 1, 1], 1),
        (2, [2, 1, 1, 1, 1], 1),
        (5, [5, 4, 3, 2, 1], 2),
        (10, [10, 9, 8, 7, 5], 6),
        (120, [120, 114, 108, 102, 60], 72),
        (300, [300, 285, 270, 255, 150], 180),
    ],
)
def test_the_ceilings_of_real_budgets(calls: int, ceilings: list[int], bulk: int) -> None:
    assert ([ceiling(each, calls) for each in Lane], most(Lane.BULK, calls)) == (ceilings, bulk)


def test_live_work_is_the_default() -> None:
    assert current_lane() is Lane.WEBHOOK


def test_the_innermost_block_decides() -> None:
    with lane(Lane.BULK), lane(Lane.PERSON):
        assert current_lane() is Lane.PERSON


def test_a_block_that_fails_gives_the_lane_back() -> None:
    with pytest.raises(ZeroDivisionError), lane(Lane.BULK):
        1 / 0  # noqa: B018
    assert current_lane() is Lane.WEBHOOK


def test_another_thread_has_a_lane_of_its_own() -> None:
    seen: list[Lane] = []
    with lane(Lane.BULK):
        thread = threading.Thread(target=lambda: seen.append(current_lane()))
        thread.start()
        thread.join()
    assert seen == [Lane.WEBHOOK]


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_lane(cause: Cause) -> None:
    assert lane_of(cause.value) in Lane


def test_what_a_person_wants_goes_first() -> None:
    assert min(Cause, key=lane_of) in (Cause.PERSON, Cause.REPLAY)
