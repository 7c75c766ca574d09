"""A small part of Finale's reports: rows of objects with column titles, numbers as text, and a footer."""

import base64
import binascii
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from app.domain.decoding import decode, unpack
from app.sources.finale.simulator.records import ACTIVE_PRODUCT, Product
from app.sources.finale.simulator.strict import BadRequest
from app.sources.finale.simulator.world import World

PARAMETERS = ("format", "data", "attrName", "rowDimensions", "metrics", "filters", "reportTitle")
_FILTERS = ("productStatus", "productCategory", "productManufacturer", "productStdBinId", "productProductUrl")


class _Column(NamedTuple):
    """What a column shows: of the product, or the sum of its stock in a state."""

    title: str
    field: str = ""
    state: str = ""


_DIMENSIONS: Mapping[str | int, _Column] = {
    "productProductId": _Column("Product ID", field="sku"),
    "productDescription": _Column("Description", field="name"),
}
_METRICS: Mapping[str | int, _Column] = {
    "productStockQuantityOnHandUnitsSum": _Column("Units\nQoH", state="on_hand"),
    "productStockQuantityReservedUnitsSum": _Column("Units\nReserved", state="reserved"),
    "productStockQuantityOnOrderUnitsSum": _Column("Units\nOn order", state="on_order"),
    1197: _Column("On hand", state="on_hand"),
    1199: _Column("On order", state="on_order"),
}
_USUAL = [column for name, column in _METRICS.items() if isinstance(name, str)]


def rows(world: World, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """The stock of each product, in units, as ``format=jsonObject``; raises ``BadRequest`` for any other report."""
    if params.get("format", "jsonObject") != "jsonObject" or params.get("data", "product") != "product":
        raise BadRequest("The simulated reports are data=product&format=jsonObject")
    dimensions = _columns(params.get("rowDimensions"), _DIMENSIONS) or list(_DIMENSIONS.values())
    metrics = _columns(params.get("metrics"), _METRICS) or _USUAL
    wanted = _filters(params.get("filters"))
    products = [product for product in world.by_update() if _is_shown(product, wanted)]
    sums = _sums(world, {product.number for product in products})
    none: dict[str, Decimal] = {}
    lines = [_row(product, sums.get(product.number, none), dimensions, metrics) for product in products]
    totals = {
        each.state: sum((one.get(each.state, Decimal(0)) for one in sums.values()), Decimal(0)) for each in metrics
    }
    return [*lines, _row(None, totals, dimensions, metrics)]


def _sums(world: World, numbers: set[int]) -> dict[int, dict[str, Decimal]]:
    sums: dict[int, dict[str, Decimal]] = {}
    for place, amount in world.stock.items():
        if place.number in numbers:
            states = sums.setdefault(place.number, {})
            states[world.state_of(place)] = states.get(world.state_of(place), Decimal(0)) + amount
    return sums


def _row(
    product: Product | None, states: Mapping[str, Decimal], dimensions: list[_Column], metrics: list[_Column]
) -> dict[str, Any]:
    """A product's, or the footer's."""
    named = {
        each.title: str(getattr(product, each.field)) if product else "TOTAL:" if each.field == "sku" else ""
        for each in dimensions
    }
    cells = {each.title: f"{states[each.state]:,f}" if states.get(each.state) else "" for each in metrics}
    return {**named, **cells}


def _columns(text: str | None, known: Mapping[str | int, _Column]) -> list[_Column]:
    """``name_width__title|...`` with the title in base64, or ``~`` and base64 of MessagePack."""
    if not text:
        return []
    parts = _packed(text[1:]) if text.startswith("~") else [_spelled(part) for part in text.split("|")]
    columns = []
    for name, title in parts:
        if name not in known:
            raise BadRequest(f"There is no report column {name!r}")
        columns.append(known[name]._replace(title=title or known[name].title))
    return columns


def _spelled(part: str) -> tuple[str | int, str]:
    name, _, title = part.partition("__")
    try:
        return name.rpartition("_")[0], base64.b64decode(title, validate=True).decode().replace("\\n", "\n")
    except ValueError as error:
        raise BadRequest(f"{part!r} is no report column: {error}") from error


def _packed(text: str) -> list[tuple[str | int, str]]:
    try:
        entries = unpack(_unpadded(text), list[list[Any]])
        return [(entry[0], str(entry[1] or "")) for entry in entries]
    except (binascii.Error, msgspec.DecodeError, IndexError, UnicodeDecodeError) as error:
        raise BadRequest(f"~{text} are no report columns: {error}") from error


def _filters(text: str | None) -> dict[str, list[str]]:
    """Base64 of a JSON list of ``[field, values or null]``; without values a field restricts nothing."""
    try:
        filters = decode(_unpadded(text), list[tuple[str, list[str] | None]]) if text else []
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"filters are not base64 of [[field, values], ...]: {error}") from error
    for name, values in filters:
        if name not in _FILTERS or (values is not None and name not in ("productStatus", "productCategory")):
            raise BadRequest(f"The simulated reports are not filtered by {name!r}")
    return {name: values for name, values in filters if values is not None}


def _is_shown(product: Product, wanted: Mapping[str, list[str]]) -> bool:
    cells = {
        "productStatus": ACTIVE_PRODUCT if product.active else "PRODUCT_INACTIVE",
        "productCategory": product.category,
    }
    return all(cells[name] in values for name, values in wanted.items())


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
