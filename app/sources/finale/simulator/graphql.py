"""A small part of Finale's GraphQL: ``productViewConnection``, whose values are display strings."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from app.sources.finale.simulator.records import Product
from app.sources.finale.simulator.settings import Options
from app.sources.finale.simulator.world import World

_CONNECTION = re.compile(r"productViewConnection\s*(?:\((?P<arguments>[^)]*)\))?\s*\{")
_NODE = re.compile(r"node\s*\{(?P<fields>[^{}]*)\}")
NOTHING = "--"


class QueryRefused(ValueError):
    """A query that is answered with ``errors`` and status 200."""


def answer(world: World, options: Options, body: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to one POST, always with status 200."""
    try:
        return {"data": {"productViewConnection": _connection(world, options, body)}}
    except QueryRefused as error:
        return {"data": None, "errors": [{"message": str(error)}]}


def _connection(world: World, options: Options, body: Mapping[str, Any]) -> dict[str, Any]:
    query, variables = str(body.get("query", "")), body.get("variables") or {}
    found, node = _CONNECTION.search(query), _NODE.search(query)
    if found is None or node is None:
        raise QueryRefused("only productViewConnection { edges { node { ... } } } is simulated")
    arguments = found["arguments"] or ""
    fields = _fields(world, options, node["fields"].split(), is_raw='formatter:"none"' in arguments.replace(" ", ""))
    size = min(int(_argument(arguments, "first", variables) or 50), options.graphql_cap)
    start = _index(_argument(arguments, "after", variables))
    sku = _argument(arguments, "productId", variables)
    products = [product for product in world.by_update() if sku is None or product.sku == sku]
    page = products[start : start + size]
    edges = [
        {"node": {name: field(product) for name, field in fields.items()}, "cursor": _cursor(start + place)}
        for place, product in enumerate(page, 1)
    ]
    info = {
        "hasNextPage": start + len(page) < len(products),
        "hasPreviousPage": start > 0,
        "startCursor": edges[0]["cursor"] if edges else None,
        "endCursor": edges[-1]["cursor"] if edges else None,
    }
    return {"edges": edges, "pageInfo": info}


def _argument(arguments: str, name: str, variables: Mapping[str, Any]) -> Any:
    found = re.search(rf'\b{name}\s*:\s*(?:\$(?P<variable>\w+)|"(?P<text>[^"]*)"|(?P<number>\d+))', arguments)
    if found is None:
        return None
    return variables.get(found["variable"]) if found["variable"] else found["text"] or found["number"]


def _fields(world: World, options: Options, names: list[str], *, is_raw: bool) -> dict[str, Callable[[Product], Any]]:
    known = _raw_fields(world, options)
    known.pop(options.graphql_removed_field, None)
    for name in names:
        if name not in known:
            raise QueryRefused(f"Cannot query field {name!r} on type 'productView'")
    chosen = {name: known[name] for name in names}
    return chosen if is_raw else {name: _shown(field) for name, field in chosen.items()}


def _raw_fields(world: World, options: Options) -> dict[str, Callable[[Product], Any]]:
    base = f"/{options.account}/api/product/"
    return {
        "productId": lambda p: p.sku,
        "productUrl": lambda p: base + p.tail,
        "description": lambda p: p.name,
        "status": lambda p: "Active" if p.active else "Inactive",
        "category": lambda p: p.category,
        "itemCost": lambda p: _amount(p.cost_minor),
        "itemPrice": lambda p: _amount(p.price_minor),
        "leadTime": lambda p: p.lead_time_days,
        "universalProductCode": lambda p: p.barcode,
        "stockOnHand": lambda p: _on_hand(world, p),
        "unitsInStock": lambda p: _on_hand(world, p),
    }


def _on_hand(world: World, product: Product) -> float | None:
    rows = [
        amount for place, amount in list(world.stock.items()) if place.number == product.number and not place.order_id
    ]
    return float(sum(rows, Decimal(0))) if rows else None


def _amount(cents: int | None) -> float | None:
    return None if cents is None else cents / 100


def _shown(field: Callable[[Product], Any]) -> Callable[[Product], str]:
    return lambda product: _display(field(product))


def _display(value: Any) -> str:
    if value is None:
        return NOTHING
    return f"{value:,.15g}" if isinstance(value, int | float) else str(value)


def _cursor(index: int) -> str:
    return base64.b64encode(msgspec.json.encode({"idx": index})).decode()


def _index(cursor: str | None) -> int:
    try:
        return int(msgspec.json.decode(base64.b64decode(cursor))["idx"]) if cursor else 0
    except (binascii.Error, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise QueryRefused(f"bad cursor {cursor!r}") from error
