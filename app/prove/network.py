"""What lies between the processes: webhooks on their way to us, and a queue that may lose its messages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dramatiq
import msgspec

from app.channels.queue import BULK, LIVE, LocalQueue
from app.domain import Change, Delivery, Kind, Verdict
from app.prove.faults import Dial, Faults
from app.prove.shop import Shop
from app.prove.stage import Killed, Process, Stage, Task

REDELIVERED_AFTER = 16.0
"""Seconds until the broker gives a dead worker's messages to others."""

VENDOR_WAITS = 10.0
"""Seconds that a vendor waits for an answer to its webhook."""


class Messages:
    """The broker: hands messages to idle consumers, and keeps those that are not acknowledged yet."""

    def __init__(self, stage: Stage, faults: Faults) -> None:
        self._stage = stage
        self._faults = faults
        self._waiting: dict[str, list[dramatiq.Message[None]]] = {LIVE: [], BULK: []}
        self._taken: dict[int, tuple[Process, dramatiq.Message[None]]] = {}
        self._idle: dict[str, list[Task]] = {LIVE: [], BULK: []}

    def put(self, one: dramatiq.Message[None]) -> None:
        """Add a message and wake idle consumers."""
        waiting = self._waiting[one.queue_name]
        if self._faults.happens(Dial.QUEUE_FLUSHED, 0.08):
            return
        waiting.append(one)
        if self._faults.happens(Dial.QUEUE_DOUBLED, 0.1):
            waiting.append(one)
        self._stage.notify(self._idle[one.queue_name], self._stage.rng.expovariate(200.0), most=2)

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
        """Acknowledge the message that this thread took."""
        self._taken.pop(id(self._stage.current), None)

    def wake_all(self) -> None:
        """Let idle consumers check whether they are to stop."""
        for idle in self._idle.values():
            self._stage.notify(idle)

    def give_back(self, process: Process) -> None:
        """A process is gone: the messages that it had taken return, unless the queue was flushed meanwhile."""
        for at, (whose, one) in list(self._taken.items()):
            if whose is process:
                del self._taken[at]
                self.put(one)

    def flush(self) -> None:
        """Lose every message."""
        self._taken.clear()
        for waiting in self._waiting.values():
            waiting.clear()

    def depth(self) -> int:
        """Live messages that no consumer has taken."""
        return len(self._waiting[LIVE])


class SimQueue(LocalQueue):
    """The queue of one simulated process. A dead process sends nothing."""

    def __init__(self, messages: Messages, process: Process) -> None:
        self._messages = messages
        self._process = process

    def depth(self) -> int:
        """Live messages that no worker has taken."""
        return self._messages.depth()

    def _send(self, messages: Sequence[dramatiq.Message[None]]) -> None:
        for one in messages:
            if self._process.dead:
                raise Killed
            self._messages.put(one)


@dataclass(eq=False)
class Hook:
    """One webhook. ``acknowledged_at`` is when the vendor read our 202 (seconds); a ``lost`` one was never sent."""

    connection: str
    delivery: Delivery
    acknowledged_at: float | None = None
    lost: bool = False

    @property
    def body(self) -> bytes:
        """The bytes on the wire."""
        return msgspec.json.encode(self.delivery)


Receive = Callable[[Hook], bool]
"""Gives a hook to a web process, if there is one; ``True`` when the process acknowledged it."""


@dataclass
class Post:
    """The vendors' side of webhooks: sends each one until it is acknowledged, except for lost ones."""

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
        hook = Hook(shop.style.name, delivery)
        self.hooks.append(hook)
        if self.faults.happens(Dial.HOOKS_LOST, 0.3):
            hook.lost = True
            return hook
        self._send(hook)
        if self.faults.happens(Dial.HOOKS_DOUBLED, 0.2):
            self._send(hook)
        return hook

    def send_foreign(self, shop: Shop) -> None:
        """Send a webhook about another account."""
        self._number += 1
        change = Change(Kind.ORDER, f"X{self._number}")
        delivery = Delivery(f"f{self._number}", "order.updated", [change], set_aside=Verdict.FOREIGN)
        self._send(Hook(shop.style.name, delivery))

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
            self.stage.pause(pause)
            pause = min(pause * 2, 60.0)
        if hook.acknowledged_at is None:
            hook.acknowledged_at = self.stage.now
        self.under_way -= 1
