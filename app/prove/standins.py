"""Replaces the machine's clocks, sleep, threads, events and locks while a simulation runs.

Only in a process that does nothing else. Our own code stays as it is.
"""

import random
import threading
import time
from functools import partial
from typing import Any

from app.prove.stage import Stage, Task

MONOTONIC = 10_000.0
"""The monotonic clock at the beginning (seconds)."""


def install(stage: Stage, seed: int, epoch: float) -> None:
    """Replace them for the rest of this process. ``epoch`` is the virtual beginning in seconds since 1970."""
    random.seed(seed)
    time.sleep = stage.pause  # type: ignore[assignment]
    time.monotonic = time.perf_counter = lambda: MONOTONIC + stage.now
    time.time = lambda: epoch + stage.now
    _threads(stage)
    _events(stage)
    threading.Lock = partial(SimLock, stage)  # type: ignore[assignment]


def _threads(stage: Stage) -> None:
    tasks: dict[int, Task] = {}

    def start(self: threading.Thread) -> None:
        tasks[id(self)] = stage.spawn(self.name, lambda: _lived(stage, self), stage.current.process)

    def join(self: threading.Thread, timeout: float | None = None) -> None:
        task = tasks.get(id(self))
        if task is not None and not task.done:
            stage.park(timeout, task.waiters)

    def is_alive(self: threading.Thread) -> bool:
        task = tasks.get(id(self))
        return task is not None and not task.done

    threading.Thread.start = start  # type: ignore[method-assign]
    threading.Thread.join = join  # type: ignore[method-assign]
    threading.Thread.is_alive = is_alive  # type: ignore[method-assign]


def _lived(stage: Stage, thread: threading.Thread) -> None:
    """Run a thread; note the error that ends it."""
    try:
        thread.run()
    except Exception as error:
        stage.died.append(f"{thread.name}: {type(error).__name__}: {error}"[:200])


def _events(stage: Stage) -> None:
    waiting: dict[int, list[Task]] = {}
    really_set = threading.Event.set

    def set_(self: threading.Event) -> None:
        really_set(self)
        stage.notify(waiting.get(id(self), []))

    def wait(self: threading.Event, timeout: float | None = None) -> bool:
        if not self.is_set() and timeout != 0:
            stage.park(timeout, waiting.setdefault(id(self), []))
        return self.is_set()

    threading.Event.set = set_  # type: ignore[method-assign]
    threading.Event.wait = wait  # type: ignore[method-assign]


class SimLock:
    """A lock; while a thread waits for it, other threads run."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._taken = False
        self._waiting: list[Task] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Like ``threading.Lock``'s."""
        while self._taken:
            if not blocking:
                return False
            self._stage.park(None if timeout < 0 else timeout, self._waiting)
            blocking = timeout < 0
        self._taken = True
        return True

    def release(self) -> None:
        """Like ``threading.Lock``'s."""
        self._taken = False
        self._stage.notify(self._waiting, most=1)

    def locked(self) -> bool:
        """Like ``threading.Lock``'s."""
        return self._taken

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: Any) -> None:
        self.release()
