"""Serves the operations as routes, and the document that describes them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import groupby
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.domain import Role
from app.errors import Busy, NotFound
from app.flows.deps import Deps, can_see, visible_connections
from app.web.api import document
from app.web.api.operation import Operation
from app.web.api.operations import OPERATIONS
from app.web.api.reading import arguments_of
from app.web.api.runs import link
from app.web.api.spelling import spelled
from app.web.callers import require_role
from app.web.heavy import HeavyReads
from app.web.problems import JSON, Problem, problem_of
from app.web.webhooks import Limits

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Endpoint:
    """All operations of one path."""

    def __init__(self, deps: Deps, limits: Limits, heavy: HeavyReads, operations: Sequence[Operation]) -> None:
        self._deps = deps
        self._limits = limits
        self._heavy = heavy
        self._operations: Mapping[str, Operation] = {one.method: one for one in operations}

    def route(self) -> Route:
        """The route that serves it."""
        path = next(iter(self._operations.values())).path
        return Route(path, self.answer, methods=list(self._operations))

    async def answer(self, request: Request) -> Response:
        """One request."""
        operation = self._operations["GET" if request.method == "HEAD" else request.method]
        try:
            deps = replace(self._deps, principal=require_role(request, operation.least))
            about = (_connection(deps, request),) if operation.of_connection else ()
            arguments = await arguments_of(request, operation, self._limits)
            work = partial(_carry_out, operation, about, arguments)
            if not operation.heavy:
                return await run_in_threadpool(work, deps)
            return await (
                self._heavy.ask(request, deps, work) if operation.only_looks else self._heavy.change(deps, work)
            )
        except Exception as error:  # each has an answer; only an unforeseen one is a 500
            return problem_of(error, self._deps.redact).response()


def _connection(deps: Deps, request: Request) -> str:
    connection: str = request.path_params["connection"]
    if not can_see(deps, connection):
        there = ", ".join(visible_connections(deps)) or "none"
        raise NotFound(f"no connection of this name; use one of: {there}", "connection")
    return connection


def _carry_out(operation: Operation, about: tuple[str, ...], arguments: tuple[Any, ...], deps: Deps) -> Response:
    try:
        answer = operation.call(deps, *about, *arguments)
    except Busy as error:  # only operations of a connection start runs
        active = link(deps, about[0], error.run_id)
        raise Problem(409, "busy", str(error), spelled(active), {"Location": active.href}) from None
    href = getattr(answer, "href", None)
    return Response(_encode(spelled(answer)), operation.status, {"Location": href} if href else None, JSON)


def api_routes(deps: Deps, limits: Limits, heavy: HeavyReads) -> list[Route]:
    """Every operation, and ``/openapi.json``, which shows callers what they may use."""
    by_path = groupby(sorted(OPERATIONS, key=_order), key=_path)

    @lru_cache(maxsize=32)
    def written(connections: tuple[str, ...], role: Role) -> bytes:
        return _encode(document.document(connections, role))

    async def openapi(request: Request) -> Response:
        principal = require_role(request, Role.VIEWER)
        return Response(
            written(tuple(visible_connections(replace(deps, principal=principal))), principal.role), media_type=JSON
        )

    return [
        Route("/openapi.json", openapi),
        *(Endpoint(deps, limits, heavy, list(group)).route() for _, group in by_path),
    ]


def _path(operation: Operation) -> str:
    return operation.path


def _order(operation: Operation) -> tuple[bool, str]:
    """Fixed words before parameters: ``/x/groups`` must not be taken for an ``/x/{id}``."""
    return "{" in operation.path.rpartition("/")[2], operation.path
