"""What can happen to an installation of real processes: each mischief begins, lasts, and is over."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from app.domain import Kind
from app.errors import Unavailable
from app.flows.items.leases import LEASE
from app.prove.real.databases import ProvingDatabase
from app.prove.real.stack import Simulated, Stack

HANGS = 45.0
"""Seconds a call of a hanging vendor takes: longer than any client waits."""


RECOVERY = 10.0
"""Seconds after harm to the database in which a starting process may still fail."""


@dataclass
class Scene:
    """The installation that mischief is done to.

    ``processes`` are the names of our own processes: web, workers, clock. ``down`` are those that mischief has
    stopped, ``harmed_until`` is until when (monotonic) the database counts as harmed, ``findings`` are the faults
    seen on the way.
    """

    stack: Stack
    database: ProvingDatabase
    processes: tuple[str, ...]
    dice: Random
    down: set[str] = field(default_factory=set)
    findings: list[str] = field(default_factory=list)
    harmed_until: float = -math.inf

    def vendor(self) -> Simulated:
        """Any of the simulated vendors."""
        return self.dice.choice(list(self.stack.simulated.values()))

    def ended(self) -> list[str]:
        """Processes that have ended without anybody's doing."""
        return [
            name for name in self.processes if name not in self.down and self.stack.process(name).poll() is not None
        ]

    def is_harmed(self) -> bool:
        """Whether the database is being harmed, or was so lately that a process may end for it."""
        return time.monotonic() < self.harmed_until + RECOVERY


class Mischief(NamedTuple):
    """Entering ``begin`` yields what was done in words; leaving it ends that. ``seconds`` is how long it lasts, from and
    to; ``often`` how many times a round has it."""

    begin: Callable[[Scene], AbstractContextManager[str]]
    seconds: tuple[float, float]
    often: int = 1


@contextmanager
def _killed(scene: Scene) -> Iterator[str]:
    name = scene.dice.choice(scene.processes)
    scene.down.add(name)
    scene.stack.kill(name)
    yield f"{name} killed"
    scene.stack.restart(name)
    scene.down.discard(name)


@contextmanager
def _paused(scene: Scene) -> Iterator[str]:
    name = scene.dice.choice(scene.processes)
    scene.stack.signal(name, signal.SIGSTOP)
    yield f"{name} stopped for longer than its leases"
    scene.stack.signal(name, signal.SIGCONT)


@contextmanager
def _deployed(scene: Scene) -> Iterator[str]:
    killed = scene.stack.end(*scene.processes)
    if not scene.is_harmed():  # a process that waits for a locked database may have to be killed
        scene.findings += [f"{name} had to be killed: it did not end after SIGTERM" for name in killed]
    for name in scene.processes:
        scene.stack.restart(name)
    yield "a deploy: everything ended and started again"


@contextmanager
def _flushed(scene: Scene) -> Iterator[str]:
    scene.stack.lose_queue()
    yield "the queue emptied"


@contextmanager
def _reconciled(scene: Scene) -> Iterator[str]:
    try:
        begun = [name for name in scene.stack.simulated if scene.stack.reconcile(name)]
        words = f"full runs asked for: {', '.join(begun) or 'none, others are active'}"
    except Unavailable:  # the database is in trouble just now, and says so
        words = "full runs refused"
    yield words


def _faulty(**switches: Any) -> Callable[[Scene], AbstractContextManager[str]]:
    """Switches of one simulated vendor, back to their defaults afterwards."""

    @contextmanager
    def begin(scene: Scene) -> Iterator[str]:
        vendor = scene.vendor()
        vendor.faults(**switches)
        yield f"{vendor.name}: {', '.join(f'{name} {value}' for name, value in switches.items())}"
        vendor.faults(**{name: type(value)() for name, value in switches.items()})

    return begin


@contextmanager
def _forbidden(scene: Scene) -> Iterator[str]:
    kind = scene.dice.choice((Kind.PRODUCT, Kind.STOCK, Kind.ORDER, Kind.LOCATION, Kind.VENDOR))
    with _faulty(forbidden=str(kind))(scene) as words:
        yield words


@contextmanager
def _harmed(scene: Scene) -> Iterator[str]:
    name = scene.dice.choice(sorted(scene.database.harms))
    if scene.harmed_until == math.inf:
        yield f"no {name}: the database is in trouble already"
        return
    scene.harmed_until = math.inf
    with scene.database.harms[name]():
        yield name
    scene.harmed_until = time.monotonic()


PAST_LEASE = (LEASE + 2, LEASE + 4)

MISCHIEF: Mapping[str, Mischief] = {
    "kill": Mischief(_killed, (0.5, 3.0), often=3),
    "pause": Mischief(_paused, PAST_LEASE, often=2),
    "flush": Mischief(_flushed, (0.0, 0.0)),
    "deploy": Mischief(_deployed, (0.0, 0.0)),
    "run": Mischief(_reconciled, (0.0, 0.0)),
    "rough": Mischief(_faulty(next_429=3, next_html=2, next_truncated=2), (5.0, 10.0), often=2),
    "database": Mischief(_harmed, (3.0, 15.0), often=3),
    "hang": Mischief(_faulty(latency=HANGS), (10.0, 20.0)),
    "expired": Mischief(_faulty(expired_token=True), (5.0, 12.0)),
    "forbidden": Mischief(_forbidden, (5.0, 12.0)),
    "bad records": Mischief(_faulty(bad_records=0.1), (5.0, 12.0)),
}
"""Every mischief by name."""

WEBHOOKS: Mapping[str, float] = {"drop": 0.05, "duplicate": 0.15, "reorder": 0.15, "delay": 0.05}
"""Faults of webhooks during the whole wild part of a round."""
