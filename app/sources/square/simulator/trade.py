"""Buying and selling in the simulated shop: the counts and orders, and their events."""

from collections.abc import Sequence
from decimal import Decimal

from app.sources.square.simulator.bill import Line, Order
from app.sources.square.simulator.counts import IN_STOCK, ORDERED, RESERVED, Cause, Count, Place, Spot
from app.sources.square.simulator.orders import summary
from app.sources.square.simulator.world import World

Touched = list[tuple[str, str]]
"""Kind and external id of each record that a change touched."""

SOLD, RETURN = "SOLD", "UNLINKED_RETURN"  # goods that go there, or come from there, are not counted
COUNTS_PER_EVENT = 100
LATE_MS = 72 * 3_600_000
LONG_AGO_MS = 9 * 24 * 3_600_000


class Trade:
    """Each method makes one change and returns what it touched."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dice = world.dice

    def pos_sale(self) -> Touched:
        """A sale at the till: no order event and no version; sometimes the till was offline for three days."""
        faults = self._world.options
        late = LATE_MS if self._dice.random() < faults.offline else 0
        location = self._location()
        order = self._world.orders.add(location, self._world.basket(), api=False, age_ms=late, lag=faults.order_lag)
        self._money_event("payment.created", order, order.total())
        self._money_event("payment.updated", order, order.total())
        return [("order", order.id), *self._take(order, to=SOLD, late_ms=late)]

    def pos_return(self) -> Touched:
        """A return at the till; every other time in exchange for something else."""
        bought = self._world.basket() if self._dice.random() < 0.5 else []
        order = self._world.orders.add(self._location(), bought, api=False)
        order.returned = self._world.basket()
        back = self._moved(order, order.returned, RETURN, IN_STOCK)
        # a return has no order event: only the refund names it, whoever pays the difference
        self._money_event("refund.created", order, max(-order.total(), 0))
        return [("order", order.id), *self._take(order, to=SOLD), *self._counted(back)]

    def api_order(self) -> Touched:
        """An order in the web shop: order.created and two times order.updated; the goods are reserved."""
        lag = self._world.options.order_lag
        order = self._world.orders.add(self._location(), self._world.basket(), api=True, lag=lag)
        self._order_event("order.created", order)
        for _ in range(2):
            self._world.orders.update(order)
            self._order_event("order.updated", order)
        return [("order", order.id), *self._take(order, to=RESERVED)]

    def order_completed(self) -> Touched:
        """Complete an open order; without one, place an order."""
        orders = self._world.orders.by_id.values()
        waiting = [order for order in orders if order.state == "OPEN" and order.version is not None]
        if not waiting:
            return self.api_order()
        order = self._dice.choice(waiting)
        self._world.orders.update(order, "COMPLETED")
        self._order_event("order.fulfillment.updated", order, fulfilled=True)
        self._order_event("order.updated", order)
        return [("order", order.id)]

    def quiet_edit(self) -> Touched:
        """Change the price of a line of an order at least nine days old, without any event."""
        long_ago = self._world.clock.now_ms() - LONG_AGO_MS
        old = [one for one in self._world.orders.by_id.values() if one.updated < long_ago and one.lines]
        if not old:
            return []
        order = self._dice.choice(old)
        order.lines[0].price += 100
        return [("order", order.id)]

    def _take(self, order: Order, to: str, late_ms: int = 0) -> Touched:
        """Take an order's lines out of stock; a move to another state is two counts in one event."""
        return self._counted(self._moved(order, order.lines, IN_STOCK, to, late_ms))

    def _moved(self, order: Order, lines: Sequence[Line], before: str, after: str, late_ms: int = 0) -> list[Count]:
        counts: list[Count] = []
        for line in filter(Line.is_ware, lines):
            origin, target = (order.location, before), (order.location, after)
            cause = Cause(order.id, line.total(), late_ms)
            counts += self._world.counts.adjust(line.ware(), origin, target, Decimal(line.quantity), cause)
        return counts

    def receipt(self) -> Touched:
        """Receive goods that were on order."""
        number, location, amount = self._goods()
        return self._move(number, (location, ORDERED), (location, IN_STOCK), amount)

    def purchase(self) -> Touched:
        """Order goods: a count of one state only, which says nothing about the stock on hand."""
        number, location, amount = self._goods()
        return self._move(number, (location, "NONE"), (location, ORDERED), amount)

    def transfer(self) -> Touched:
        """Move goods between locations; with just one location, recount instead."""
        places = len(self._world.location_ids)
        if places < 2:
            return self.recount()
        number, here, amount = self._goods()
        there = (here + self._dice.randrange(1, places)) % places
        return self._move(number, (here, IN_STOCK), (there, IN_STOCK), amount)

    def recount(self) -> Touched:
        """Recount up to 150 variations at one location: more counts than an event can carry."""
        location = self._location()
        numbers = {self._world.something().ware for _ in range(self._dice.randrange(2, 151))}
        amounts = [
            (Place(number, location, IN_STOCK), Decimal(self._dice.randrange(200))) for number in sorted(numbers)
        ]
        return self._counted([self._world.counts.take_stock(place, amount) for place, amount in amounts])

    def _move(self, number: int, origin: Spot, target: Spot, amount: Decimal) -> Touched:
        return self._counted(self._world.counts.adjust(number, origin, target, amount))

    def _counted(self, counts: list[Count]) -> Touched:
        for first in range(0, len(counts), COUNTS_PER_EVENT):
            rows = [self._world.count_json(count) for count in counts[first : first + COUNTS_PER_EVENT]]
            payload = {"inventory_counts": rows}
            self._world.outbox.publish("inventory.count.updated", "inventory_counts", self._world.uuid(), payload)
        numbers = dict.fromkeys(count.place.ware for count in counts)
        return [("stock", self._world.catalog.variation_id(number)) for number in numbers]

    def _order_event(self, kind: str, order: Order, fulfilled: bool = False) -> None:
        payload = summary(order, self._world.location_ids[order.location])
        if fulfilled:
            payload["fulfillment_update"] = [
                {"fulfillment_uid": order.id[:8], "old_state": "PROPOSED", "new_state": "COMPLETED"}
            ]
        name = kind.replace(".", "_")
        self._world.outbox.publish(kind, name, order.id, {name: payload})

    def _money_event(self, kind: str, order: Order, cents: int) -> None:
        name = kind.split(".")[0]
        id_ = ("p" if name == "payment" else "f") + order.id[1:]
        payload = {
            "id": id_,
            "order_id": order.id,
            "location_id": self._world.location_ids[order.location],
            "status": "COMPLETED",
            "amount_money": {"amount": cents, "currency": "USD"},
        }
        self._world.outbox.publish(kind, name, id_, {name: payload})

    def _location(self) -> int:
        return self._dice.randrange(len(self._world.location_ids))

    def _goods(self) -> tuple[int, int, Decimal]:
        return self._world.something().ware, self._location(), Decimal(self._dice.randrange(1, 25))
