"""A small part of Finale's GraphQL: ``productViewConnection``, whose values are display strings."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from app.sources.finale.simulator.graphql_query import QueryRefused, Selection, selections
from app.sources.finale.simulator.records import Product
from app.sources.finale.simulator.world import World

NOTHING = "--"
_KEYS = ("query", "variables", "operationName")
_Fields = Mapping[str, Callable[[Product], Any]]
_Edge = Callable[[int, Product], Any]


def answer(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to one POST, always with status 200; anything unknown fails the whole query."""
    try:
        for key in body:
            if key not in _KEYS:
                raise QueryRefused(f"Unknown key {key!r} beside the query")
        selection = selections(str(body.get("query", "")), body.get("variables") or {})
        return {"data": {each.alias: _root(world, each) for each in selection}}
    except QueryRefused as error:
        return {"data": None, "errors": [{"message": str(error)}]}


def _root(world: World, selection: Selection) -> dict[str, Any]:
    if selection.name != "productViewConnection":
        raise _unknown(selection, "Query")
    selection.none_but("first", "after", "productId", "formatter", "sort")
    fields = _raw_fields(world)
    fields.pop(world.options.graphql_removed_field, None)
    size = min(_whole(selection.arguments.get("first", 50)), world.options.graphql_cap)
    start = _index(selection.arguments.get("after"))
    products = _sorted(_found(world, selection.arguments.get("productId")), selection.arguments.get("sort"), fields)
    page = products[start : start + size]
    parts: dict[str, Callable[[Selection], Any]] = {
        "edges": lambda of: list(
            map(_edge(of, fields, _is_raw(selection)), range(start + 1, start + 1 + len(page)), page)
        ),
        "pageInfo": lambda of: _page_info(of, start, len(page), len(products)),
    }
    return {each.alias: _known(each, parts, selection.name)(_parent(each)) for each in _parent(selection).fields}


def _edge(selection: Selection, fields: _Fields, is_raw: bool) -> _Edge:
    """A function that makes an edge of a place and a product; the selection is checked even without products."""
    known: dict[str, Callable[[Selection], _Edge]] = {
        "node": lambda of: _node(_parent(of), fields, is_raw),
        "cursor": lambda of: lambda place, product: _cursor(place),
    }
    parts = {each.alias: _known(each, known, "productViewEdge")(each) for each in selection.fields}
    return lambda place, product: {alias: part(place, product) for alias, part in parts.items()}


def _node(selection: Selection, fields: _Fields, is_raw: bool) -> _Edge:
    cells = {each.alias: _cell(each, _known(each, fields, "productView"), is_raw) for each in selection.fields}
    return lambda place, product: {alias: cell(product) for alias, cell in cells.items()}


def _page_info(selection: Selection, start: int, shown: int, all_: int) -> dict[str, Any]:
    info = {
        "hasNextPage": start + shown < all_,
        "hasPreviousPage": start > 0,
        "startCursor": _cursor(start + 1) if shown else None,
        "endCursor": _cursor(start + shown) if shown else None,
    }
    return {each.alias: _known(each, info, "pageInfo") for each in selection.fields}


def _cell(selection: Selection, field: Callable[[Product], Any], is_raw: bool) -> Callable[[Product], Any]:
    selection.none_but("formatter")
    if selection.fields:
        raise QueryRefused(f'Field "{selection.name}" must not have a selection')
    return field if _is_raw(selection) or is_raw else lambda product: _display(field(product))


def _known(selection: Selection, known: Mapping[str, Any], type_: str) -> Any:
    if selection.name not in known:
        raise _unknown(selection, type_)
    return known[selection.name]


def _parent(selection: Selection) -> Selection:
    if not selection.fields:
        raise QueryRefused(f'Field "{selection.name}" must have a selection of subfields')
    return selection


def _unknown(selection: Selection, type_: str) -> QueryRefused:
    return QueryRefused(f'Cannot query field "{selection.name}" on type "{type_}"')


def _is_raw(selection: Selection) -> bool:
    if selection.arguments.get("formatter", "none") != "none":
        raise QueryRefused(f"Unknown formatter {selection.arguments['formatter']!r}")
    return "formatter" in selection.arguments


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise QueryRefused(f'Argument "first" has invalid value {value!r}')
    return value


def _found(world: World, wanted: Any) -> list[Product]:
    """The values of one argument are alternatives."""
    skus = [wanted] if isinstance(wanted, str) else wanted
    if skus is not None and not (isinstance(skus, list) and all(isinstance(sku, str) for sku in skus)):
        raise QueryRefused(f'Argument "productId" has invalid value {wanted!r}')
    return [product for product in world.by_update() if skus is None or product.sku in skus]


def _sorted(products: list[Product], orders: Any, fields: _Fields) -> list[Product]:
    for order in reversed(_orders(orders)):
        field = fields.get(str(order["field"]))
        if field is None or order["mode"] not in ("asc", "desc"):
            raise QueryRefused(f"Cannot sort by {order!r}")
        products = sorted(products, key=_sortable(field), reverse=order["mode"] == "desc")
    return products


def _orders(orders: Any) -> Sequence[dict[str, Any]]:
    given = [] if orders is None else orders if isinstance(orders, list) else [orders]
    if not all(isinstance(order, dict) and order.keys() == {"field", "mode"} for order in given):
        raise QueryRefused(f'Argument "sort" has invalid value {orders!r}')
    return given


def _sortable(field: Callable[[Product], Any]) -> Callable[[Product], tuple[bool, Any]]:
    """Products without a value come first."""
    return lambda product: (field(product) is not None, field(product) if field(product) is not None else 0)


def _raw_fields(world: World) -> dict[str, Callable[[Product], Any]]:
    return {
        "productId": lambda p: p.sku,
        "productUrl": lambda p: f"{world.base}/product/{p.tail}",
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


def _display(value: Any) -> str:
    if value is None:
        return NOTHING
    return f"{value:,.15g}" if isinstance(value, int | float) else str(value)


def _cursor(index: int) -> str:
    return base64.b64encode(msgspec.json.encode({"idx": index})).decode()


def _index(cursor: Any) -> int:
    try:
        return int(msgspec.json.decode(base64.b64decode(cursor))["idx"]) if cursor else 0
    except (binascii.Error, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise QueryRefused(f"bad cursor {cursor!r}") from error
