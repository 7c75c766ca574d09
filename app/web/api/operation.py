"""What an operation of the API is: one row of the table that routes and documentation come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from app.flows.deps import Deps
from app.web.api.asked import Asked

_CONVERTED = re.compile(r":\w+(?=\})")
_NAMED = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Operation:
    """``call`` is given the connection and an ``asks``, and gives an ``answers``; it runs in a thread.

    Fields of ``asks`` that the path names come from there, the others from the query, or all from the body.
    ``errors`` are the statuses it may answer beside those that every operation may.
    """

    method: str
    path: str
    summary: str
    call: Callable[[Deps, str, Any], Any]
    answers: Any
    says: str
    asks: type[msgspec.Struct] = Asked
    in_body: bool = False
    status: int = 200
    errors: tuple[int, ...] = ()

    @property
    def url(self) -> str:
        """The path as OpenAPI spells it."""
        return _CONVERTED.sub("", self.path)

    @property
    def name(self) -> str:
        """A name for programs, from what the operation does."""
        return self.call.__name__.rstrip("_")

    def in_path(self) -> set[str]:
        """The names that the path gives."""
        return set(_NAMED.findall(self.url))

    def parameters(self) -> Iterator[tuple[str, str, msgspec.structs.FieldInfo]]:
        """Name, place (``path`` or ``query``) and field of each parameter."""
        for field in () if self.in_body else msgspec.structs.fields(self.asks):
            yield field.encode_name, "path" if field.encode_name in self.in_path() else "query", field
