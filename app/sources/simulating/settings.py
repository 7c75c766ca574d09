"""Options and fault switches of a simulator: what all of them have, and how they are read and switched."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from app.domain.decoding import convert

Value = str | int | float | bool
Shape = TypeVar("Shape")


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """Fault switches that every simulator has; probabilities lie between 0 and 1."""

    # webhooks: shares of the events that are
    drop: float = 0.0  # never sent
    duplicate: float = 0.0  # sent twice with the same id
    delay: float = 0.0  # sent much later
    reorder: float = 0.0  # held back for a moment, while later ones go out
    # answers
    latency: float = 0.0  # seconds before each answer
    expired_token: bool = False  # 401 for every call
    bad_records: float = 0.0  # share of the records that have one unreadable field, always the same one
    # the next n answers are
    next_429: int = 0
    next_html: int = 0  # 200 with an HTML page
    next_truncated: int = 0  # 200 with half a document


def read(values: Mapping[str, Any], shape: type[Shape]) -> Shape:
    """The values as ``shape``, text converted. Raises ``ValueError`` that names what is unknown or wrong."""
    try:
        return convert(dict(values), shape, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"simulator option: {error}") from error


def switch(current: Faults, changes: Mapping[str, Any], shape: type[Faults]) -> None:
    """Set some fault switches of a vendor's ``shape``; raises ``ValueError`` for anything that is not one of them."""
    switched = read(changes, shape)
    for name in changes:
        setattr(current, name, getattr(switched, name))


def active(current: Faults, shape: type[Faults]) -> dict[str, Any]:
    """The switches of a vendor's ``shape`` that differ from their defaults."""
    defaults = shape()
    names = shape.__struct_fields__
    return {name: getattr(current, name) for name in names if getattr(current, name) != getattr(defaults, name)}


def is_due(current: Faults, name: str) -> bool:
    """Whether a ``next_...`` switch applies to this answer; if so, it counts down."""
    left: int = getattr(current, name)
    if left > 0:
        setattr(current, name, left - 1)
    return left > 0
