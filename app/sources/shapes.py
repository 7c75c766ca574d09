"""Says in one sentence why a record cannot be read: which object and field, what stands there, what was expected."""

import re
from decimal import Decimal
from typing import Any

import msgspec

from app.domain import BadRecord, Kind
from app.errors import TallyhookError

_LONGEST = 80  # characters of a value or an id that are shown
_MESSAGE = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_EXPECTED = re.compile(r"Expected `(\w+)")
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


def explained(error: msgspec.ValidationError, data: Any, at: str = "") -> str:
    """``price_money.amount is "1.50", expected a whole number``: msgspec's error about ``data``, which stands ``at`` a
    path in the record."""
    match = _MESSAGE.fullmatch(str(error))
    said, path = (match[1], match[2] or "") if match else (str(error), "")
    where = f"{at}{path}".lstrip(".")
    if missing := _MISSING.match(said):
        return f"{where}.{missing[1]} is missing".lstrip(".")
    return f"{where or 'it'} is {shown(_found(data, path))}, expected {_wanted(said)}"


def _wanted(said: str) -> str:
    if "of length" in said:
        return "an id"
    if "<=" in said or ">=" in said:
        return "a whole number that fits 64 bits"
    if "decimal" in said:
        return "a number"
    match = _EXPECTED.match(said)
    return _WORDS.get(match[1], match[1]) if match else f"something else ({said})"


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
