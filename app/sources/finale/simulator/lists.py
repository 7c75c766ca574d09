"""Lists as Finale gives them: filtered, cut, column by column, streamed from a snapshot."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from app.sources.finale.simulator.settings import Options
from app.sources.finale.simulator.wire import Columns, columns
from app.sources.finale.simulator.world import World

CHUNK = 4_000
_WIDEST = timedelta(days=30)


class FilterRefused(ValueError):
    """A filter that Finale answers with 400; the message is the answer's."""


class Found(NamedTuple):
    """The records a list shows, and what their columns are called."""

    records: list[Any]
    shape: Columns


def find(
    world: World, options: Options, collection: str, filter_: str | None, limit: int | None, now: datetime
) -> Found:
    """A snapshot of what a list shows. Raises ``FilterRefused``; ``offset`` is ignored as in the original."""
    shape = columns(collection, world, options)
    if collection == "order" and not options.lines_in_list:
        shape = {name: cell for name, cell in shape.items() if name != "orderItemList"}
    bounds = {} if collection == "inventoryitem" or not filter_ else decoded(filter_)
    records = _all(world, options, collection)
    if options.scan_window and limit is not None:
        records = records[:limit]
    records = _filtered(records, shape, bounds, options, now)
    if limit is not None:
        records = records[:limit]
    return Found(records, shape)


def decoded(filter_: str) -> dict[str, Any]:
    """The JSON in a ``filter``: base64 with or without padding, url-safe or not, also with line breaks."""
    text = "".join(filter_.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        found = msgspec.json.decode(base64.b64decode(text + "=" * (-len(text) % 4)), type=dict[str, list[Any]])
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FilterRefused(f"filter is not base64 of a JSON object: {error}") from error
    if any(len(bounds) != 2 for bounds in found.values()):
        raise FilterRefused("a filter's value must be [lower, upper]")
    return found


def _all(world: World, options: Options, collection: str) -> list[Any]:
    found: dict[str, Callable[[], Sequence[Any]]] = {
        "product": world.by_update,
        "inventoryitem": lambda: list(world.stock.items()),
        "order": lambda: sorted(world.orders.values(), key=lambda order: (order.updated, order.id)),
        "facility": lambda: list(world.facilities.values()),
        "partygroup": lambda: list(world.parties.values()),
    }
    records = list(found[collection]())
    if options.random_order:
        world.dice.shuffle(records)
    return records


def _filtered(
    records: list[Any], shape: Columns, bounds: dict[str, Any], options: Options, now: datetime
) -> list[Any]:
    dated = "lastUpdatedDate" in bounds
    if dated:
        lower, upper = _range(bounds.pop("lastUpdatedDate"), options, now)
        if not options.ignore_filter:
            records = [record for record in records if lower <= record.updated <= upper]
    if dated or options.cap_unfiltered:
        records = records[: options.row_cap]
    for name, (low, high) in {} if options.ignore_filter else bounds.items():
        cell: Callable[[Any], Any] = shape.get(name, _nothing)
        records = [record for record in records if _inside(cell(record), low, high)]
    return records


def _range(bounds: Sequence[Any], options: Options, now: datetime) -> tuple[float, float]:
    low, high = bounds
    if high is None and options.null_upper_refused:
        raise FilterRefused("lastUpdatedDate needs an upper bound")
    lower, upper = _time(low), _time(high) if high is not None else now
    if lower is None or upper is None or upper - lower > _WIDEST:
        raise FilterRefused("lastUpdatedDate must be a range of at most 30 days")
    return lower.timestamp(), upper.timestamp()


def _time(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _inside(value: Any, low: Any, high: Any) -> bool:
    if value is None:
        return False
    try:
        return (low is None or low <= value) and (high is None or value <= high)
    except TypeError:
        return False


def document(found: Found, options: Options) -> Iterator[bytes]:
    """The list's JSON in pieces; may run in a thread, everything it reads is its own."""
    if not found.records:
        yield _empty(found.shape, options)
        return
    separator = b"{"
    for name, cell in found.shape.items():
        if options.short_column == name:
            yield separator + msgspec.json.encode(name) + b":[]"
        elif any(cell(record) is not None for record in found.records):
            yield separator + msgspec.json.encode(name) + b":["
            yield from _cells(found.records, cell, options, extra=options.extra_column == name)
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


def _nothing(record: Any) -> None:
    """The cell of a column that the collection does not have."""
