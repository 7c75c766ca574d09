"""Keeps a simulated shop over a restart: its whole state in one file, replaced as a whole."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from app.sources.finale.simulator.records import Facility, Order, Party, Place, Product
from app.sources.finale.simulator.world import World


class _Kept(msgspec.Struct):
    products: list[Product]
    dropped: list[Product]
    facilities: list[Facility]
    parties: list[Party]
    orders: list[Order]
    stock: list[tuple[Place, Decimal, int]]
    next_number: int
    next_order: int
    seed: int


_READER = msgspec.msgpack.Decoder(_Kept)


def save(world: World, path: Path) -> None:
    """Write the state beside the file, then over it."""
    kept = _Kept(
        products=list(world.products.values()),
        dropped=list(world.dropped.values()),
        facilities=list(world.facilities.values()),
        parties=list(world.parties.values()),
        orders=list(world.orders.values()),
        stock=[(place, amount, world.row_ids[place]) for place, amount in world.stock.items()],
        next_number=world.next_number,
        next_order=world.next_order,
        seed=world.dice.getrandbits(32),
    )
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(msgspec.msgpack.encode(kept))
    os.replace(beside, path)


def load(path: Path, clock: Callable[[], float]) -> World | None:
    """The kept world, or nothing when there is none yet."""
    if not path.exists():
        return None
    kept = _READER.decode(path.read_bytes())
    world = World(random.Random(kept.seed), clock)
    for product in kept.products:
        world.put_product(product)
    world.dropped = {product.number: product for product in kept.dropped}
    world.facilities = {facility.id: facility for facility in kept.facilities}
    world.parties = {party.id: party for party in kept.parties}
    world.orders = {order.id: order for order in kept.orders}
    for place, amount, row_id in kept.stock:
        world.stock[place], world.row_ids[place] = amount, row_id
        world.places.append(place)
    world.next_number, world.next_order = kept.next_number, kept.next_order
    return world
