"""The account at the start of the simulator, the same for the same seed."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import quote

from app.sources.finale.simulator.records import (
    DELIVERED,
    ON_ITS_WAY,
    Done,
    Facility,
    Line,
    Order,
    Party,
    Place,
    Product,
)
from app.sources.finale.simulator.settings import Options
from app.sources.finale.simulator.shipping import outstanding, send
from app.sources.finale.simulator.world import World
from app.sources.simulating.merchandise import CATEGORIES, ware

DAY = 86_400
_PACKING = "36 cs 36/1"


def opened(options: Options, clock: Callable[[], float]) -> World:
    """A world with everything that the options ask for."""
    world = World(options, clock, options.seed)
    _open_places(world)
    _open_parties(world)
    for number in range(1, options.products + 1):
        world.put_product(_product(options, number, world.dice))
        _stock_up(world, number)
    can_trade = bool(options.products and options.locations and options.vendors)
    for _ in range(options.orders if can_trade else 0):
        _open_order(world)
    return world


def new_product(world: World) -> Product:
    """Add the next product of the range now."""
    product = made(world.options.seed, world.next_number, created=world.now(), updated=world.now())
    return world.put_product(product)


def made(seed: int, number: int, *, created: int, updated: int) -> Product:
    """The product with a number; the URLs of two products in three end in the SKU."""
    thing = ware(seed, number)
    name = f"{thing.name} {thing.size}"
    return Product(
        number=number,
        tail=_tail(number, thing.sku, name),
        sku=thing.sku,
        name=name,
        description=f"{name}, made to last" if number % 2 else None,
        active=number % 10 != 0,
        category=CATEGORIES[thing.category],
        barcode=f"{number:012d}" if number % 4 else None,
        price_minor=thing.price_minor if number % 25 else None,
        cost_minor=thing.cost_minor,
        supplier_id=str(10_001 + thing.supplier) if number % 8 else None,
        lead_time_days=thing.lead_time_days,
        reorder_point=thing.reorder_point,
        created=created,
        updated=updated,
    )


def _tail(number: int, sku: str, name: str) -> str:
    if number % 6 == 0:
        return f"P2024{number:07d}"
    return quote(f"{name} {number:06d}") if number % 6 == 3 else sku


def _product(options: Options, number: int, dice: random.Random) -> Product:
    first, last = _epoch(options.first_day), _epoch(options.last_day)
    if options.same_second:
        return made(options.seed, number, created=first, updated=last)
    created = first + (last - first) * (number - 1) // max(options.products, 1)
    return made(options.seed, number, created=created, updated=dice.randint(created, last))


def _epoch(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def _open_places(world: World) -> None:
    for store in range(world.options.locations):
        id_ = str(10_000 + 100 * store)
        world.facilities[id_] = Facility(id_, f"Warehouse {store + 1}")
        for shelf in range(1, world.options.sublocations + 1):
            below = str(10_000 + 100 * store + shelf)
            world.facilities[below] = Facility(below, f"W{store + 1}-{shelf}", id_)


def _open_parties(world: World) -> None:
    world.parties["PRIMARY"] = Party("PRIMARY", "Demo Company")
    for number in range(world.options.vendors):
        id_ = str(10_001 + number)
        world.parties[id_] = Party(id_, f"Supplier {number + 1}", ("SUPPLIER",), f"orders{number + 1}@example.com")
    for number in range(3):
        id_ = str(20_001 + number)
        world.parties[id_] = Party(id_, f"Customer {number + 1}", ("CUSTOMER",))


def _stock_up(world: World, number: int) -> None:
    """Some on-hand rows for a product: different shelves, some with lots and packings."""
    options, dice, shelves = world.options, world.dice, world.shelves()
    rows = int(options.stock_rows_each) + (dice.random() < options.stock_rows_each % 1)
    opening = ware(options.seed, number).opening_stock
    for row in range(rows if shelves and number % 20 else 0):
        shelf = shelves[dice.randrange(len(shelves))].id
        lot = f"L_{number}-{row}" if number % 11 == 0 else ""
        packing = _PACKING if number % 13 == 0 and row == 0 else ""
        half = Decimal("0.5") if number % 17 == 0 else Decimal(0)
        world.move(Place(number, shelf, lot, packing), Decimal(1 + opening // rows) + half)


def _open_order(world: World) -> None:
    age = world.dice.randrange(80 * DAY)
    created = world.now() - age
    order = place_order(world, is_purchase=world.dice.random() < 0.4, status=_status(world), at=created)
    if order.is_purchase and order.status in ("ORDER_LOCKED", "ORDER_COMPLETED"):
        send(world, order, ON_ITS_WAY if order.is_open else DELIVERED)
    claim_stock(world, order)


def _status(world: World) -> str:
    return world.dice.choice(("ORDER_CREATED", "ORDER_LOCKED", "ORDER_LOCKED", "ORDER_COMPLETED", "ORDER_CANCELLED"))


def place_order(world: World, *, is_purchase: bool, status: str, at: int, lines: tuple[Line, ...] = ()) -> Order:
    """Add an order, of some random products unless ``lines`` are given; see ``claim_stock`` for an open one.

    Its number decides about its fields: a draft may have no place yet, a sale no customer, a purchase an unknown
    product. Raises ``NothingFits`` in a shop that lacks a place, a party or products.
    """
    number = world.next_order
    party = world.some(world.suppliers() if is_purchase else _customers(world)).id
    place = world.some(world.stores()).id
    order = Order(
        id=world.new_order_id(is_purchase=is_purchase),
        is_purchase=is_purchase,
        status=status,
        facility_id=None if number % 7 == 3 and status in ("ORDER_CREATED", "ORDER_CANCELLED") else place,
        party_id=None if number % 11 == 4 and not is_purchase else party,
        lines=lines or _lines(world, is_purchase),
        created=at,
        updated=at,
        adjustments=_ADDED[number % len(_ADDED)],
        reference=f"PO-{number}" if number % 4 == 1 else None,
        channel="Shopify" if number % 5 == 2 and not is_purchase else None,
    )
    return world.put_order(order)


def claim_stock(world: World, order: Order, sign: int = 1) -> list[Done]:
    """Enter (or with -1 remove) the stock rows on order or reserved of an open order."""
    return [
        world.move(Place(number, order.facility_id or "", order_id=order.id), quantity * sign)
        for number, quantity in outstanding(world, order)
        if number in world.products
    ]


def _lines(world: World, is_purchase: bool) -> tuple[Line, ...]:
    products = [world.some_product() for _ in range(world.dice.randint(1, 3))]
    lines = tuple(
        Line(
            product.number,
            Decimal(world.dice.randint(5, 60) if is_purchase else world.dice.randint(1, 4)),
            _unit(product) if is_purchase else sale_price(world, product),
        )
        for product in products
    )
    return (*lines, _UNKNOWN) if is_purchase and world.next_order % 5 == 0 else lines


def sale_price(world: World, product: Product) -> Decimal | None:
    """The price that a customer of the next order pays for one; a product without a price is free, or has no price."""
    if world.next_order % 13 == 0:
        return None
    return Decimal(0) if product.exact_price is None and product.number % 2 else product.exact_price


def _unit(product: Product) -> Decimal:
    """A supplier's price for one; cheap things bought by the thousand cost fractions of a cent."""
    cost = Decimal(product.cost_minor or 0)
    return cost / 1000 + Decimal("0.504") if product.number % 4 == 0 else cost


_UNKNOWN = Line(None, Decimal(3), Decimal("1.5"))
"""A line with an unknown product: Finale accepts it and keeps no product."""

_ADDED: tuple[tuple[tuple[str, int | None], ...], ...] = (
    (("Freight", 1250), ("Sales tax", 317)),
    (("Spring promotion", -150),),
    (),
    (("/taxauthorityrateproduct/3", 40), ("/productpromo/1", -100)),
    (),
    (("Handling", None),),
    (),
)


def _customers(world: World) -> list[Party]:
    return [party for party in world.parties.values() if "CUSTOMER" in party.roles]
