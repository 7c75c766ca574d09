"""An operation of the API: declared once, at its function; its route and its documentation come from there."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, get_type_hints

import msgspec

from app.domain import Role

F = TypeVar("F", bound=Callable[..., Any])

SYNC = "/api/sync-{connection}"
"""The path of operations about one connection."""

_CONVERTED = re.compile(r":\w+(?=\})")
_NAMED = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Operation:
    """``call`` takes ``Deps`` (with the caller as ``principal``), the connection if the path names one, and its params; it
    runs in a thread. Its signature says the rest: the types of its params and of its response.

    Fields of the params that the path names come from the path, the others from the query, or of a change from the body.
    If there is a body and the path names something, ``call`` takes the params of the path before those of the body.
    ``description`` says what the response is. ``errors`` are the statuses that it may answer beside those that follow from
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
    def _types(self) -> dict[str, Any]:
        hints = get_type_hints(self.call, include_extras=True)
        return {name: type_ for name, type_ in hints.items() if name not in ("deps", "connection")}

    @property
    def response(self) -> Any:
        """The type of what ``call`` returns."""
        return self._types["return"]

    @property
    def params(self) -> type[msgspec.Struct]:
        """The type of the last argument of ``call``."""
        type_: type[msgspec.Struct] = list(self._types.values())[-2]
        return type_

    @property
    def path_params(self) -> type[msgspec.Struct] | None:
        """The type of what the path names, where the last argument is the body."""
        return next(iter(self._types.values())) if len(self._types) > 2 else None

    @cached_property
    def in_body(self) -> bool:
        """Whether the params come in a body: those of a change, unless the path names one of them."""
        names = {field.encode_name for field in msgspec.structs.fields(self.params)}
        return self.method != "GET" and bool(names) and not names & self.in_path()

    @property
    def statuses(self) -> set[int]:
        """The errors it may answer beside those of every operation."""
        of_body = {408, 413, 422} if self.in_body else set()
        return {*self.errors, *of_body, *({422} if self.heavy else ())}

    def in_path(self) -> set[str]:
        """The names that the path gives."""
        return set(_NAMED.findall(self.url))

    def parameters(self) -> Iterator[tuple[str, str, msgspec.structs.FieldInfo]]:
        """Name, place (``path`` or ``query``) and field of each parameter."""
        type_ = self.path_params if self.in_body else self.params
        for field in () if type_ is None else msgspec.structs.fields(type_):
            yield field.encode_name, "path" if field.encode_name in self.in_path() else "query", field


class Operations(list[Operation]):
    """The operations of a module: ``@operations.get(path, description)`` above a function, and the like, declares one."""

    def get(self, path: str, description: str, **more: Any) -> Callable[[F], F]:
        """An operation that only shows something."""
        return self._declare("GET", path, description, more)

    def post(self, path: str, description: str, **more: Any) -> Callable[[F], F]:
        """An operation that does something."""
        return self._declare("POST", path, description, more)

    def put(self, path: str, description: str, **more: Any) -> Callable[[F], F]:
        """An operation that sets something."""
        return self._declare("PUT", path, description, more)

    def _declare(self, method: str, path: str, description: str, more: dict[str, Any]) -> Callable[[F], F]:
        def declared(call: F) -> F:
            self.append(Operation(method, path, call, description, **more))
            return call

        return declared
