"""Limits reads that may take long: a few at a time, in threads of their own, so that sign-in, ``/readyz``, webhooks and
light pages always find a thread. Each ends at its deadline, or when its client has hung up.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from app.flows.deps import Deps, TimeLimit, with_time_limit
from app.web.problems import Problem

T = TypeVar("T")

GRACE = 0.5
"""Seconds after its deadline until a query of several statements is ended from here: the database keeps the deadline of each
statement."""


@dataclass(frozen=True)
class HeavyLimits:
    """How many heavy questions are worked on at once, altogether and of one caller; how many of a caller may be there,
    waiting ones included; how long one waits for its turn, and how long its answer may then take, in seconds."""

    at_once: int = 3
    of_one_caller: int = 2
    waiting_with_them: int = 8
    wait: float = 5.0
    seconds: float = 20.0


class _Caller:
    """The heavy reads of one caller: those that run or wait."""

    def __init__(self, at_once: int) -> None:
        self.turns = asyncio.Semaphore(at_once)
        self.here = 0


class HeavyReads:
    """The heavy reads of one web process."""

    def __init__(self, limits: HeavyLimits = HeavyLimits()) -> None:
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.at_once)
        self._threads = CapacityLimiter(limits.at_once)
        self._ending = CapacityLimiter(limits.at_once)
        self._callers: WeakValueDictionary[str, _Caller] = WeakValueDictionary()

    async def ask(self, request: Request, deps: Deps, question: Callable[[Deps], T]) -> T:
        """The answer to a question that changes nothing. Raises ``Problem`` 503 when it waits too long for its turn, and
        ``TakesTooLong``."""
        async with self._turn(deps.principal.name):
            limited, limit = with_time_limit(deps, self._limits.seconds)
            watching = asyncio.create_task(self._end(request, limit))
            try:
                return await to_thread.run_sync(partial(question, limited), limiter=self._threads)
            finally:
                watching.cancel()

    async def change(self, deps: Deps, work: Callable[[Deps], T]) -> T:
        """The result of a change that reads much: it is completed even when its client hangs up. Raises ``Problem`` 503."""
        async with self._turn(deps.principal.name):
            return await to_thread.run_sync(partial(work, deps), limiter=self._threads)

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        caller = self._callers.setdefault(name, _Caller(self._limits.of_one_caller))
        if caller.here >= self._limits.waiting_with_them:
            raise _busy(f"{caller.here} questions of yours that read much are being answered or wait")
        caller.here += 1
        try:
            until = asyncio.get_running_loop().time() + self._limits.wait
            async with _in_turn(caller.turns, until), _in_turn(self._turns, until):
                yield
        finally:
            caller.here -= 1

    async def _end(self, request: Request, limit: TimeLimit) -> None:
        """End the question when its client hangs up, or when it goes on after its deadline."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit.left() + GRACE):
                await _hung_up(request)
        await to_thread.run_sync(limit.end, limiter=self._ending)


@asynccontextmanager
async def _in_turn(turns: asyncio.Semaphore, until: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(until):
            await turns.acquire()
    except TimeoutError:
        raise _busy("others who read much are before you") from None
    try:
        yield
    finally:
        turns.release()


async def _hung_up(request: Request) -> None:
    """Return when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _busy(why: str) -> Problem:
    return Problem(503, "busy", f"{why}; ask again in a few seconds", headers={"Retry-After": "5"})
