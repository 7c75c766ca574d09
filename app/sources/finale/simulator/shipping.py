"""The goods of a purchase on their way: one shipment or two, each for a shelf, and their arrival."""

from decimal import Decimal

import msgspec

from app.sources.finale.simulator.records import CALLED_OFF, DELIVERED, ON_ITS_WAY, Done, Order, Place, Shipment
from app.sources.finale.simulator.world import World

_FIRST_ID = 300_000


def send(world: World, order: Order, status: str = ON_ITS_WAY) -> None:
    """The supplier sends what was bought, every third order in two halves."""
    shelves = [shelf.id for shelf in world.shelves()] or [order.facility_id or ""]
    goods = [(line.number, line.quantity) for line in order.lines if line.number is not None]
    halves = 2 if len(world.shipments) % 3 == 2 else 1
    for half in range(halves):
        id_ = str(_FIRST_ID + len(world.shipments))
        shelf = shelves[len(world.shipments) % len(shelves)]
        items = [(number, shelf, _share(quantity, half, halves)) for number, quantity in goods]
        received = order.updated if status == DELIVERED else None
        sent = tuple(item for item in items if item[2])
        world.put_shipment(Shipment(id_, order.id, sent, status, order.created, received))


def _share(quantity: Decimal, half: int, halves: int) -> Decimal:
    """The first half is rounded down to whole pieces, the other has the rest."""
    first = quantity // halves if halves > 1 else quantity
    return quantity - first if half else first


def receive(world: World, order: Order) -> list[Done]:
    """Everything still on its way moves from on order to the shelves; the order's status stays."""
    return [done for shipment in world.shipments_of(order) for done in receive_one(world, shipment)]


def receive_one(world: World, shipment: Shipment) -> list[Done]:
    """One shipment arrives, if it is on its way."""
    if shipment.status != ON_ITS_WAY:
        return []
    world.put_shipment(msgspec.structs.replace(shipment, status=DELIVERED, received=world.now()))
    order = world.orders[shipment.order_id]
    done = []
    for number, facility, quantity in shipment.items:
        if number in world.products:
            done.append(world.move(Place(number, order.facility_id or "", order_id=order.id), -quantity))
            done.append(world.move(Place(number, facility), quantity))
    if all(each.status == DELIVERED for each in world.shipments_of(order)):
        world.put_order(msgspec.structs.replace(order, has_arrived=True))
    return done


def outstanding(world: World, order: Order) -> list[tuple[int, Decimal]]:
    """The quantities of an open order that have yet to come or go, by product; none for an order without a place."""
    if not order.is_open or order.facility_id is None:
        return []
    if order.is_purchase and world.shipments_of(order):
        coming = [each for each in world.shipments_of(order) if each.status == ON_ITS_WAY]
        return [(number, quantity) for each in coming for number, _, quantity in each.items]
    return [(line.number, line.quantity) for line in order.lines if line.number is not None]


def call_off(world: World, order: Order) -> None:
    """A cancelled order cancels what was not delivered."""
    for shipment in world.shipments_of(order):
        if shipment.status == ON_ITS_WAY:
            world.put_shipment(msgspec.structs.replace(shipment, status=CALLED_OFF))
