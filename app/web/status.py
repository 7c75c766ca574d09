"""What a person or a load balancer asks first: is it alive, is it ready, what does it hold?"""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.flows.deps import Deps
from app.flows.status import overview, readiness


def health_routes(deps: Deps) -> list[Route]:
    """``/healthz`` (the process answers), ``/readyz`` (it can do its work) and ``/`` (what it holds)."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        report: dict[str, Any] = await run_in_threadpool(readiness, deps)
        return JSONResponse(report, status_code=200 if report["ready"] else 503)

    async def index(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(overview, deps))

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/", index)]
