"""Spells the names of fields as the API does: ``failed_at`` inside is ``failedAt`` outside."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from app.domain import JsonObject

THEIRS = frozenset({"fields", "failed_items", "headers", "options"})
"""Objects whose keys are data (columns, categories, headers), not names of ours."""


def camel(value: Any) -> JsonObject:
    """A row (a struct, a named tuple or a mapping) as an object with its keys in camel case, at any depth."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value)
    return dict(_spelled(value._asdict() if hasattr(value, "_asdict") else value))


def camel_rows(values: Iterable[Any]) -> list[JsonObject]:
    """Each row as ``camel`` spells it."""
    return [camel(value) for value in values]


def _spelled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {camel_word(name): part if name in THEIRS else _spelled(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_spelled(part) for part in value]
    return value


def camel_word(name: str) -> str:
    """A name as the API spells it."""
    first, *others = str(name).split("_")
    return first + "".join(part.capitalize() for part in others)
