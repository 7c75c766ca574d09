"""Values in their one canonical form: quantities, time-based versions, JSON text; and lists in batches."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

import msgspec

Item = TypeVar("Item")

JsonObject = dict[str, Any]
"""A JSON object without a type of ours: a JSON column whose keys are data, or an answer as it is written."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

INT32 = 2**31
INT64 = 2**63
"""A whole number in a column must be at least ``-INT64`` and less than ``INT64``."""

_LARGEST = 10**15
_DECIMALS = Decimal("0.00001")


def quantity(value: int | float | str | Decimal) -> Decimal:
    """A canonical quantity: at most 5 decimals, no exponent and no trailing zeros, so that equal amounts look equal.

    Raises ``ValueError`` for text that is not a finite number, and for a number of more than 15 digits before the point.
    """
    amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not amount.is_finite() or not -_LARGEST < amount < _LARGEST:
        raise ValueError(f"a quantity must be a finite number of at most 15 digits, not {value!r}")
    if type(value) is int:
        return amount
    if amount.as_tuple().exponent < -5:  # type: ignore[operator]
        amount = amount.quantize(_DECIMALS)
    amount = amount.normalize()
    return amount.quantize(Decimal(1)) if amount.as_tuple().exponent > 0 else amount  # type: ignore[operator]


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime: the unit of every time-based version."""
    return (moment - _EPOCH) // _MICROSECOND


def to_json(value: Any) -> str | None:
    """Compact JSON text of a value for a JSON field; ``None`` for an empty value."""
    if value is None or value == [] or value == {}:
        return None
    return msgspec.json.encode(value).decode()


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of at most ``size``."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
