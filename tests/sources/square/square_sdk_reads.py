"""Calls of Square's SDK that only read, each with what its answer must mean."""

from collections.abc import Callable
from typing import Any, NamedTuple

from square import Square

from tests.sources.square.square_account import Account
from tests.sources.square.square_sdk import dumped


class Call(NamedTuple):
    """A call: what is asked, and whether the answer means it."""

    name: str
    ask: Callable[[Square, Account], Any]
    means: Callable[[Any, Account], bool]


def item(shop: Account, place: int = 0) -> str:
    """The id of an item."""
    result: str = shop.world.catalog.item_id(place)
    return result


def variation(shop: Account, place: int = 3) -> str:
    """The id of a variation."""
    result: str = shop.world.catalog.variation_id(place)
    return result


def thing(shop: Account, type_: str) -> str:
    """The id of the first object of a type that items mention."""
    result: str = next(one.id for one in shop.world.catalog.things.all if one.type == type_)
    return result


def types_of(things: Any) -> set[str]:
    """The types of some catalog objects."""
    return {dumped(one)["type"] for one in things or []}


def names_of(things: Any) -> list[str]:
    """The names of some items."""
    return [dumped(one)["item_data"]["name"] for one in things or []]


def places(shop: Account) -> list[str]:
    """The ids of all locations."""
    result: list[str] = shop.world.location_ids
    return result


def query(**parts: Any) -> Callable[[Square, Account], Any]:
    """A catalog search for items."""
    return lambda sdk, shop: sdk.catalog.search(object_types=["ITEM"], query=parts)


def orders_by(**filters: Any) -> Callable[[Square, Account], Any]:
    """An order search with filters."""
    return lambda sdk, shop: sdk.orders.search(location_ids=places(shop), query={"filter": filters})


def change_ids(sdk: Square, kind: str) -> list[str]:
    """The ids of changes of a kind."""
    return [
        dumped(one)[kind.lower()]["id"] for one in sdk.inventory.batch_get_changes(types=[kind], limit=5).items or []
    ]


def stock(shop: Account, **like: str) -> int:
    """How many counts there are."""
    return sum(all(row[name] == value for name, value in like.items()) for row in shop.truth("stock"))
