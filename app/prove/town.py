"""One simulated world: the shops, their vendors, our processes, and the supervisor that restarts dead processes."""

import random
from typing import TypeVar

from app.prove.faults import Dial, Faults
from app.prove.hosts import Clock, Host, Surroundings, Web, Worker
from app.prove.network import REDELIVERED_AFTER, VENDOR_WAITS, Hook, Messages, Post
from app.prove.shop import TIMED, VERSIONED, Shop
from app.prove.stage import Stage, Task
from app.prove.trace import Trace
from app.prove.vendor_faults import VendorFaults
from app.sources.base import Limit
from app.stores.sql.engine import Database

H = TypeVar("H", bound=Host)
LARGEST_SKEW = 60.0


class Town(Surroundings):
    """Everything of one seed."""

    closing = False

    def __init__(self, seed: int, database: Database, stage: Stage, faults: Faults) -> None:
        self.rng = random.Random(f"town {seed}")
        shops = [
            Shop(style, random.Random(f"{style.name} {seed}"), lambda: stage.now) for style in (VERSIONED, TIMED)
        ]
        self.shops = {shop.style.name: shop for shop in shops}
        trace, calls = Trace(), self.rng.choice((20, 40)) if faults.has(Dial.BUDGETS) else None
        vendors = {shop.style.name: VendorFaults(stage, shop, faults, trace, _limits(shop, calls)) for shop in shops}
        super().__init__(stage, faults, database, trace, vendors, Messages(stage, faults))
        self.post = Post(stage, faults, self._receive)
        self.hosts: list[Host] = []
        for shop in shops:
            shop.open(8 if shop.style.varied else 16)
        self.reconcile = self.rng.choice(("*/2 * * * *", "*/4 * * * *", "0 3 * * *"))
        self.threads = self.rng.randint(1, 2)
        self.person = self._fresh(Host, "person")

    # processes

    def populate(self) -> None:
        """Start every process, as a deploy does."""
        counts = (1, 1, 1) if self.slow else (self.rng.randint(1, 2), self.rng.randint(2, 3), 2)
        for kind, count in zip((Web, Worker, Clock), counts, strict=True):
            for number in range(1, count + 1):
                self.start(kind, f"{kind.__name__.lower()}-{number}")

    def start(self, kind: type[H], name: str) -> H:
        """Start a process, with threads of its own."""
        host = self._fresh(kind, name)
        self.hosts.append(host)
        self.note(name, "started")
        self.stage.spawn(name, host.boot, host)
        return host

    def _fresh(self, kind: type[H], name: str) -> H:
        host = kind(name, self)
        if self.faults.happens(Dial.CLOCK_SKEWED, 0.5):
            host.skew = self.rng.uniform(-LARGEST_SKEW, LARGEST_SKEW)
        return host

    def end(self, host: Host) -> None:
        """A process is gone at once, whatever its threads were doing."""
        self.note(host.name, "ended")
        host.dead = True
        self.stage.hurry(host)

    def remove(self, host: Host, *, gracefully: bool) -> None:
        """Forget a dead process, return its messages to the queue in time, and start another process in its place."""
        self.hosts.remove(host)
        self.stage.spawn(
            "broker", lambda: self.messages.give_back(host), None, 0.0 if gracefully else REDELIVERED_AFTER
        )
        if not self.slow or gracefully:
            self.stage.spawn("supervisor", lambda: self._replace(host), None, self.rng.uniform(0.5, 8.0))

    def _replace(self, host: Host) -> None:
        if not self.closing:
            self.start(type(host), host.name)

    def deploy(self, host: Host) -> None:
        """Stop a process gracefully; the supervisor starts it anew."""
        self.note(host.name, "is to stop")

        def stopping() -> None:
            host.stop()
            self.end(host)

        self.stage.spawn(f"{host.name} stops", stopping, host)

    def supervise(self) -> None:
        """The supervisor: restarts dead processes."""
        while not self.closing:
            for host in [host for host in self.hosts if host.dead]:
                self.remove(host, gracefully=host.stopping)
            self.stage.pause(1.0)

    # webhooks

    def _receive(self, hook: Hook) -> bool:
        """Give a webhook to some web process and wait for its answer."""
        webs = [host for host in self.hosts if isinstance(host, Web) and host.ready]
        if not webs:
            self.stage.pause(1.0)
            return False
        web = self.rng.choice(webs)
        answers: list[bool] = []
        waiting: list[Task] = []
        ids = [f"{hook.connection}/{change.external_id}" for change in hook.delivery.changes]

        def answered(good: bool) -> None:
            self.stage.pause(self.stage.rng.expovariate(200.0))
            answers.append(good)
            self.stage.notify(waiting)

        self.stage.spawn(f"{web.name} request", lambda: web.receive(hook, answered), web, 0.001)
        self.stage.park(VENDOR_WAITS, waiting)
        good = answers == [True]
        self.note(web.name, f"{hook.delivery.event_id} {'acknowledged' if good else 'not acknowledged'}", ids)
        return good


def _limits(shop: Shop, calls: int | None) -> list[Limit]:
    return [] if calls is None else [Limit("minute", calls, 60.0 if shop.style.seconds else 20.0)]
