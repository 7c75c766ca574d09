"""A day in a shop's life as a list of moments, and what was done to which row in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from app.domain import Kind
from app.prove.truth.life import Life

Step = Callable[[], object]


def later(minutes: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=minutes)


class Wrong(NamedTuple):
    """A row of ours that is wrong since a moment, by an injury of this name; ``heard`` says that we were there then."""

    name: str
    kind: Kind
    id: str
    since: datetime
    heard: bool


class Story:
    """What is to happen when. ``in_run`` happens when the run begins to read, ``after_run`` so long after it."""

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
        """The moment it is."""
        return self.life.clock()

    def at(self, moment: datetime, step: Step, name: str = "") -> None:
        """Something is to happen at a moment; what it makes wrong goes by that name."""
        self._steps.append((moment, len(self._steps), name or self.telling, step))

    def after(self, span: timedelta, step: Step) -> None:
        """Something is to happen so long from now."""
        self.at(self.now + span, step)

    def tell(self, until: datetime) -> None:
        """Let everything happen that is to happen until then, in order."""
        while due := [one for one in self._steps if one[0] <= until]:
            moment, number, self.telling, step = min(due)
            self._steps.remove((moment, number, self.telling, step))
            self.life.pass_to(moment)
            self.life.beat()
            step()
        self.life.pass_to(until)

    def before(self, step: Step) -> None:
        """Something is to happen just before the run."""
        self.before_run.append(self._named(step))

    def during(self, step: Step) -> None:
        """Something is to happen when the run begins to read."""
        self.in_run.append(self._named(step))

    def afterwards(self, span: timedelta, step: Step) -> None:
        """Something is to happen so long after the run."""
        self.after_run.append((span, self._named(step)))

    def _named(self, step: Step) -> Step:
        """The step, whenever it happens, under the name of what is told now."""
        name = self.telling

        def happen() -> object:
            self.telling = name
            return step()

        return happen

    def edit(self, id: str) -> datetime:
        """The shop edits a product now; returns when."""
        self.life.shop.put(id, self.now, name=f"edited {id} {self.now:%d %H:%M:%S}")
        return self.now

    def edit_with_event(self, id: str) -> None:
        """The shop edits a product, says so, and we bring it in."""
        self.edit(id)
        self.life.event(Kind.PRODUCT, id)

    def recount(self, id: str) -> datetime:
        """The shop counts a product anew now; returns when."""
        self.life.shop.count(id, int(self.life.shop.counts[id].quantity) + self.rng.randint(1, 9))
        return self.now

    def wrong(self, kind: Kind, id: str, since: datetime) -> None:
        """Our row is wrong since then."""
        self.found.append(Wrong(self.telling, kind, id, since, self.life.is_up))
