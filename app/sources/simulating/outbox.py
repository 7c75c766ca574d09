"""Sends a simulator's webhooks in the background and counts what becomes of them."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from random import Random
from typing import Any, ClassVar

import httpx

from app.sources.simulating.settings import Faults

TIMEOUT = 10.0  # seconds that a receiver has to acknowledge


class Outbox:
    """What every vendor's outbox does; how a delivery is signed and retried is the vendor's own."""

    counted: ClassVar[tuple[str, ...]] = ()
    """The counts that ``status`` shows."""

    def __init__(self, faults: Faults, dice: Random) -> None:
        self.acknowledged: set[str] = set()
        self.counts: Counter[str] = Counter()
        self._faults = faults
        self._dice = dice
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None

    @property
    def pending(self) -> int:
        """Deliveries on their way or waiting for their next try."""
        return len(self._tasks)

    def status(self) -> dict[str, Any]:
        """The counts, and how many deliveries are pending."""
        return {**{name: self.counts[name] for name in self.counted}, "pending": self.pending}

    def resume(self) -> None:
        """Go on with the deliveries that a restart interrupted, if the vendor does. Must be called on the event loop."""

    async def close(self) -> None:
        """Stop sending."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _start(self, delivery: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(delivery)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _waits(self, delay: float, reorder: float) -> list[float]:
        """For each copy of a new event, the seconds before its first try; none for an event that is dropped.

        A delayed copy waits ``delay`` seconds, a reordered one at most ``reorder`` seconds.
        """
        self.counts["published"] += 1
        if self._dice.random() < self._faults.drop:
            self.counts["dropped"] += 1
            return []
        is_double = self._dice.random() < self._faults.duplicate
        self.counts["duplicated"] += is_double
        return [self._wait(delay, reorder) for _ in range(1 + is_double)]

    def _wait(self, delay: float, reorder: float) -> float:
        if self._dice.random() < self._faults.delay:
            self.counts["delayed"] += 1
            return delay
        if self._dice.random() < self._faults.reorder:
            self.counts["reordered"] += 1
            return self._dice.uniform(0, reorder)
        return 0.0

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> str | None:
        """Send once; ``None`` when it was acknowledged, else ``http_timeout``, ``http_error`` or ``other_error``."""
        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=TIMEOUT)
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._client.post(url, content=body, headers=headers)
        except (TimeoutError, httpx.TimeoutException):
            return "http_timeout"
        except Exception:  # also the errors of a transport that was closed meanwhile: every delivery needs a result
            return "other_error"
        return None if answer.is_success else "http_error"
