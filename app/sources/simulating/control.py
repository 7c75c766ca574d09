"""A simulator's own endpoints under /_sim, and the application that has them beside the vendor's. Loopback only."""

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from app.domain.decoding import convert
from app.sources.simulating.account import Account
from app.sources.simulating.answers import Json, json_response, object_in
from app.sources.simulating.settings import active, switch

CHUNK = 2000  # rows
_Handler = Callable[[Request], Awaitable[Response]]


def application(account: Account, routes: Sequence[BaseRoute], **more: Any) -> Starlette:
    """The simulator as an ASGI application: a vendor's routes and the control endpoints; ``more`` is for Starlette."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with account.running():
            yield

    app = Starlette(routes=[*Control(account).routes(), *routes], lifespan=lifespan, **more)
    app.state.account = account
    return app


class Control:
    """Answers below /_sim."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        """The endpoints; they have no password, so others than this machine are refused."""
        return [
            Route("/_sim/truth/{kind}", _local(self._truth)),
            Route("/_sim/status", _local(self._status)),
            Route("/_sim/acknowledged", _local(self._acknowledged)),
            Route("/_sim/faults", _local(self._switch_faults), methods=["POST"]),
            Route("/_sim/changes", _local(self._make_changes), methods=["POST"]),
        ]

    async def _truth(self, request: Request) -> Response:
        truths = self._account.truths()
        rows = truths.get(request.path_params["kind"])
        if rows is None:
            return json_response({"error": f"no such kind; use one of: {', '.join(truths)}"}, 404)
        return StreamingResponse(_json_list(rows()), media_type="application/json")

    async def _status(self, request: Request) -> Response:
        return json_response(self._account.status())

    async def _acknowledged(self, request: Request) -> Response:
        return json_response(sorted(self._account.outbox.acknowledged))

    async def _switch_faults(self, request: Request) -> Response:
        options, switches = self._account.options, self._account.switches
        were_bad = options.bad_records
        switch(options, await object_in(request), switches)
        if were_bad and not options.bad_records:
            self._account.repair()
        return json_response(active(options, switches))

    async def _make_changes(self, request: Request) -> Response:
        wanted = convert(await object_in(request), _Wanted, strict=False)
        return json_response(self._account.happen(wanted.count, wanted.kinds))


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /_sim/changes``."""

    count: int = 1
    kinds: list[str] = []


def _local(handler: _Handler) -> _Handler:
    """A handler for loopback only; it answers 400 to a request that it cannot read or carry out."""

    async def guarded(request: Request) -> Response:
        if request.client is None or not _is_loopback(request.client.host):
            return json_response({"error": "only from this machine"}, 403)
        try:
            return await handler(request)
        except ValueError as error:
            return json_response({"error": str(error)}, 400)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "testclient")


def _json_list(rows: Iterable[Json]) -> Iterator[bytes]:
    """A JSON list in pieces, so that 600,000 rows need no memory."""
    left, opening = iter(rows), b"["
    while chunk := list(islice(left, CHUNK)):
        yield opening + b",".join(map(msgspec.json.encode, chunk))
        opening = b","
    yield b"]" if opening == b"," else b"[]"
