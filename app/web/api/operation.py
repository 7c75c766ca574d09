"""An operation of the API: declared once, at its function; its route and its documentation come from there."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec

from app.domain import JsonObject, Role
from app.web.api.params import Params
from app.web.api.responses import Answer
from app.web.api.spelling import camel_word

F = TypeVar("F", bound=Callable[..., Any])

SYNC = "/api/sync-{connection}"
"""The path of operations about one connection."""

_CONVERTED = re.compile(r":\w+(?=\})")
_NAMED = re.compile(r"\{(\w+)\}")


class Parameter(NamedTuple):
    """A parameter of an operation: its name in Python, and the one that callers use; ``place`` is ``path`` or ``query``."""

    attribute: str
    name: str
    place: str
    type: Any
    default: Any = msgspec.NODEFAULT


@dataclass(frozen=True)
class Operation:
    """``call`` takes ``Deps`` (with the caller as ``principal``), what the path names (the connection first), and its
    params, if it has any; it runs in a thread. Its signature says the rest: the types of these and of its response.

    The params come from the query, or of a change from the body, unless it is ``in_query``. ``description`` says what the
    response is. ``errors`` are the statuses that it may answer beside those that follow from
    the rest. ``role`` is the least role that the caller needs: by default viewers may look
    and operators may change. A token that may not see the connection gets a 404. A ``heavy`` operation may read much: few
    are answered at once (``web.heavy``), and those that only look have a time limit.
    """

    method: str
    path: str
    call: Callable[..., Any]
    description: str
    status: int = 200
    errors: tuple[int, ...] = ()
    role: Role | None = None
    heavy: bool = False
    in_query: bool = False

    @property
    def least(self) -> Role:
        """The role that a caller needs at least."""
        return self.role or (Role.VIEWER if self.method == "GET" else Role.OPERATOR)

    @property
    def only_looks(self) -> bool:
        """Whether it changes nothing, so that it may be stopped at any moment."""
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
    def summary(self) -> str:
        """What it does: the sentence of the function."""
        return (self.call.__doc__ or "").removesuffix(".")

    @property
    def name(self) -> str:
        """A name for programs: that of the function."""
        return self.call.__name__.rstrip("_")

    @cached_property
    def _types(self) -> Mapping[str, type[Any]]:
        hints = get_type_hints(self.call, include_extras=True)
        return {name: type_ for name, type_ in hints.items() if name not in ("deps", "connection")}

    @property
    def response(self) -> Any:
        """The type of what is answered: an ``Answer``, or a row of the flows as a JSON object."""
        type_ = self._types["return"]
        return type_ if issubclass(type_, Answer) else JsonObject

    @property
    def params(self) -> type[msgspec.Struct]:
        """The type of the params; ``Params`` if there are none."""
        type_: type[msgspec.Struct] = self._types.get("params", Params)
        return type_

    @cached_property
    def in_body(self) -> bool:
        """Whether the params come in a body."""
        return self.method != "GET" and bool(self.params.__struct_fields__) and not self.in_query

    @property
    def statuses(self) -> set[int]:
        """The errors it may answer beside those of every operation."""
        of_body = {408, 413, 422} if self.in_body else set()
        return {*self.errors, *of_body, *({422} if self.heavy else ())}

    def in_path(self) -> set[str]:
        """The names that the path gives."""
        return set(_NAMED.findall(self.url))

    def of_path(self) -> list[Parameter]:
        """What the path names beside the connection, in the order in which ``call`` takes it."""
        names = {camel_word(name): name for name in self._types}
        return [
            Parameter(names[name], name, "path", self._types[names[name]]) for name in names if name in self.in_path()
        ]

    def of_query(self) -> list[Parameter]:
        """The params that come in the query."""
        fields = () if self.in_body else msgspec.structs.fields(self.params)
        return [Parameter(field.name, field.encode_name, "query", field.type, field.default) for field in fields]


class Operations(list[Operation]):
    """The operations of a module: ``@operations.get(path, description)`` above a function, and the like, declares one."""

    def get(self, path: str, description: str, **more: Any) -> Callable[[F], F]:
        """An operation that looks."""
        return self._declare("GET", path, description, **more)

    def post(self, path: str, description: str, **more: Any) -> Callable[[F], F]:
        """An operation that does something."""
        return self._declare("POST", path, description, **more)

    def put(self, path: str, description: str, **more: Any) -> Callable[[F], F]:
        """An operation that sets something."""
        return self._declare("PUT", path, description, **more)

    def delete(self, path: str, description: str, **more: Any) -> Callable[[F], F]:
        """An operation that removes something."""
        return self._declare("DELETE", path, description, **more)

    def _declare(self, method: str, path: str, description: str, **more: Any) -> Callable[[F], F]:
        def declared(call: F) -> F:
            self.append(Operation(method, path, call, description, **more))
            return call

        return declared
