"""The simulated inventory: a count for each variation, location and state, and the log of the changes that made them.

Opening counts are computed on the fly, with changes on top; the changes of a count add up to it.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from app.sources.simulating.answers import Json
from app.sources.simulating.merchandise import ware
from app.sources.square.simulator.clock import GENESIS_MS, Clock, trimmed

Spot = tuple[int, str]
"""Place of a location, and a state."""

IN_STOCK, RESERVED, ORDERED = "IN_STOCK", "RESERVED_FOR_SALE", "ORDERED_FROM_VENDOR"
SLOTS = 3  # the most opening counts of a ware
STEP_US = 1_009
OPENED = -(10**11)  # the number of the opening's first change
NEWEST = 1 << 62
UNTRACKED = frozenset({"NONE", "SOLD", "UNLINKED_RETURN", "WASTE"})
"""States without counts, from which or to which goods go."""

TRANSFERS_UNTIL = "2026-07-15"
"""From this version on a transfer is an adjustment, and an adjustment names two locations."""


class Change(NamedTuple):
    """An adjustment from one spot to another, or a stock take (without ``origin``); times in microseconds."""

    number: int
    ware: int
    origin: Spot | None
    target: Spot
    quantity: Decimal
    stamp: int
    occurred: int
    order_id: str = ""
    money: int = 0  # minor units, for what was sold

    @property
    def id(self) -> str:
        """The change's id; numbers of the opening are below zero."""
        return f"INVCHG{self.number + 10**12:013d}"

    def type_at(self, version: str) -> str:
        """The type in a version of the API."""
        if self.origin is None:
            return "PHYSICAL_COUNT"
        moved = self.origin[0] != self.target[0]
        return "TRANSFER" if moved and version < TRANSFERS_UNTIL else "ADJUSTMENT"

    def spots(self) -> Iterator[Spot]:
        """The spots that it concerns."""
        yield from [self.target] if self.origin is None else [self.origin, self.target]


def change_json(change: Change, variation_id: str, location_ids: list[str], version: str) -> Json:
    """A change as the API shows it."""
    common = {
        "id": change.id,
        "catalog_object_id": variation_id,
        "catalog_object_type": "ITEM_VARIATION",
        "quantity": format(change.quantity, "f"),
        "occurred_at": trimmed(change.occurred),
        "created_at": trimmed(change.stamp),
        "source": {"product": "SQUARE_POS", "name": "Point of Sale"},
    }
    kind = change.type_at(version)
    return {"type": kind, kind.lower(): {**common, **_where(change, kind, location_ids, version)}}


def _where(change: Change, kind: str, location_ids: list[str], version: str) -> Json:
    if change.origin is None:
        return {"state": change.target[1], "location_id": location_ids[change.target[0]]}
    (here, before), (there, after) = change.origin, change.target
    places = {"from_location_id": location_ids[here], "to_location_id": location_ids[there]}
    if kind == "TRANSFER":
        return {"state": after, **places}
    sold = {"total_price_money": {"amount": change.money, "currency": "USD"}} if after == "SOLD" else {}
    return {
        **(places if version >= TRANSFERS_UNTIL else {"location_id": location_ids[there]}),
        "from_state": before,
        "to_state": after,
        "reason_id": {"type": reason(change)},
        **sold,
        **({"transaction_id": change.order_id} if change.order_id else {}),
    }


def reason(change: Change) -> str:
    """The reason of a change in Square's words; RECOUNT for a stock take."""
    if change.origin is None:
        return "RECOUNT"
    (here, before), (there, _) = change.origin, change.target
    if here != there:
        return "TRANSFER"
    if before == "UNLINKED_RETURN":
        return "RETURNED"
    return "SALE" if before == "IN_STOCK" else "RECEIVED"


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
        self.base_wares = wares  # at the opening
        self._locations = locations
        self._clock = clock
        self._changed: OrderedDict[Place, Count] = OrderedDict()  # the latest change last
        self._by_ware: dict[int, list[Place]] = {}
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

    def _keep(self, count: Count) -> Count:
        if count.place not in self._changed:
            self._by_ware.setdefault(count.place.ware, []).append(count.place)
        self._changed[count.place] = count
        self._changed.move_to_end(count.place)
        return count

    def changes(self) -> list[Count]:
        """The counts that differ from the opening, the latest change last."""
        return list(self._changed.values())

    def restore(self, kept: list[Count]) -> None:
        """Apply what ``changes`` returned."""
        for count in sorted(kept, key=lambda count: count.stamp):
            self._keep(count)

    def newest_first(self, below: int = NEWEST) -> Iterator[Count]:
        """Every count calculated before a stamp, the newest first."""
        changed = self.changes()
        yield from reversed(changed[: bisect_left(changed, below, key=lambda count: count.stamp)])
        newest = (below - 1 - GENESIS_MS * 1000) // STEP_US
        for number in range(min(self.base_wares - 1, newest // SLOTS), -1, -1):
            for count in reversed(self._base(number)):
                if count.stamp < below and count.place not in self._changed:
                    yield count

    def _base(self, number: int) -> list[Count]:
        """A ware's opening counts: most at one location, a third at two, a tenth on order, some never counted."""
        if number >= self.base_wares or number % 50 == 7 or not self._locations:
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
