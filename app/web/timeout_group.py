"""A time limit for many short waits, with one timer for all: a timer for each would cost a tenth of a request."""

import asyncio
from types import TracebackType

PRECISION = 4
"""How many times per limit the group checks for waits that are over; so one may last a quarter longer than allowed."""


class TimeoutGroup:
    """``with group:`` around an await; raises ``TimeoutError`` in it when it takes longer than ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[asyncio.Task[object], float] = {}
        self._expired: set[asyncio.Task[object]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._armed = False

    def __enter__(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a timeout group needs a task to cancel")
        if not self._armed:
            self._arm(self._loop)
        self._waiting[task] = self._loop.time() + self._seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task(self._loop)
        if task is None:
            return
        self._waiting.pop(task, None)
        if task in self._expired:
            self._expired.discard(task)
            if task.uncancel() == 0 and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _check(self) -> None:
        if self._loop is None:
            return
        now = self._loop.time()
        for task, deadline in list(self._waiting.items()):
            if deadline <= now and task not in self._expired:
                self._expired.add(task)
                task.cancel()
        self._armed = False
        if self._waiting:
            self._arm(self._loop)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._armed = True
        loop.call_later(self._seconds / PRECISION, self._check)
