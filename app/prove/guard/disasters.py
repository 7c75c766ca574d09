"""What goes wrong at vendors: each function makes the shop's lists show something false. ``night`` counts from 0."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from app.domain import Kind, Listing, key_of
from app.prove.guard.shop import Shop

Happen = Callable[[Shop, int], None]
Fields = Mapping[str, object]


class Case(NamedTuple):
    """A disaster or an ordinary event: ``happen`` is called every night."""

    name: str
    happen: Happen
    nights: int = 1


def _empty(*kinds: Kind) -> Happen:
    def happen(shop: Shop, night: int) -> None:
        shown = shop.lie()
        for kind in kinds:
            shown[kind].clear()

    return happen


def _short(shop: Shop, night: int) -> None:
    """The list ends early."""
    ids = [product.external_id for product in shop.products()]
    _leave_out(shop, ids[-max(3, round(len(ids) * shop.rng.uniform(0.04, 0.6))) :])


def _page_repeated(shop: Shop, night: int) -> None:
    """One page is shown in place of another, whose products and counts are therefore missing."""
    lost = shop.drawn(shop.products(), shop.rng.uniform(0.05, 0.34), 3)
    _leave_out(shop, [product.external_id for product in lost])


def _leave_out(shop: Shop, ids: Collection[str]) -> None:
    """Neither these products nor their counts are shown."""
    shown, lost = shop.lie(), set(ids)
    for kind in (Kind.PRODUCT, Kind.STOCK):
        for key in [key for key in shown[kind] if key[0] in lost]:
            del shown[kind][key]


def _doubled(shop: Shop, night: int) -> None:
    shown = shop.lie()[Kind.PRODUCT]
    for product in shop.drawn(shop.products(), shop.rng.uniform(0.3, 1.0), 4):
        shop.spoil(product, external_id=f"X{product.external_id}")
        shown[key_of(product)] = product


def _decay(shop: Shop, night: int) -> None:
    """Every night another five percent of the products are missing."""
    if night == 0:
        shop.lie()
    shown = shop.listed[Kind.PRODUCT]
    for key in shop.rng.sample(list(shown), max(1, round(0.05 * len(shown)))):
        del shown[key]


def _some(
    records: Callable[[Shop], Sequence[Any]], fields: Callable[[Any], Fields], *, least: float = 0.4, rows: int = 4
) -> Happen:
    """A share of some records, at least ``least`` and at least so many ``rows``, is shown with other fields."""

    def happen(shop: Shop, night: int) -> None:
        shop.lie()
        for record in shop.drawn(records(shop), shop.rng.uniform(least, 1.0), rows):
            shop.spoil(record, **fields(record))

    return happen


def _all_counts(shop: Shop, quantity: Callable[[Decimal], Decimal]) -> None:
    shop.lie()
    for count in shop.counts():
        shop.spoil(count, quantity=quantity(count.quantity))


def _prices(factor: float) -> Happen:
    return _some(
        Shop.products, lambda one: {"price_minor": max(1, round((one.price_minor or 0) * factor))}, least=0.5
    )


def _exchange(shop: Shop, night: int) -> None:
    """Prices come in another currency, at a rate of the day."""
    rate = shop.rng.choice((0.8637, 157.31, 0.7913, 83.12, 4.0371, 1.3724, 10.4427))
    _prices(rate)(shop, night)


def _prices_lost(shop: Shop, night: int) -> None:
    price = shop.rng.choice((0, None))
    _some(Shop.products, lambda one: {"price_minor": price})(shop, night)


def _names_shifted(shop: Shop, night: int) -> None:
    column = shop.rng.choice(("sku", "description", "category"))
    _some(Shop.products, lambda one: {"name": getattr(one, column), "sku": one.name})(shop, night)


def _swapped(shop: Shop, least: float, rows: int) -> Iterator[tuple[Listing, Listing]]:
    """A share of the products, each with another one of them."""
    shop.lie()
    drawn = shop.drawn(shop.products(), shop.rng.uniform(least, 1.0), rows)
    return zip(drawn, [*drawn[1:], drawn[0]], strict=True)


def _skus_swapped(shop: Shop, night: int) -> None:
    for product, other in _swapped(shop, 0.3, 4):
        shop.spoil(product, sku=other.sku)


def _rows_mixed(shop: Shop, night: int) -> None:
    """Ids point to other products than before: a table was sorted without its key."""
    for product, other in _swapped(shop, 0.4, 5):
        shop.spoil(other, external_id=product.external_id)


def _stock_times(factor: str) -> Happen:
    return _some(Shop.counts, lambda one: {"quantity": one.quantity * Decimal(factor)}, least=0.6, rows=5)


def _same_step(shop: Shop, night: int) -> None:
    step = shop.rng.choice((100, 1000, -1))
    _all_counts(shop, lambda quantity: quantity + step)


def _another_account(shop: Shop, night: int) -> None:
    """The credentials belong to another shop."""
    other = Shop(shop.rng, max(10, len(shop.products()) // 2), shop.now)
    alike = shop.rng.random() < 0.5  # the other account counts its products as ours does
    mark = "" if alike else "Z"
    shown = shop.lie()
    for kind in (Kind.PRODUCT, Kind.STOCK):
        shown[kind].clear()
    for product in other.products():
        fields = {
            "external_id": mark + product.external_id,
            "sku": f"Q{product.sku}9",
            "name": f"Zed{product.name}s9",
        }
        shop.spoil(product, **fields)
    for count in other.counts():
        shop.spoil(count, listing_id=mark + count.listing_id)
    shop.answered = shown


def _location_lost(shop: Shop, night: int) -> None:
    """Counts come with a place that does not exist."""
    place = shop.rng.choice(("null", "undefined", "0"))
    _some(Shop.counts, lambda one: {"location_id": place}, least=0.5, rows=5)(shop, night)


def _place_missing(shop: Shop, night: int) -> None:
    """One place is left out of the answer; in half of the cases its counts are shown as zero."""
    place = shop.rng.choice(shop.places())
    shown = shop.lie()
    is_named = shop.rng.random() < 0.5
    for count in [count for count in shop.counts() if count.location_id == place]:
        del shown[Kind.STOCK][key_of(count)]
        if is_named:
            shop.spoil(count, quantity=Decimal(0))


def _half_empty(shop: Shop, night: int) -> None:
    """Half of the counts of every place are left out."""
    shown = shop.lie()
    for count in shop.drawn(shop.counts(), shop.rng.uniform(0.45, 0.6), 5):
        del shown[Kind.STOCK][key_of(count)]


def _stock_of_others(shop: Shop, night: int) -> None:
    """Counts of products that do not exist."""
    shop.lie()
    for count in shop.drawn(shop.counts(), shop.rng.uniform(0.6, 1.0), 5):
        shop.spoil(count, listing_id=f"?{count.listing_id}")


DISASTERS = (
    Case("empty list", _empty(Kind.PRODUCT, Kind.STOCK)),
    Case("empty stock list", _empty(Kind.STOCK)),
    Case("short list", _short),
    Case("a page repeated", _page_repeated),
    Case("rows doubled under new ids", _doubled),
    Case("slow decay over ten runs", _decay, nights=10),
    Case("prices x100", _prices(100)),
    Case("prices /100", _prices(0.01)),
    Case("prices x10", _prices(10)),
    Case("prices at a rate of exchange", _exchange),
    Case("another currency", _some(Shop.products, lambda one: {"currency": "JPY"})),
    Case("prices lost", _prices_lost),
    Case("names shifted into another column", _names_shifted),
    Case("names lost", _some(Shop.products, lambda one: {"name": None})),
    Case("SKUs swapped", _skus_swapped),
    Case("rows mixed up", _rows_mixed),
    Case("all deactivated", _some(Shop.products, lambda one: {"active": False}, least=0.6, rows=5)),
    Case("stock all zero", lambda shop, night: _all_counts(shop, lambda quantity: Decimal(0))),
    Case("stock x10", _stock_times("10")),
    Case("stock /100", _stock_times("0.01")),
    Case("stock moved by one number", _same_step),
    Case("another account's answer", _another_account),
    Case("location lost", _location_lost),
    Case("a place missing", _place_missing),
    Case("half-empty places", _half_empty),
    Case("counts of unknown products", _stock_of_others),
)
