"""The first questions of a person or a load balancer: is it alive, is it ready, what does it hold?"""

from dataclasses import replace

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from app.domain import Role
from app.flows.deps import Deps
from app.flows.reports.status import overview, readiness
from app.web.callers import principal_of, require_role
from app.web.heavy import HeavyReads


def health_routes(deps: Deps, heavy: HeavyReads) -> list[Route]:
    """``/healthz`` (the process answers), ``/readyz`` (it can do its work) and ``/`` (what it holds).

    Only known callers learn why it is not ready.
    """

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        report = await run_in_threadpool(readiness, deps)
        shown = msgspec.to_builtins(report) if principal_of(request) else {"ready": report.ready}
        if report.ready:
            return JSONResponse(shown)
        return JSONResponse(shown, 503, {"Retry-After": "5"})

    async def index(request: Request) -> Response:
        principal = require_role(request, Role.VIEWER)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/dead-letters", 303)
        held = await heavy.ask(request, replace(deps, principal=principal), overview)
        return JSONResponse(msgspec.to_builtins(held))

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/", index)]
