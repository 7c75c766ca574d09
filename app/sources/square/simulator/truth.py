"""The truth of the simulated account in Tallyhook's words, from its state and not from the API's answers."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from app.domain import CATEGORY_JOINT, to_json
from app.sources.simulating.answers import Json, decimal_text
from app.sources.square.simulator.bill import Order, true_lines, true_sums
from app.sources.square.simulator.catalog import Catalog
from app.sources.square.simulator.catalog_related import Thing, image_url, modifier_choices, value_id
from app.sources.square.simulator.catalog_things import Item, Variation
from app.sources.square.simulator.orders import payer, source_name
from app.sources.square.simulator.world import World

STATES = {"IN_STOCK": "on_hand", "RESERVED_FOR_SALE": "reserved", "ORDERED_FROM_VENDOR": "on_order"}


class Truth:
    """The rows of a perfect copy, by kind."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.kinds: Mapping[str, Callable[[], Iterator[Json]]] = {
            "product": self._products,
            "stock": self._stock,
            "order": self._orders,
            "location": self._locations,
            "vendor": self._vendors,
            "category": self._categories,
        }

    def _products(self) -> Iterator[Json]:
        for index in range(self._world.catalog.items):
            item = self._world.catalog.item(index)
            for variation in item.live():
                yield _product(self._world.catalog, item, variation)

    def _stock(self) -> Iterator[Json]:
        for count in self._world.counts.newest_first():
            yield {
                "listing_id": self._world.catalog.variation_id(count.place.ware),
                "location_id": self._world.location_ids[count.place.location],
                "state": STATES.get(count.place.state, count.place.state.lower()),
                "quantity": decimal_text(count.quantity),
            }

    def _orders(self) -> Iterator[Json]:
        for order in self._world.orders.by_id.values():
            yield {
                "external_id": order.id,
                "type": _type(order),
                "status": order.state,
                "ordered_on": self._business_day(order),
                **true_sums(order),
                "party_id": payer(order) or None,
                "channel": source_name(order),
                "lines": list(true_lines(order)),
            }

    def _business_day(self, order: Order) -> str:
        """The date at the order's location when it was made."""
        zone = ZoneInfo(self._world.places.locations[order.location].timezone)
        return datetime.fromtimestamp(order.created / 1000, zone).date().isoformat()

    def _locations(self) -> Iterator[Json]:
        return ({"external_id": one.id, "name": one.name} for one in self._world.places.locations)

    def _vendors(self) -> Iterator[Json]:
        return ({"external_id": one.id, "name": one.name} for one in self._world.places.vendors)

    def _categories(self) -> Iterator[Json]:
        live = (one for one in self._world.catalog.categories if not one.deleted)
        return ({"external_id": one.id, "name": one.name} for one in live)


def _type(order: Order) -> str:
    if order.refund:
        return "refund"
    return "sale" if not order.returned else "exchange" if order.lines else "return"


def _product(catalog: Catalog, item: Item, variation: Variation) -> Json:
    """The row of a live variation."""
    price = None if catalog.json.is_variable(variation) else variation.price
    supply = _supply(catalog, variation)
    named = len(item.live()) > 1 or variation.name != "Regular"
    return {
        "external_id": variation.id,
        "parent_id": item.id,
        "sku": variation.sku,
        "name": f"{item.name} - {variation.name}" if named else item.name,
        "active": item.present != "nowhere" and not item.archived,
        "archived": item.archived,
        "category_id": catalog.categories[item.category].id,
        **_category(catalog, item.category),
        "price_minor": price,
        "currency": None if price is None and supply["cost_minor"] is None else "USD",
        **supply,
        **_related(catalog, item, variation),
    }


def _category(catalog: Catalog, place: int | None) -> Json:
    names: list[str] = []
    while place is not None:
        category = catalog.categories[place]
        names.insert(0, category.name)
        place = category.parent
    return {"category": names[-1], "category_path": CATEGORY_JOINT.join(names)}


def _supply(catalog: Catalog, variation: Variation) -> Json:
    vendor = catalog.json.vendor_of(variation)
    return {
        "supplier_id": vendor,
        "supplier_sku": None if vendor is None else f"S-{variation.sku}",
        "cost_minor": variation.cost if vendor is not None or catalog.json.has_usual_cost(variation) else None,
    }


def _related(catalog: Catalog, item: Item, variation: Variation) -> Json:
    things = catalog.things
    unit = things.unit(variation)
    images = [{"id": one.id, "name": one.name, "url": image_url(one)} for one in things.images(item)]
    taxes = [
        {"id": one.id, "name": one.name, "percentage": "8.5", "inclusion": "ADDITIVE"} for one in things.taxes(item)
    ]
    return {
        "unit": None if unit is None else unit.name,
        "unit_precision": None if unit is None else 2,
        "images": to_json(images),
        "options": to_json([_option(one, variation) for one in things.options(item, variation)]),
        "modifiers": to_json([_modifier_list(one) for one in things.modifiers(item)]),
        "taxes": to_json(taxes),
        "sold_out": to_json([{"location_id": place} for place in catalog.json.sold_out_at(variation)]),
    }


def _option(thing: Thing, variation: Variation) -> Json:
    value = variation.name
    return {"id": thing.id, "name": thing.name, "value_id": value_id(thing, value), "value": value}


def _modifier_list(thing: Thing) -> Json:
    choices = [
        {"id": id_, "name": name, "price_minor": cents, "currency": "USD"}
        for id_, name, cents in modifier_choices(thing)
    ]
    return {"id": thing.id, "name": thing.name, "selection": "MULTIPLE", "modifiers": choices}
