"""One simulated account: its world, its limits, its bridge, and its counters."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from app.sources.finale.simulator import keeping, truth
from app.sources.finale.simulator.bridge import Bridge
from app.sources.finale.simulator.limits import Limits
from app.sources.finale.simulator.opening import opened
from app.sources.finale.simulator.records import Done
from app.sources.finale.simulator.settings import Faults, Options
from app.sources.finale.simulator.shop_life import happen
from app.sources.simulating import account
from app.sources.simulating.account import Changed
from app.sources.simulating.answers import Json
from app.sources.simulating.settings import active
from app.sources.simulating.state_file import Keeper


class Account(account.Account):
    """Everything the endpoints share."""

    switches = Faults
    options: Options

    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        self.options = options
        self.clock = clock
        self.world = keeping.load(options.state_file, clock) or opened(options, clock)
        self.limits = Limits(options, clock)
        self.outbox: Bridge = Bridge(options, random.Random(options.seed + 1))
        self.keeper = Keeper(options.state_file, partial(keeping.snapshot, self.world))
        self.requests: Counter[str] = Counter()
        self.changes = 0

    def happen(self, count: int = 1, kinds: Sequence[str] = ()) -> list[Changed]:
        """Events of the shop's life, reported to the bridge; raises ``ValueError`` where none can happen."""
        changed: list[Changed] = []
        for _ in range(count):
            done = happen(self.world, self.options, kinds)
            self.note(done)
            changed += [Changed(one.kind, one.external_id, one.what) for one in done]
        return changed

    def note(self, done: Sequence[Done]) -> None:
        """Report and save a change that the shop's life or a POST made."""
        self.changes += 1
        self.outbox.report(done)
        self.keeper.changed()

    def repair(self) -> None:
        """Every order has another ``lastUpdatedDate``."""
        now = self.world.now()
        orders = [self.world.put_order(replace(order, updated=now)) for order in list(self.world.orders.values())]
        self.note([Done("order", order.id, "updated") for order in orders])

    def pause(self) -> float | None:
        """A random time, as customers come."""
        rate = self.options.changes_per_minute
        return self.world.dice.expovariate(rate / 60) if rate > 0 else None

    def truths(self) -> Mapping[str, Callable[[], list[Json]]]:
        """Lists rather than iterators, so that no change comes in between."""
        return {kind: partial(truth.rows, self.world, kind) for kind in truth.KINDS}

    def status(self) -> Json:
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
            "webhooks": self.outbox.status(),
            "faults": active(self.options, Faults),
        }
