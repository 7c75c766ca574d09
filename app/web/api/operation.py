"""An operation of the API: one row of the table that routes and documentation come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from app.domain import Role
from app.web.api.asked import Asked

_CONVERTED = re.compile(r":\w+(?=\})")
_NAMED = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Operation:
    """``call`` takes ``Deps`` (with the caller as ``who``), the connection if the path names one, and an ``asks``; it
    returns an ``answers``, and runs in a thread. ``role`` is the least role that the caller needs: by default viewers may
    look and operators may change. A token that may not see the connection gets a 404.

    Fields of ``asks`` that the path names come from the path, the others from the query, or all from the body. If there
    is a body and the path names something, ``of`` is the type of what the path names; ``call`` takes it before ``asks``.
    ``errors`` are the statuses that it may answer beside those of every operation.
    A ``heavy`` operation may read much: few are answered at once (``web.heavy``), and those that only look have a time
    limit.
    """

    method: str
    path: str
    summary: str
    call: Callable[..., Any]
    answers: Any
    says: str
    asks: type[msgspec.Struct] = Asked
    in_body: bool = False
    status: int = 200
    errors: tuple[int, ...] = ()
    role: Role | None = None
    of: type[msgspec.Struct] | None = None
    heavy: bool = False

    @property
    def least(self) -> Role:
        """The role that a caller needs at least."""
        return self.role or (Role.VIEWER if self.method == "GET" else Role.OPERATOR)

    @property
    def only_looks(self) -> bool:
        """Whether it changes nothing, so that it may be ended at any moment."""
        return self.method == "GET" or self.path.endswith("/preview")

    @property
    def of_connection(self) -> bool:
        """Whether it is about one connection, which its path names."""
        return "connection" in self.in_path()

    @property
    def url(self) -> str:
        """The path as OpenAPI spells it."""
        return _CONVERTED.sub("", self.path)

    @property
    def name(self) -> str:
        """A name for programs: that of the function."""
        return self.call.__name__.rstrip("_")

    def in_path(self) -> set[str]:
        """The names that the path gives."""
        return set(_NAMED.findall(self.url))

    def parameters(self) -> Iterator[tuple[str, str, msgspec.structs.FieldInfo]]:
        """Name, place (``path`` or ``query``) and field of each parameter."""
        of = self.of if self.in_body else self.asks
        for field in () if of is None else msgspec.structs.fields(of):
            yield field.encode_name, "path" if field.encode_name in self.in_path() else "query", field
