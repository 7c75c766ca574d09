"""What merchants do: each function changes the shop's truth, and the guard must hold none of it."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import Kind, Listing, Order, StockCount
from app.prove.guard.disasters import Case, Fields, Happen
from app.prove.guard.shop import Shop

Some = Callable[[Shop], Sequence[Any]]


def _each(some: Some, fields: Callable[[Shop, Any], Fields]) -> Happen:
    """Some records get other fields."""

    def happen(shop: Shop, night: int) -> None:
        for record in some(shop):
            shop.put(msgspec.structs.replace(record, **fields(shop, record)))

    return happen


def _part(records: Some, share: float, least: int = 1) -> Some:
    """A random share of some records."""
    return lambda shop: shop.drawn(records(shop), share, least)


def _price(product: Listing, factor: float) -> Fields:
    return {"price_minor": max(1, round((product.price_minor or 0) * factor))}


def _all_dearer(shop: Shop, night: int) -> None:
    percent = shop.rng.choice((1.02, 1.03, 1.035, 1.05, 1.08, 1.1, 1.125, 1.4))
    _each(Shop.products, lambda shop, one: _price(one, percent))(shop, night)


def _sale(percent: float) -> Callable[[Shop, int], None]:
    def happen(shop: Shop, night: int) -> None:
        ends = shop.rng.choice((1, 10, 100))
        for product in shop.drawn(shop.products(), shop.rng.uniform(0.2, 1.0)):
            price = (product.price_minor or 100) * (1 - percent)
            sold = price if ends == 1 else max(1, round(price / ends) * ends - (1 if ends == 10 else 5))
            shop.put(msgspec.structs.replace(product, price_minor=max(1, round(sold))))

    return happen


def _corrected(shop: Shop, count: StockCount) -> Fields:
    """By a little, after a stock-take."""
    off = shop.rng.choice((-3, -2, -1, 1, 2, 3))
    return {"quantity": max(Decimal(0 if count.quantity < 2 else 1), count.quantity + off)}


def _move(shop: Shop, night: int) -> None:
    """Everything at one place goes to a new one, which the vendor has listed already."""
    place = shop.rng.choice(shop.places())
    shop.put(msgspec.structs.replace(shop.truth[Kind.LOCATION][(place,)], external_id="NEW", name="New hall"))
    _carry(shop, place, lambda: "NEW")


def _close(shop: Shop, night: int) -> None:
    """One place closes; its goods go to the other places."""
    place = shop.rng.choice(shop.places())
    others = [other for other in shop.places() if other != place]
    shop.put(msgspec.structs.replace(shop.truth[Kind.LOCATION][(place,)], active=False))
    _carry(shop, place, lambda: shop.rng.choice(others))


def _carry(shop: Shop, place: str, target: Callable[[], str]) -> None:
    for count in [count for count in shop.counts() if count.location_id == place]:
        there = target()
        other = shop.truth[Kind.STOCK].get((count.listing_id, there, count.state))
        shop.count(count.listing_id, there, int(count.quantity) + int(other.quantity if other else 0))
        shop.put(msgspec.structs.replace(count, quantity=Decimal(0)))


def _grow(shop: Shop, night: int) -> None:
    for _ in range(max(1, round(len(shop.products()) * shop.rng.uniform(0.05, 0.2)))):
        shop.add_product()


def _import(shop: Shop, night: int) -> None:
    """A new supplier's whole range."""
    for _ in range(max(3, round(len(shop.products()) * shop.rng.uniform(0.3, 1.2)))):
        shop.add_product(description="From the new supplier")


