"""Runs one action in many threads at the same moment, for the tests of who wins."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def at_once(threads: int, action: Callable[[int], Result]) -> list[Result]:
    """What ``action(0)`` to ``action(threads - 1)`` gave, all started together; raises what one of them raised."""
    start = threading.Barrier(threads)

    def run(number: int) -> Result:
        start.wait(60)
        return action(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))
