"""One simulated account while it runs."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import ClassVar

import msgspec

from app.sources.simulating.answers import Json
from app.sources.simulating.outbox import Outbox
from app.sources.simulating.settings import Faults
from app.sources.simulating.state_file import Keeper


class Changed(msgspec.Struct, frozen=True):
    """One record that changed in the shop: kind and external id in Tallyhook's words, and what happened to it."""

    kind: str
    external_id: str
    what: str


class Account(ABC):
    """What the kit needs of a vendor's simulator. Changes happen on the event loop only."""

    switches: ClassVar[type[Faults]]
    options: Faults
    outbox: Outbox
    keeper: Keeper

    @abstractmethod
    def truths(self) -> Mapping[str, Callable[[], Iterable[Json]]]:
        """By kind, the rows of a perfect copy in Tallyhook's field names."""

    @abstractmethod
    def status(self) -> Json:
        """Counts of records, requests and webhooks."""

    @abstractmethod
    def happen(self, count: int = 1, kinds: Sequence[str] = ()) -> list[Changed]:
        """Make ``count`` events of the shop's life happen now; raises ``ValueError`` where none of the kinds can."""

    @abstractmethod
    def repair(self) -> None:
        """Somebody puts right what was shown wrongly: every order is saved again, as of now. Other kinds are read whole."""

    @abstractmethod
    def pause(self) -> float | None:
        """Seconds until the shop changes by itself, ``None`` for a shop that never does."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The shop lives, sends webhooks and saves its state for as long as the server runs."""
        self.keeper.start()
        self.outbox.resume()
        life = asyncio.create_task(self._live())
        try:
            yield
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            await self.outbox.close()
            self.keeper.save()

    async def _live(self) -> None:
        while (seconds := self.pause()) is not None:
            await asyncio.sleep(seconds)
            with suppress(ValueError):  # an empty shop has nothing to do
                self.happen()
