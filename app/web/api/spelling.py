"""Spells the names of fields as the API does: ``failed_at`` inside is ``failedAt`` outside."""

from collections.abc import Mapping
from typing import Any, TypeVar

THEIRS = frozenset({"fields", "failed_items", "options"})
"""Objects whose keys are data (columns, categories), not names of ours."""


T = TypeVar("T")


def camel(value: T) -> T:
    """The value with its objects' keys in camel case, at any depth."""
    spelled: T = _spelled(value)
    return spelled


def _spelled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_word(name): part if name in THEIRS else _spelled(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_spelled(part) for part in value]
    return value


def _word(name: str) -> str:
    first, *others = str(name).split("_")
    return first + "".join(part.capitalize() for part in others)
