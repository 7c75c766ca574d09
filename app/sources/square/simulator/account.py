"""One simulated account: its world and the shop's life in it."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from app.sources.simulating import account
from app.sources.simulating.account import Changed
from app.sources.simulating.answers import Json
from app.sources.square.simulator.keeping import keeper_of
from app.sources.square.simulator.settings import Faults, Options
from app.sources.square.simulator.shop_life import ShopLife
from app.sources.square.simulator.truth import Truth
from app.sources.square.simulator.world import World


class Account(account.Account):
    """Everything the endpoints share."""

    switches = Faults
    options: Options

    def __init__(self, world: World) -> None:
        self.world = world
        self.options = world.options
        self.outbox = world.outbox
        self.keeper = keeper_of(world)
        self.life = ShopLife(world)
        world.on_change = world.outbox.on_try = self.keeper.changed

    def happen(self, count: int = 1, kinds: Sequence[str] = ()) -> list[Changed]:
        """Changes of some kinds of record, or with some names of ``shop_life.HAPPENINGS``."""
        return self.life.happen(count, kinds)

    def repair(self) -> None:
        """Every order has another ``updated_at``, those of the API another version; no webhook tells of it, a poll does."""
        for order in self.world.orders.by_id.values():
            self.world.orders.save(order)
        self.keeper.changed()

    def pause(self) -> float | None:
        """The same time always, from the rate in the options."""
        rate = self.options.changes_per_minute
        return 60 / rate if rate > 0 else None

    def truths(self) -> Mapping[str, Callable[[], Iterable[Json]]]:
        """Iterators, so that 600,000 rows need no memory."""
        return Truth(self.world).kinds

    def status(self) -> Json:
        """Sizes, calls, webhooks and options."""
        world = self.world
        return {
            "items": world.catalog.items,
            "variations": world.catalog.wares,
            "orders": len(world.orders.by_id),
            "locations": len(world.places.locations),
            "vendors": len(world.places.vendors),
            "requests": dict(world.requests),
            "answers": {str(code): times for code, times in world.answers.items()},
            "webhooks": {**world.outbox.status(), "enabled": world.outbox.own.enabled},
            "options": msgspec.structs.asdict(world.options),
        }
