"""Says in one sentence why a record cannot be read: which object and field, what stands there, what was expected."""

import copy
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import BadRecord, Kind
from app.errors import TallyhookError

_LONGEST = 80  # characters of a value or an id that are shown
_MESSAGE = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_EXPECTED = re.compile(r"Expected `([\w |]+)")
_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "str": "a text",
    "array": "a list",
    "object": "an object",
}


def bad_record(kind: Kind, external_id: str, error: Exception, item_id: str = "") -> BadRecord:
    """The record as one that cannot be read; ``error`` is the reason."""
    name = f"{kind} {external_id[:_LONGEST]}" if external_id else f"a {kind} without a readable id"
    return BadRecord(kind, external_id, f"{name}: {_why(error)}", item_id if item_id != external_id else "")


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "a field of it is nested deeper than anybody reads, expected plain values"
    return str(error) if isinstance(error, TallyhookError) else f"{type(error).__name__}: {error}"


def of_item(bad: BadRecord, item_id: str) -> BadRecord:
    """The same bad record as part of an answer about an item."""
    return msgspec.structs.replace(bad, item_id=item_id if item_id != bad.external_id else "")


def explained(
    error: msgspec.ValidationError, data: Any, at: str = "", *, read: Callable[[Any], object] | None = None
) -> str:
    """``price_money.amount is "1.50", expected a whole number``: msgspec's error about ``data``, which stands ``at`` a
    path in the record. ``read`` is what raised it: it tells what a missing field should have been."""
    said, path = _parts(error)
    where = f"{at}{path}".lstrip(".")
    if missing := _MISSING.match(said):
        expected = _wanted_at(path, missing[1], data, read) if read else ""
        return f"{where}.{missing[1]} is missing{expected}".lstrip(".")
    return f"{where or 'it'} is {shown(_found(data, path))}, expected {_wanted(said)}"


def _parts(error: msgspec.ValidationError) -> tuple[str, str]:
    """What msgspec says, and the path at which."""
    match = _MESSAGE.fullmatch(str(error))
    return (match[1], match[2] or "") if match else (str(error), "")


def _wanted_at(path: str, name: str, data: Any, read: Callable[[Any], object]) -> str:
    """What is expected of a missing field: that is said of values that it cannot have."""
    steps = [step[1] or int(step[2]) for step in _STEP.finditer(path)]
    for impossible in ("", object()):
        try:
            read(_with(data, [*steps, name], impossible))
        except msgspec.ValidationError as error:
            said, _ = _parts(error)
            if _EXPECTED.match(said):
                return f", expected {_wanted(said)}"
    return ""


def _with(data: Any, steps: list[str | int], value: Any) -> Any:
    """A copy of some JSON with a value at the end of a path."""
    if not steps:
        return value
    whole, (step, *further) = copy.copy(data), steps
    whole[step] = _with(data[step], further, value) if further else value
    return whole


def _wanted(said: str) -> str:
    if "of length" in said:
        return "an id"
    if "<=" in said or ">=" in said:
        return "a whole number that fits 64 bits"
    if "decimal" in said:
        return "a number"
    match = _EXPECTED.match(said)
    if match is None:
        return f"something else ({said})"
    names = match[1].split(" | ")
    return _WORDS["float"] if "float" in names else _WORDS.get(names[0], names[0])


def _found(data: Any, path: str) -> Any:
    for step in _STEP.finditer(path):
        try:
            data = data[step[1]] if step[1] else data[int(step[2])]
        except (LookupError, TypeError):
            return data
    return data


def shown(value: Any) -> str:
    """A value as JSON spells it, shortened."""
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    try:
        text = str(value) if is_number else msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError):
        text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
