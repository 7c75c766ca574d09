"""The simulated inventory counts: one per variation, location and state, computed on the fly, with changes on top."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from app.sources.simulating.merchandise import ware
from app.sources.square.simulator.changes import UNTRACKED, Change, Spot
from app.sources.square.simulator.clock import GENESIS_MS, Clock, Log, trimmed

Json = dict[str, Any]
IN_STOCK, RESERVED, ORDERED = "IN_STOCK", "RESERVED_FOR_SALE", "ORDERED_FROM_VENDOR"
SLOTS = 3  # the most opening counts of a ware
STEP_US = 1_009
OPENED = -(10**11)  # the number of the opening's first change
NEWEST = 1 << 62


class Place(NamedTuple):
    """The key of a count: ware number, place of the location, state."""

    ware: int
    location: int
    state: str


class Count(NamedTuple):
    """A count and when it was calculated (microseconds)."""

    place: Place
    quantity: Decimal
    stamp: int


class Cause(NamedTuple):
    """The order that moved goods, their price (minor units), and how long after the order this became known."""

    order_id: str = ""
    money: int = 0
    late_ms: int = 0


class Counts:
    """All counts of one account. A place without a count was never touched, which is not zero."""

    def __init__(self, seed: int, wares: int, locations: int, clock: Clock) -> None:
        self._seed = seed
        self._wares = wares
        self._locations = locations
        self._clock = clock
        self._changed: dict[Place, Count] = {}
        self._by_ware: dict[int, list[Place]] = {}
        self._log: Log[Place] = Log()
        self.moves: list[Change] = []  # since the opening

    def of(self, number: int) -> list[Count]:
        """Every count of a ware."""
        base = [count for count in self._base(number) if count.place not in self._changed]
        return base + [self._changed[place] for place in self._by_ware.get(number, [])]

    def quantity(self, place: Place) -> Decimal:
        """The quantity at a place, zero where nothing was ever counted."""
        return next((count.quantity for count in self.of(place.ware) if count.place == place), Decimal(0))

    def adjust(
        self, number: int, origin: Spot, target: Spot, amount: Decimal, order: Cause | None = None
    ) -> list[Count]:
        """Move some of a ware from one spot to another; returns its counts at spots that are tracked, which may be
        negative."""
        spots = ((origin, -amount), (target, amount))
        kept = [(Place(number, *spot), by) for spot, by in spots if spot[1] not in UNTRACKED]
        counts = [self._set(place, self.quantity(place) + by) for place, by in kept]
        if counts:
            self._note(number, origin, target, amount, counts[-1].stamp, order or Cause())
        return counts

    def take_stock(self, place: Place, quantity: Decimal) -> Count:
        """Set a count to a quantity that was counted."""
        count = self._set(place, quantity)
        self._note(place.ware, None, (place.location, place.state), quantity, count.stamp, Cause())
        return count

    def _set(self, place: Place, quantity: Decimal) -> Count:
        return self._keep(Count(place, quantity, self._clock.tick_us()))

    def _note(self, number: int, origin: Spot | None, target: Spot, amount: Decimal, at: int, cause: Cause) -> None:
        occurred = at - cause.late_ms * 1000
        change = Change(len(self.moves), number, origin, target, amount, at, occurred, cause.order_id, cause.money)
        self.moves.append(change)

    def opening(self, number: int) -> Iterator[Change]:
        """The changes that made a ware's opening counts."""
        for slot, count in enumerate(self._base(number)):
            spot, quantity = (count.place.location, count.place.state), count.quantity
            origin: Spot | None = None
            if count.place.state != IN_STOCK:
                origin = (spot[0], "NONE")
            elif quantity < 0:
                origin, spot, quantity = spot, (spot[0], "SOLD"), -quantity
            yield Change(OPENED + number * SLOTS + slot, number, origin, spot, quantity, count.stamp, count.stamp)

    def opened_with(self, change: int) -> int | None:
        """The ware of an opening change's number; ``None`` for the number of a later change."""
        return None if change >= 0 else (change - OPENED) // SLOTS

    @property
    def base_wares(self) -> int:
        """The number of wares at the opening."""
        return self._wares

    def _keep(self, count: Count) -> Count:
        if count.place not in self._changed:
            self._by_ware.setdefault(count.place.ware, []).append(count.place)
        self._changed[count.place] = count
        self._log.note(count.stamp, count.place)
        return count

    def changes(self) -> list[Count]:
        """The counts that differ from the opening."""
        return list(self._changed.values())

    def restore(self, kept: list[Count]) -> None:
        """Apply what ``changes`` returned."""
        for count in sorted(kept, key=lambda count: count.stamp):
            self._keep(count)

    def newest_first(self, below: int = NEWEST) -> Iterator[Count]:
        """Every count calculated before a stamp, the newest first."""
        for _, place in self._log.newest_first(below):
            yield self._changed[place]
        newest = (below - 1 - GENESIS_MS * 1000) // STEP_US
        for number in range(min(self._wares - 1, newest // SLOTS), -1, -1):
            for count in reversed(self._base(number)):
                if count.stamp < below and count.place not in self._changed:
                    yield count

    def newest(self) -> int:
        """The latest stamp, 0 without counts."""
        return next((count.stamp for count in self.newest_first()), 0)

    def _base(self, number: int) -> list[Count]:
        """A ware's opening counts: most at one location, a third at two, a tenth on order, some never counted."""
        if number >= self._wares or number % 50 == 7 or not self._locations:
            return []
        stock = ware(self._seed, number).opening_stock
        home = number % self._locations
        rows = [(Place(number, home, IN_STOCK), _opening(number, stock))]
        if number % 3 == 0 and self._locations > 1:
            rows.append((Place(number, (home + 1) % self._locations, IN_STOCK), Decimal(stock // 2)))
        if number % 10 == 0:
            rows.append((Place(number, home, ORDERED), Decimal(12)))
        began = GENESIS_MS * 1000 + number * SLOTS * STEP_US
        return [Count(place, amount, began + slot * STEP_US) for slot, (place, amount) in enumerate(rows)]


def _opening(number: int, stock: int) -> Decimal:
    """Some wares are sold by weight; some were sold before they were received."""
    if number % 13 == 0:
        return Decimal(stock) + Decimal("0.25")
    return Decimal(-1) if number % 61 == 5 else Decimal(stock)


def count_json(count: Count, variation_id: str, location_id: str) -> Json:
    """A count as the API shows it."""
    return {
        "catalog_object_id": variation_id,
        "catalog_object_type": "ITEM_VARIATION",
        "state": count.place.state,
        "location_id": location_id,
        "quantity": format(count.quantity, "f"),
        "calculated_at": trimmed(count.stamp),
    }
