"""A day in a shop's life as a list of moments, and which rows it made wrong."""

from collections.abc import Callable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import NamedTuple

from app.domain import Kind
from app.prove.truth.life import Life
from app.stores.sql.engine import Database

Step = Callable[[], object]

READS = timedelta(seconds=40)
"""How long a run reads a kind."""


def later(minutes: float) -> timedelta:
    """This many minutes, as a step of a story waits for them."""
    return timedelta(minutes=minutes)


class Wrong(NamedTuple):
    """A row of ours that is wrong since a moment, by the injury of this name; ``heard`` says that we were up then."""

    name: str
    kind: Kind
    id: str
    since: datetime
    heard: bool


class Story(Life):
    """A life with a plan of what happens when. The run begins at ``night``."""

    def __init__(self, database: Database, rng: Random, night: datetime) -> None:
        super().__init__(database)
        self.rng = rng
        self.night = night
        self.found: list[Wrong] = []
        self.telling = ""
        self._steps: list[tuple[datetime, int, str, Step]] = []
        self._numbers = count()

    def at(self, moment: datetime, step: Step, name: str = "") -> None:
        """Plan a step for a moment; rows that it makes wrong are noted under ``name``."""
        heappush(self._steps, (moment, next(self._numbers), name or self.telling, step))

    def after(self, span: timedelta, step: Step) -> None:
        """Plan a step for some time from now."""
        self.at(self.now + span, step)

    def tell(self, until: datetime) -> None:
        """Carry out all steps that are due until a moment, in order."""
        while self._steps and self._steps[0][0] <= until:
            moment, _, self.telling, step = heappop(self._steps)
            self.pass_to(moment)
            self.heartbeat()
            step()
        self.pass_to(until)

    def before(self, step: Step) -> None:
        """Plan a step for the moment before the run."""
        self.at(self.night, step)

    def during(self, step: Step) -> None:
        """Plan a step for the time in which the run reads."""
        self.at(self.night + READS / 2, step)

    def afterwards(self, span: timedelta, step: Step) -> None:
        """Plan a step for some time after the run."""
        self.at(self.night + max(span, 3 * READS), step)

    def read_on(self) -> None:
        """Carry out what happens while the run reads a kind."""
        self.tell(self.now + READS)

    def edit(self, id: str) -> datetime:
        """Let the shop edit a product now; returns the moment."""
        self.shop.put(id, self.now, name=f"edited {id} {self.now:%d %H:%M:%S}")
        return self.now

    def edit_with_event(self, id: str) -> None:
        """Let the shop edit a product, and process its webhook."""
        self.edit(id)
        self.event(Kind.PRODUCT, id)

    def recount(self, id: str) -> datetime:
        """Let the shop recount a product now; returns the moment."""
        self.shop.count(id, int(self.shop.counts[id].quantity) + self.rng.randint(1, 9))
        return self.now

    def harm(self, kind: Kind, id: str) -> None:
        """Let the shop edit or recount a product now, which makes our row wrong."""
        self.wrong(kind, id, self.recount(id) if kind is Kind.STOCK else self.edit(id))

    def wrong(self, kind: Kind, id: str, since: datetime) -> None:
        """Note that our row is wrong since a moment."""
        self.found.append(Wrong(self.telling, kind, id, since, self.is_up))
