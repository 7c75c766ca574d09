"""A day in a shop's life as a list of moments, and which rows it made wrong."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from app.domain import Kind
from app.prove.truth.life import Life

Step = Callable[[], object]


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


class Story:
    """The plan of what happens when. ``in_run`` happens when the run begins to read, ``after_run`` some time after
    it."""

    def __init__(self, life: Life, rng: Random) -> None:
        self.life = life
        self.rng = rng
        self.found: list[Wrong] = []
        self.before_run: list[Step] = []
        self.in_run: list[Step] = []
        self.after_run: list[tuple[timedelta, Step]] = []
        self.telling = ""
        self._steps: list[tuple[datetime, int, str, Step]] = []

    @property
    def now(self) -> datetime:
        """The present moment."""
        return self.life.clock()

    def at(self, moment: datetime, step: Step, name: str = "") -> None:
        """Plan a step for a moment; rows that it makes wrong are noted under ``name``."""
        self._steps.append((moment, len(self._steps), name or self.telling, step))

    def after(self, span: timedelta, step: Step) -> None:
        """Plan a step for some time from now."""
        self.at(self.now + span, step)

    def tell(self, until: datetime) -> None:
        """Carry out all steps that are due until a moment, in order."""
        while due := [one for one in self._steps if one[0] <= until]:
            moment, number, self.telling, step = min(due)
            self._steps.remove((moment, number, self.telling, step))
            self.life.pass_to(moment)
            self.life.heartbeat()
            step()
        self.life.pass_to(until)

    def before(self, step: Step) -> None:
        """Plan a step for the moment before the run."""
        self.before_run.append(self._named(step))

    def during(self, step: Step) -> None:
        """Plan a step for the moment when the run begins to read."""
        self.in_run.append(self._named(step))

    def afterwards(self, span: timedelta, step: Step) -> None:
        """Plan a step for some time after the run."""
        self.after_run.append((span, self._named(step)))

    def _named(self, step: Step) -> Step:
        """The step, which will note wrong rows under the present name."""
        name = self.telling

        def happen() -> object:
            self.telling = name
            return step()

        return happen

    def edit(self, id: str) -> datetime:
        """Let the shop edit a product now; returns the moment."""
        self.life.shop.put(id, self.now, name=f"edited {id} {self.now:%d %H:%M:%S}")
        return self.now

    def edit_with_event(self, id: str) -> None:
        """Let the shop edit a product, and process its webhook."""
        self.edit(id)
        self.life.event(Kind.PRODUCT, id)

    def recount(self, id: str) -> datetime:
        """Let the shop recount a product now; returns the moment."""
        self.life.shop.count(id, int(self.life.shop.counts[id].quantity) + self.rng.randint(1, 9))
        return self.now

    def harm(self, kind: Kind, id: str) -> None:
        """Let the shop edit or recount a product now, which makes our row wrong."""
        self.wrong(kind, id, self.recount(id) if kind is Kind.STOCK else self.edit(id))

    def wrong(self, kind: Kind, id: str, since: datetime) -> None:
        """Note that our row is wrong since a moment."""
        self.found.append(Wrong(self.telling, kind, id, since, self.life.is_up))
