"""Lists as Finale gives them: filtered, cut, column by column, streamed from a snapshot."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from app.domain.decoding import decode
from app.sources.finale.simulator.cells import Columns
from app.sources.finale.simulator.records import Place
from app.sources.finale.simulator.settings import Options
from app.sources.finale.simulator.strict import BadRequest
from app.sources.finale.simulator.wire import COLUMNS
from app.sources.finale.simulator.world import World

CHUNK = 4_000
_WIDEST = timedelta(days=30)
_HIDDEN: Mapping[str, frozenset[str]] = {
    "order": frozenset(("orderItemList",)),
    "shipment": frozenset(("trackingCode", "carrierPartyUrl")),
}
"""Fields of single records that lists lack."""


class Found(NamedTuple):
    """The records a list shows, and what their columns are called."""

    records: list[Any]
    shape: Columns


def find(world: World, collection: str, filter_: str | None, limit: int | None, now: datetime) -> Found:
    """A snapshot of what a list shows. Raises ``BadRequest`` for a filter by anything but top-level fields that are no
    lists; the list of stock has none at all."""
    shape, options = COLUMNS[collection](world), world.options
    hidden = _HIDDEN.get(collection, frozenset()) if collection != "order" or not options.lines_in_list else ()
    shape = {name: cell for name, cell in shape.items() if name not in hidden}
    bounds = {} if filter_ is None else decoded(filter_)
    fields = () if collection == "inventoryitem" else [name for name in shape if not name.endswith("List")]
    for name in bounds:
        if name not in fields:
            raise BadRequest(f"There is no field {name!r} to filter {collection} by")
    records = _all(world, collection)
    records = _filtered(records, shape, bounds, options, now)
    if limit is not None:
        records = records[:limit]
    return Found(records, shape)


def decoded(filter_: str) -> dict[str, Any]:
    """The JSON in a ``filter``: base64 with or without padding, url-safe or not, also with line breaks."""
    text = "".join(filter_.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        ranges = decode(base64.b64decode(text + "=" * (-len(text) % 4)), dict[str, list[Any]])
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"filter is not base64 of a JSON object: {error}") from error
    for name, bounds in ranges.items():
        if len(bounds) != 2 or not all(_is_bound(bound) for bound in bounds):
            raise BadRequest(f"The filter's {name} must be [lower, upper], texts or numbers or null")
    return ranges


def _is_bound(value: Any) -> bool:
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))


def _all(world: World, collection: str) -> list[Any]:
    collections: dict[str, Callable[[], Sequence[Any]]] = {
        "product": world.by_update,
        "inventoryitem": lambda: [*world.stock.items(), *_unplaced(world)],
        "order": lambda: sorted(world.orders.values(), key=lambda order: (order.updated, order.id)),
        "facility": lambda: list(world.facilities.values()),
        "partygroup": lambda: list(world.parties.values()),
        "shipment": lambda: list(world.shipments.values()),
    }
    records = list(collections[collection]())
    if world.options.random_order:
        world.dice.shuffle(records)
    return records


def _unplaced(world: World) -> Iterator[tuple[Place, Decimal]]:
    for number in sorted(world.products)[: world.options.unplaced_stock]:
        yield Place(number, ""), Decimal(12)


def _filtered(
    records: list[Any], shape: Columns, bounds: dict[str, Any], options: Options, now: datetime
) -> list[Any]:
    dated = "lastUpdatedDate" in bounds
    if dated:
        lower, upper = _range(bounds.pop("lastUpdatedDate"), now)
        if not options.ignore_filter:
            records = [record for record in records if lower <= record.updated <= upper]
    if dated or options.cap_unfiltered:
        records = records[: options.row_cap]
    for name, (low, high) in {} if options.ignore_filter else bounds.items():
        cell = shape[name]
        records = [record for record in records if _inside(name, cell(record), low, high)]
    return records


def _range(bounds: Sequence[Any], now: datetime) -> tuple[float, float]:
    low, high = bounds
    lower, upper = _time(low), _time(high) if high is not None else now
    if lower is None or upper is None or upper - lower > _WIDEST:
        raise BadRequest("lastUpdatedDate must be a range of at most 30 days")
    return lower.timestamp(), upper.timestamp()


def _time(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _inside(name: str, value: Any, low: Any, high: Any) -> bool:
    if value is None:
        return False
    try:
        return (low is None or low <= value) and (high is None or value <= high)
    except TypeError as error:
        raise BadRequest(f"The filter's {name} cannot be compared with {value!r}") from error


def document(listed: Found, options: Options) -> Iterator[bytes]:
    """The list's JSON in pieces; may run in a thread, everything it reads is its own."""
    if not listed.records:
        yield _empty(listed.shape, options)
        return
    separator = b"{"
    for name, cell in listed.shape.items():
        if options.short_column == name:
            yield separator + msgspec.json.encode(name) + b":[]"
        elif any(cell(record) is not None for record in listed.records):
            yield separator + msgspec.json.encode(name) + b":["
            yield from _cells(listed.records, cell, options, extra=options.extra_column == name)
        else:
            continue  # a column without any value is left out
        separator = b","
    yield b"}"


def _cells(records: list[Any], cell: Callable[[Any], Any], options: Options, *, extra: bool) -> Iterator[bytes]:
    for start in range(0, len(records), CHUNK):
        values = [cell(record) for record in records[start : start + CHUNK]]
        if options.blank_cells:
            values = ["" if value is None else value for value in values]
        yield (b"," if start else b"") + msgspec.json.encode(values)[1:-1]
    yield b",null]" if extra else b"]"


def _empty(shape: Columns, options: Options) -> bytes:
    return msgspec.json.encode({name: [] for name in shape} if options.empty_as_columns else {})
