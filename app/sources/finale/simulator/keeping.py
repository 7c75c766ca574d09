"""The part of a simulated account that survives a restart: its whole world."""

import random
from collections.abc import Callable
from decimal import Decimal

import msgspec

from app.sources.finale.simulator.records import Facility, Order, Party, Place, Product, Shipment
from app.sources.finale.simulator.world import World
from app.sources.simulating import state_file


class Kept(msgspec.Struct):
    """A world as it is saved."""

    products: list[Product]
    dropped: list[Product]
    facilities: list[Facility]
    parties: list[Party]
    orders: list[Order]
    stock: list[tuple[Place, Decimal]]
    row_ids: list[tuple[Place, int]]
    next_number: int
    next_order: int
    seed: int
    shipments: list[Shipment] = []


def snapshot(world: World) -> Kept:
    """The present state."""
    return Kept(
        products=list(world.products.values()),
        dropped=list(world.dropped.values()),
        facilities=list(world.facilities.values()),
        parties=list(world.parties.values()),
        orders=list(world.orders.values()),
        stock=list(world.stock.items()),
        row_ids=list(world.row_ids.items()),
        next_number=world.next_number,
        next_order=world.next_order,
        seed=world.dice.getrandbits(32),
        shipments=list(world.shipments.values()),
    )


def load(path: str, clock: Callable[[], float]) -> World | None:
    """The saved world, ``None`` when there is none yet; raises ``ValueError`` for a file that holds none."""
    kept = state_file.load(path, Kept)
    if kept is None:
        return None
    world = World(random.Random(kept.seed), clock)
    for product in kept.products:
        world.put_product(product)
    world.dropped = {product.number: product for product in kept.dropped}
    world.facilities = {facility.id: facility for facility in kept.facilities}
    world.parties = {party.id: party for party in kept.parties}
    world.orders = {order.id: order for order in kept.orders}
    for shipment in kept.shipments:
        world.put_shipment(shipment)
    for place, row_id in kept.row_ids:
        world.enter(place, row_id)
    world.stock = dict(kept.stock)
    world.next_number, world.next_order = kept.next_number, kept.next_order
    return world