def _discontinue(shop: Shop, night: int) -> None:
    """A fifth goes in ten nights, some deleted, some deactivated."""
    if night == 0:
        shop.ending = shop.drawn(shop.products(), 0.2, 0)
    ending = shop.ending
    for product in ending[night * len(ending) // 10 : (night + 1) * len(ending) // 10]:
        if shop.rng.random() < 0.5:
            shop.put(msgspec.structs.replace(product, active=False))
            continue
        del shop.truth[Kind.PRODUCT][(product.external_id,)]
        for key in [key for key in shop.truth[Kind.STOCK] if key[0] == product.external_id]:
            del shop.truth[Kind.STOCK][key]


def _sell(shop: Shop, count: StockCount, units: int) -> None:
    shop.put(msgspec.structs.replace(count, quantity=max(Decimal(0), count.quantity - units)))


def _good_day(shop: Shop, night: int) -> None:
    """A quarter of the counts fall by a few."""
    for count in shop.drawn([count for count in shop.counts() if count.quantity], 0.25):
        _sell(shop, count, min(shop.rng.randint(1, 4), int(count.quantity)))


def _sold_out(shop: Shop, night: int) -> None:
    """One, two or a hundredth of the products sell out without an order."""
    taken = {one.external_id for one in shop.drawn(shop.products(), 0.01, shop.rng.randint(1, 2))}
    for count in [count for count in shop.counts() if count.listing_id in taken and count.quantity]:
        _sell(shop, count, int(count.quantity))


def _wholesale(shop: Shop, night: int) -> None:
    """One customer buys the whole stock of a third of the products, with an order."""
    taken = {product.external_id for product in shop.drawn(shop.products(), 0.33, 3)}
    lines: list[dict[str, str]] = []
    for count in [count for count in shop.counts() if count.listing_id in taken and count.quantity]:
        lines.append({"line_id": str(len(lines)), "listing_id": count.listing_id, "quantity": str(count.quantity)})
        _sell(shop, count, int(count.quantity))
    shop.put(Order(f"O{shop.rng.getrandbits(40)}", status="completed", lines=msgspec.json.encode(lines).decode()))


def _rename(shop: Shop, night: int) -> None:
    """Every name gets the maker's name in front, or a year behind it."""
    is_longer = shop.rng.random() < 0.5
    for product in shop.drawn(shop.products(), shop.rng.uniform(0.3, 1.0)):
        name = product.name or ""
        shop.put(msgspec.structs.replace(product, name=f"Northwind {name}" if is_longer else f"{name} (2027)"))


def _without_barcode(shop: Shop) -> list[Listing]:
    return [product for product in shop.products() if not product.barcode]


def _in_season(shop: Shop) -> list[Listing]:
    return [product for product in shop.products() if product.active]


def _quiet(shop: Shop, night: int) -> None:
    _each(_part(Shop.products, 0.01), lambda shop, one: _price(one, 1.1))(shop, night)
    for count in shop.drawn([count for count in shop.counts() if count.quantity > 1], 0.05):
        _sell(shop, count, 1)


LIVES = (
    Case(
        "a season's price change of 40 %",
        _each(_part(Shop.products, 0.4), lambda shop, one: _price(one, shop.rng.uniform(0.7, 1.45))),
    ),
    Case("every price up by a percentage", _all_dearer),
    Case("a 30 % sale", _sale(0.3)),
    Case("a 70 % sale", _sale(0.7)),
    Case("a stock-take of 60 %", _each(_part(Shop.counts, 0.6), _corrected)),
    Case("a move to a new location", _move),
    Case("closing a location", _close),
    Case("catalogue growth", _grow),
    Case("a new supplier's range", _import),
    Case("20 % discontinued in ten nights", _discontinue, nights=10),
    Case("a good day's sales", _good_day),
    Case("a few products sell out", _sold_out),
    Case("wholesale of large quantities", _wholesale),
    Case(
        "restock after a holiday",
        _each(_part(Shop.counts, 0.7), lambda shop, one: {"quantity": one.quantity + shop.rng.randint(5, 60)}),
    ),
    Case("bulk rename", _rename),
    Case("a prefix on every SKU", _each(Shop.products, lambda shop, one: {"sku": f"NW-{one.sku}"})),
    Case(
        "half of all recategorised",
        _each(_part(Shop.products, 0.5), lambda shop, one: {"category": f"Home / {one.category}"}),
    ),
    Case(
        "barcodes filled in",
        _each(_without_barcode, lambda shop, one: {"barcode": f"50{shop.rng.getrandbits(36):011}"}),
    ),
    Case(
        "descriptions rewritten",
        _each(Shop.products, lambda shop, one: {"description": f"{one.description}. Now with more words."}),
    ),
    Case("an eighth out of season", _each(_part(_in_season, 0.12, 0), lambda shop, one: {"active": False})),
    Case("everything back in season", _each(Shop.products, lambda shop, one: {"active": True})),
    Case("ten quiet nights", _quiet, nights=10),
)
