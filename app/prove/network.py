"""What lies between the processes: webhooks on their way to us, and messages in a queue that may lose everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dramatiq
import msgspec

from app.channels.queue import BULK, LIVE, message, shares
from app.domain import Change, Delivery, ItemKey, Kind, Verdict
from app.prove.faults import Dial, Faults
from app.prove.shop import Shop
from app.prove.stage import Killed, Process, Stage, Task

REDELIVERED_AFTER = 16.0
"""Seconds until the broker gives a dead worker's messages to others."""


class Messages:
    """The broker: it hands messages to whoever takes them, and remembers what is not acknowledged yet."""

    def __init__(self, stage: Stage, faults: Faults) -> None:
        self._stage = stage
        self._faults = faults
        self._waiting: dict[str, list[dramatiq.Message[None]]] = {LIVE: [], BULK: []}
        self._taken: dict[int, tuple[Process, dramatiq.Message[None]]] = {}
        self._idle: dict[str, list[Task]] = {LIVE: [], BULK: []}

    def put(self, one: dramatiq.Message[None]) -> None:
        """A message for whoever is idle."""
        waiting = self._waiting[one.queue_name]
        if self._faults.happens(Dial.QUEUE_FLUSHED, 0.08):
            return
        waiting.append(one)
        if self._faults.happens(Dial.QUEUE_DOUBLED, 0.1):
            waiting.append(one)
        self._stage.wake(self._idle[one.queue_name], self._stage.rng.expovariate(200.0), most=2)

    def take(self, process: Process, queue: str, stopping: Callable[[], bool]) -> dramatiq.Message[None] | None:
        """The next message; ``None`` when the process is to stop."""
        while not stopping():
            waiting = self._waiting[queue]
            if waiting:
                at = 0
                if len(waiting) > 1 and self._faults.happens(Dial.QUEUE_REORDERED, 0.5):
                    at = self._stage.rng.randrange(len(waiting))
                one = waiting.pop(at)
                self._taken[id(self._stage.current)] = (process, one)
                self._stage.pause(self._stage.rng.expovariate(300.0))
                return one
            self._stage.park(None, self._idle[queue])
        return None

    def done(self) -> None:
        """What this thread took is acknowledged."""
        self._taken.pop(id(self._stage.current), None)

    def wake_all(self) -> None:
        """Let idle consumers look whether they are to stop."""
        for idle in self._idle.values():
            self._stage.wake(idle)

    def give_back(self, process: Process) -> None:
        """A process is gone: what it had taken comes back, if the queue was not emptied meanwhile."""
        for at, (whose, one) in list(self._taken.items()):
            if whose is process:
                del self._taken[at]
                self.put(one)

    def flush(self) -> None:
        """Everything is lost."""
        self._taken.clear()
        for waiting in self._waiting.values():
            waiting.clear()

    def depth(self) -> int:
        """Live messages that nobody has taken."""
        return len(self._waiting[LIVE])


class SimQueue:
    """The queue as one process has it: what a dead one sends never arrives."""

    def __init__(self, messages: Messages, process: Process) -> None:
        self._messages = messages
        self._process = process

    def enqueue(self, keys: Sequence[ItemKey]) -> None:
        """Messages for these items."""
        for args in shares(keys):
            self._send(message(LIVE, "sync_item", args))

    def enqueue_run(self, run_id: int) -> None:
        """A message for a run."""
        self._send(message(BULK, "run", (run_id,)))

    def enqueue_replay(self, replay_id: int) -> None:
        """A message for a replay."""
        self._send(message(LIVE, "replay", (replay_id,)))

    def resend(self, actor: str, queue: str, args: Sequence[object], *, id: str | None = None) -> None:
        """A message as it was."""
        self._send(message(queue, actor, tuple(args), id))

    def depth(self) -> int:
        """Messages waiting."""
        return self._messages.depth()

    def _send(self, one: dramatiq.Message[None]) -> None:
        if self._process.dead:
            raise Killed
        self._messages.put(one)


@dataclass(eq=False)
class Hook:
    """One webhook; ``acknowledged_at`` is when the vendor read our 202 (seconds), ``lost`` that it was never sent."""

    connection: str
    delivery: Delivery
    sent_at: float
    acknowledged_at: float | None = None
    lost: bool = False
    refused: int = 0

    @property
    def body(self) -> bytes:
        """What goes over the wire."""
        return msgspec.json.encode(self.delivery)


Receive = Callable[[Hook], bool]
"""Gives a hook to a web process, if there is one; ``True`` when that acknowledged it."""


@dataclass
class Post:
    """The vendors' side of webhooks: sends each until it is acknowledged, unless it is a lost one."""

    stage: Stage
    faults: Faults
    receive: Receive
    hooks: list[Hook] = field(default_factory=list)
    under_way: int = 0
    _number: int = 0

    def announce(self, shop: Shop, changes: Sequence[Change]) -> list[Hook]:
        """Send a webhook for each change of a kind that the vendor announces."""
        return [self._announce(shop, change) for change in changes if change.kind in shop.style.announced]

    def _announce(self, shop: Shop, change: Change) -> Hook:
        self._number += 1
        delivery = Delivery(f"e{self._number}", f"{change.kind}.updated", [change], occurred_at=shop.now)
        hook = Hook(shop.style.name, delivery, self.stage.now)
        self.hooks.append(hook)
        if self.faults.happens(Dial.HOOKS_LOST, 0.3):
            hook.lost = True
            return hook
        self._send(hook)
        if self.faults.happens(Dial.HOOKS_DOUBLED, 0.2):
            self._send(hook)
        return hook

    def send_foreign(self, shop: Shop) -> None:
        """One that is about somebody else's account."""
        self._number += 1
        change = Change(Kind.ORDER, f"X{self._number}")
        delivery = Delivery(f"f{self._number}", "order.updated", [change], set_aside=Verdict.FOREIGN)
        self._send(Hook(shop.style.name, delivery, self.stage.now))

    def _send(self, hook: Hook) -> None:
        self.under_way += 1
        self.stage.spawn(
            f"hook {hook.delivery.event_id}", lambda: self._until_acknowledged(hook), None, self._delay()
        )

    def _delay(self) -> float:
        rng = self.stage.rng
        if self.faults.happens(Dial.HOOKS_LATE, 0.1):
            return rng.uniform(30.0, 900.0)
        if self.faults.happens(Dial.HOOKS_REORDERED, 0.5):
            return rng.uniform(0.0, 12.0)
        return rng.uniform(0.02, 0.5)

    def _until_acknowledged(self, hook: Hook) -> None:
        pause = 3.0
        while not self.receive(hook):
            hook.refused += 1
            self.stage.pause(pause)
            pause = min(pause * 2, 60.0)
        if hook.acknowledged_at is None:
            hook.acknowledged_at = self.stage.now
        self.under_way -= 1
