"""The simulator's own endpoints under /_sim: truth, status, faults and changes on demand, for this machine only."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.finale.simulator import settings, truth
from app.sources.finale.simulator.account import Account
from app.sources.finale.simulator.answers import said
from app.sources.finale.simulator.records import Done

_Handler = Callable[[Request], Awaitable[Response]]


def routes(account: Account) -> list[Route]:
    """``GET truth/{kind}``, ``GET status``, ``GET acknowledged``, ``POST faults``, ``POST changes``."""

    async def tell_truth(request: Request) -> Response:
        kind = request.path_params["kind"]
        try:
            return said(truth.rows(account.world, kind))
        except KeyError:
            return said({"error": f"no kind {kind!r}"}, 404)

    async def tell_status(request: Request) -> Response:
        return said(account.status())

    async def tell_acknowledged(request: Request) -> Response:
        return said(sorted(account.bridge.acknowledged))

    async def switch_faults(request: Request) -> Response:
        try:
            settings.merge(account.options, await _object(request))
        except ValueError as error:
            return said({"error": str(error)}, 400)
        return said(settings.active(account.options))

    async def make_changes(request: Request) -> Response:
        try:
            wanted = await _object(request)
            if unknown := wanted.keys() - {"count", "kinds"}:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
            done = [
                each for _ in range(int(wanted.get("count", 1))) for each in account.happen(wanted.get("kinds") or ())
            ]
        except (TypeError, ValueError) as error:
            return said({"error": str(error)}, 400)
        return said([_spelled(each) for each in done])

    return [
        Route("/_sim/truth/{kind}", _local(tell_truth)),
        Route("/_sim/status", _local(tell_status)),
        Route("/_sim/acknowledged", _local(tell_acknowledged)),
        Route("/_sim/faults", _local(switch_faults), methods=["POST"]),
        Route("/_sim/changes", _local(make_changes), methods=["POST"]),
    ]


def _local(handler: _Handler) -> _Handler:
    """Only for loopback: these endpoints have no password."""

    async def guarded(request: Request) -> Response:
        if request.client is None or not _is_loopback(request.client.host):
            return said({"error": "only from this machine"}, 403)
        return await handler(request)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "testclient")


async def _object(request: Request) -> dict[str, Any]:
    body = await request.body()
    found = json.loads(body) if body else {}
    if not isinstance(found, dict):
        raise ValueError("the body must be a JSON object")
    return found


def _spelled(done: Done) -> dict[str, str]:
    return {"kind": done.kind, "external_id": done.external_id, "what": done.what}
