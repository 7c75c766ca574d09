"""The operations as routes, and the document that tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.errors import Busy
from app.flows.deps import Deps
from app.web.api import document
from app.web.api.answers import RunLink
from app.web.api.operation import Operation
from app.web.api.problems import JSON, Problem, problem_of
from app.web.api.reading import asked_by
from app.web.api.runs import link
from app.web.api.table import OPERATIONS
from app.web.webhooks import Limits

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Endpoint:
    """All operations of one path."""

    def __init__(self, deps: Deps, limits: Limits, operations: Sequence[Operation]) -> None:
        self._deps = deps
        self._limits = limits
        self._operations: Mapping[str, Operation] = {one.method: one for one in operations}

    def route(self) -> Route:
        """Where it is served."""
        path = next(iter(self._operations.values())).path
        return Route(path, self.answer, methods=list(self._operations))

    async def answer(self, request: Request) -> Response:
        """One request."""
        operation = self._operations["GET" if request.method == "HEAD" else request.method]
        try:
            connection = self._connection(request)
            asked = await asked_by(request, operation, self._limits)
            return await run_in_threadpool(self._carry_out, operation, connection, asked)
        except Exception as error:  # each has an answer; only what nobody foresaw is a 500
            return problem_of(error).response()

    def _connection(self, request: Request) -> str:
        connection: str = request.path_params["connection"]
        if connection not in self._deps.sources:
            there = ", ".join(sorted(self._deps.sources)) or "none"
            raise Problem(404, "unknown_connection", f"no connection of this name; there are {there}")
        return connection

    def _carry_out(self, operation: Operation, connection: str, asked: msgspec.Struct) -> Response:
        try:
            answer = operation.call(self._deps, connection, asked)
        except Busy as error:
            active = link(self._deps, connection, error.run_id)
            raise Problem(409, "busy", str(error), active, {"Location": active.href}) from None
        headers = {"Location": answer.href} if isinstance(answer, RunLink) else None
        return Response(_encode(answer), operation.status, headers, JSON)


def api_routes(deps: Deps, limits: Limits) -> list[Route]:
    """Every operation of the table, and ``/openapi.json``."""
    by_path = groupby(sorted(OPERATIONS, key=_path), key=_path)
    told = _encode(document.document(sorted(deps.sources)))

    async def openapi(request: Request) -> Response:
        return Response(told, media_type=JSON)

    return [Route("/openapi.json", openapi), *(Endpoint(deps, limits, list(group)).route() for _, group in by_path)]


def _path(operation: Operation) -> str:
    return operation.path
