"""Spells the names of fields as the API does: ``failed_at`` inside is ``failedAt`` outside."""

from collections.abc import Mapping
from typing import Any

import msgspec

from app.web.api.responses import Answer

THEIRS = frozenset({"fields", "failed_items", "headers", "options"})
"""Objects whose keys are data (columns, categories, headers), not names of ours."""


def spelled(answer: Any) -> Any:
    """An ``Answer``, a row of the flows (a struct or named tuple) or a list of such, with all names as the API has them."""
    if isinstance(answer, Answer):
        fields = zip(answer.__struct_encode_fields__, answer.__struct_fields__, strict=True)
        return {name: spelled(getattr(answer, field)) for name, field in fields}
    if isinstance(answer, msgspec.Struct):
        return _renamed(msgspec.to_builtins(answer))
    if hasattr(answer, "_asdict"):
        return _renamed(answer._asdict())
    return [spelled(each) for each in answer] if isinstance(answer, list | tuple) else _renamed(answer)


def _renamed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {camel_word(name): part if name in THEIRS else _renamed(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_renamed(part) for part in value]
    return value


def camel_word(name: str) -> str:
    """A name as the API spells it."""
    first, *others = str(name).split("_")
    return first + "".join(part.capitalize() for part in others)
