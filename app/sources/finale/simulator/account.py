"""One simulated account while it runs: its world, what it counts, and the shop that lives in the background."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from app.sources.finale.simulator import keeping, settings
from app.sources.finale.simulator.bridge import Bridge
from app.sources.finale.simulator.limits import Limits
from app.sources.finale.simulator.opening import opened
from app.sources.finale.simulator.records import Done
from app.sources.finale.simulator.settings import Options
from app.sources.finale.simulator.shop_life import happen

SAVE_EVERY = 5.0  # seconds


class Account:
    """Everything the endpoints share. Changes happen on the event loop only."""

    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        self.options = options
        self.clock = clock
        self._file = Path(options.state_file) if options.state_file else None
        self.world = (keeping.load(self._file, clock) if self._file else None) or opened(options, clock)
        self.limits = Limits(options, clock)
        self.bridge = Bridge(options, random.Random(options.seed + 1))
        self.requests: Counter[str] = Counter()
        self.changes = 0

    def happen(self, kinds: Sequence[str] = ()) -> list[Done]:
        """One event of the shop's life, told to the bridge; raises ``ValueError`` when none can happen."""
        done = happen(self.world, self.options, kinds)
        self.note(done)
        return done

    def note(self, done: Sequence[Done]) -> None:
        """Something changed, by the shop's life or by a POST."""
        self.changes += 1
        self.bridge.tell(done)

    def status(self) -> dict[str, Any]:
        """Counts, requests by path, refusals, and the faults that are switched on."""
        world = self.world
        counts = {
            "product": len(world.products),
            "stock": len(world.stock),
            "order": len(world.orders),
            "location": len(world.facilities),
            "vendor": len(world.suppliers()),
        }
        return {
            "counts": counts,
            "changes": self.changes,
            "requests": dict(self.requests),
            "refused_429": self.limits.refused,
            "webhooks": {**self.bridge.counts, "pending": self.bridge.pending},
            "faults": settings.active(self.options),
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The shop lives, and its state is kept, for as long as the server runs."""
        stopping = asyncio.Event()
        life, keeper = asyncio.create_task(self._live()), asyncio.create_task(self._keep(stopping))
        try:
            yield
        finally:
            life.cancel()
            stopping.set()  # the keeper is not cancelled: its thread would go on writing
            await asyncio.gather(life, keeper, return_exceptions=True)
            await self.bridge.close()
            self.save()

    def save(self) -> None:
        """Keep the state now, if there is a file for it."""
        if self._file is not None:
            keeping.save(keeping.snapshot(self.world), self._file)

    async def _live(self) -> None:
        while self.options.changes_per_minute > 0:
            await asyncio.sleep(self.world.dice.expovariate(self.options.changes_per_minute / 60))
            with suppress(ValueError):  # an empty shop has nothing to do
                self.happen()

    async def _keep(self, stopping: asyncio.Event) -> None:
        saved = -1
        while self._file is not None and not stopping.is_set():
            if self.changes > saved:
                saved = self.changes
                await asyncio.to_thread(keeping.save, keeping.snapshot(self.world), self._file)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), SAVE_EVERY)
