"""Reads the rows of an answer so that an unreadable row affects only itself.

A row that fails is read once more without its nulls: Square's specification allows null in most fields, with the
meaning of a missing field.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from app.domain import BadRecord, Kind, Listing
from app.errors import Unmappable
from app.sources.shapes import bad_record, shown
from app.sources.square import mapping
from app.sources.square.mentions import NOTHING_KNOWN, Known
from app.sources.square.objects import is_other

R = TypeVar("R")


class ReadRows(NamedTuple, Generic[R]):
    """The records of some rows, and the unreadable rows."""

    records: list[R]
    failed: list[BadRecord]


def readable(kind: Kind, rows: Iterable[Any], read: Callable[[Any], R], key: str = "id") -> ReadRows[R]:
    """``read`` of every row. ``key`` is the field whose id begins the record's key."""
    result: ReadRows[R] = ReadRows([], [])
    for row in rows:
        try:
            result.records.append(lenient(row, read))
        except Exception as error:  # any error that a row causes belongs to that row
            result.failed.append(bad_record(kind, id_in(row, key), error))
    return result


def lenient(row: Any, read: Callable[[Any], R]) -> R:
    """``read`` of a row, or of the row without its nulls; raises what the latter raises."""
    try:
        return read(row)
    except Exception:
        if not isinstance(row, dict):
            raise Unmappable(f"it is {shown(row)}, expected an object") from None
        return read(without_nulls(row))


def without_nulls(value: Any) -> Any:
    """JSON without fields and entries that are null."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [without_nulls(each) for each in value if each is not None]
    return value


def id_in(row: Any, key: str = "id") -> str:
    """The id of a row, empty where it is unreadable."""
    value = row.get(key) if isinstance(row, dict) else None
    return value if isinstance(value, str) else ""


def listings(things: Iterable[Any], known: Known = NOTHING_KNOWN) -> ReadRows[Listing]:
    """The listings of all live items among some catalog objects, each variation read apart from its siblings;
    ``known`` has the names of the objects that items mention.

    A failure of the item itself is one failure under the item's id, for all its rows.
    """
    result: ReadRows[Listing] = ReadRows([], [])
    for thing in things:
        if is_other(thing):
            continue
        try:
            variations, listing = lenient(thing, lambda row: mapping.variations_of(row, known))
        except Exception as error:
            result.failed.append(bad_record(Kind.PRODUCT, id_in(thing), error))
            continue
        for variation in variations:
            try:
                result.records.append(lenient(variation, listing))
            except Exception as error:
                result.failed.append(bad_record(Kind.PRODUCT, id_in(variation), error, id_in(thing)))
    return result
