"""The events of a shop's life: each function is one event, and returns everything that it changed.

An event that cannot happen now raises ``NothingFits`` or returns nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal

import msgspec

from app.sources.finale.simulator.opening import claim_stock, new_product, place_order, sale_price
from app.sources.finale.simulator.records import ON_ITS_WAY, Done, Facility, Line, Order, Party, Place, Product
from app.sources.finale.simulator.shipping import call_off, receive, receive_one, send
from app.sources.finale.simulator.world import NothingFits, World

Event = Callable[[World], list[Done]]


def happen(world: World, kinds: Sequence[str] = ()) -> list[Done]:
    """One random event of the given kinds, or of all except the quiet ones; returns at least one change.

    Raises ``ValueError`` when nothing of the kinds can happen in this shop.
    """
    chances = {kind: events for kind, events in EVENTS.items() if (kind in kinds if kinds else kind != QUIET)}
    events = [event for weighted in chances.values() for event, weight in weighted.items() for _ in range(weight)]
    for _ in range(100 if events else 0):
        with suppress(NothingFits):
            if done := world.dice.choice(events)(world):
                return done
    raise ValueError(f"nothing of {sorted(kinds) or 'any kind'} can happen here; kinds are {', '.join(EVENTS)}")


def sell(world: World) -> list[Done]:
    """A customer buys something from a shelf."""
    place = world.some_stock()
    product = world.products[place.number]
    count = min(Decimal(world.dice.randint(1, 3)), world.stock[place])
    order = _sale(world, "ORDER_COMPLETED", (Line(product.number, count, sale_price(world, product)),))
    return [_order_done(order, "sold"), world.move(place, -count)]


def reserve(world: World) -> list[Done]:
    """A customer orders something, to be sent later."""
    product = world.some_product(wanted=lambda product: product.active)
    line = Line(product.number, Decimal(world.dice.randint(1, 5)), sale_price(world, product))
    order = _sale(world, "ORDER_LOCKED", (line,))
    return [_order_done(order, "reserved"), *claim_stock(world, order)]


def buy(world: World) -> list[Done]:
    """The shop orders goods from a supplier."""
    order = place_order(world, is_purchase=True, status="ORDER_LOCKED", at=world.now())
    send(world, order)
    return [_order_done(order, "bought"), *claim_stock(world, order)]


def draft(world: World) -> list[Done]:
    """Begin a purchase or a sale without committing it."""
    is_purchase = world.dice.random() < 0.5
    return [_order_done(place_order(world, is_purchase=is_purchase, status=DRAFT, at=world.now()), "drafted")]


def commit(world: World) -> list[Done]:
    """Commit a draft, which gets a place if it has none."""
    order = world.some_order(lambda order: order.status == DRAFT)
    place = order.facility_id or world.some(world.stores()).id
    world.put_order(msgspec.structs.replace(order, facility_id=place))
    meant = advance(world, world.orders[order.id], "ORDER_LOCKED")
    if order.is_purchase and not world.shipments_of(order):
        send(world, meant)
    return [_order_done(meant, "committed"), *claim_stock(world, meant)]


def unload(world: World) -> list[Done]:
    """A shipment of a purchase arrives; the purchase itself does not change."""
    order = world.some_order(lambda order: order.is_open and world.shipments_of(order))
    coming = [one for one in world.shipments_of(order) if one.status == ON_ITS_WAY]
    return receive_one(world, coming[0]) if coming else []


def finish(world: World) -> list[Done]:
    """The goods of an open order arrive or leave; or an order is completed whose goods arrived before."""
    order = world.some_order(lambda order: order.status == "ORDER_LOCKED")
    if world.shipments_of(order):
        goods = receive(world, order)
        return [_order_done(advance(world, world.orders[order.id], "ORDER_COMPLETED"), "received"), *goods]
    claims = claim_stock(world, order, -1)
    done = advance(world, order, "ORDER_COMPLETED")
    goods = [moved for line in order.lines for moved in _goods(world, order, line)]
    return [_order_done(done, "received" if order.is_purchase else "shipped"), *claims, *goods]


def cancel(world: World) -> list[Done]:
    """Cancel an open order."""
    order = world.some_order(lambda order: order.is_open)
    claims = claim_stock(world, order, -1)
    call_off(world, order)
    return [_order_done(advance(world, order, "ORDER_CANCELLED"), "cancelled"), *claims]


def edit_quietly(world: World) -> list[Done]:
    """Change the price of a line of an order at least nine days old, without any event."""
    long_ago = world.now() - LONG_AGO
    order = world.some_order(lambda order: order.updated < long_ago and order.lines)
    first, *others = order.lines
    dearer = msgspec.structs.replace(first, unit_minor=(first.unit_minor or 0) + 100)
    return [_order_done(world.put_order(msgspec.structs.replace(order, lines=(dearer, *others))), "edited quietly")]


def transfer(world: World) -> list[Done]:
    """Move goods to another shelf."""
    place = world.some_stock()
    to = world.some([shelf.id for shelf in world.shelves() if shelf.id != place.facility_id])
    count = min(Decimal(world.dice.randint(1, 10)), world.stock[place])
    return [world.move(place, -count), world.move(place._replace(facility_id=to), count)]


def recount(world: World) -> list[Done]:
    """Correct the count of a shelf."""
    place = world.some_stock()
    by = max(Decimal(world.dice.choice((-7, -2, -1, 1, 3))), -world.stock[place])
    return [world.move(place, by)]


def reprice(world: World) -> list[Done]:
    """Change a price, sometimes the cost as well."""
    product = world.some_product()
    price = max(1, (product.price_minor or 1_000) + world.dice.choice((-120, -50, 25, 99, 250)))
    cost = world.dice.choice((product.cost_minor, (product.cost_minor or 100) + 5))
    raw = {key: value for key, value in product.raw.items() if key != "priceList"}
    return [world.edit(product, price_minor=price, cost_minor=cost, raw=raw)]


def rename(world: World) -> list[Done]:
    """Rename a product."""
    product = world.some_product()
    return [world.edit(product, name=f"{product.name.split(' #')[0]} #{world.dice.randrange(1000)}")]


def add_product(world: World) -> list[Done]:
    """Add a product, with its first goods on a shelf."""
    product, shelves = new_product(world), world.shelves()
    made = [Done("product", product.tail, "created", product.sku)]
    stocked = [world.move(Place(product.number, world.dice.choice(shelves).id), Decimal(10))] if shelves else []
    return made + stocked


def toggle(world: World) -> list[Done]:
    """Deactivate a product, or activate it again."""
    product = world.some_product()
    return [world.edit(product, active=not product.active)]


def delete(world: World) -> list[Done]:
    """Delete a product for good; only with the switch ``hard_deletes``."""
    if not world.options.hard_deletes:
        return []
    product = world.some_product()
    if any(order.is_open and _has(order, product) for order in world.orders.values()):
        return []
    return [world.drop_product(product)]


def add_shelf(world: World) -> list[Done]:
    """Add a sublocation."""
    store = world.some(world.stores())
    id_ = str(50_000 + len(world.facilities))
    world.facilities[id_] = Facility(id_, f"{store.name} annex {len(world.facilities)}", store.id)
    return [Done("location", id_, "created")]


def rename_party(world: World) -> list[Done]:
    """Rename a supplier."""
    party = world.some(world.suppliers())
    world.parties[party.id] = msgspec.structs.replace(party, name=f"Supplier {world.dice.randrange(10_000)}")
    return [Done("vendor", party.id, "updated")]


def add_party(world: World) -> list[Done]:
    """Add a supplier."""
    id_ = str(10_001 + len(world.parties))
    world.parties[id_] = Party(id_, f"Supplier {id_}", ("SUPPLIER",))
    return [Done("vendor", id_, "created")]


QUIET = "quiet"
"""The kind of events that happen only when it is named."""

LONG_AGO = 9 * 86_400
DRAFT = "ORDER_CREATED"

EVENTS: Mapping[str, Mapping[Event, int]] = {
    "order": {sell: 40, reserve: 15, buy: 10, draft: 5, commit: 5, finish: 20, cancel: 5},
    "shipment": {unload: 5},
    "stock": {transfer: 15, recount: 10},
    "product": {reprice: 20, rename: 5, add_product: 5, toggle: 5, delete: 2},
    QUIET: {edit_quietly: 1},
    "location": {add_shelf: 1},
    "vendor": {rename_party: 1, add_party: 1},
}


def advance(world: World, order: Order, status: str) -> Order:
    """Give an order another status and its time."""
    return world.put_order(msgspec.structs.replace(order, status=status, updated=world.now()))


def _sale(world: World, status: str, lines: tuple[Line, ...]) -> Order:
    return place_order(world, is_purchase=False, status=status, at=world.now(), lines=lines)


def _goods(world: World, order: Order, line: Line) -> list[Done]:
    """Move the goods themselves: onto some shelf, or from a shelf that has enough."""
    shelves = world.shelves()
    if line.number is None or line.number not in world.products or not shelves:
        return []
    if order.is_purchase:
        return [world.move(Place(line.number, world.dice.choice(shelves).id), line.quantity)]
    enough = (place for place in world.rows_of(line.number) if world.stock[place] >= line.quantity)
    place = next(enough, None)
    return [world.move(place, -line.quantity)] if place else []


def _has(order: Order, product: Product) -> bool:
    return any(line.number == product.number for line in order.lines)


def _order_done(order: Order, what: str) -> Done:
    return Done("order", order.id, what)
