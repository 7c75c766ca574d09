"""Composes the web process: routes, authentication in front of them, the start and stop of the intake."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from app.flows.deps import Deps
from app.flows.inbox.receive import Intake
from app.flows.upkeep.heartbeat import HeartbeatThread
from app.web.api import api_routes
from app.web.auth import AuthMiddleware, AuthSettings, NoAuthMiddleware
from app.web.heavy import HeavyLimits, HeavyReads
from app.web.pages import page_routes
from app.web.problems import problem_handlers
from app.web.prometheus import metrics_routes
from app.web.render import STATIC
from app.web.security_headers import SecurityHeadersMiddleware
from app.web.status import health_routes
from app.web.webhooks import Limits, WebhookMiddleware, Webhooks


class Number(IntegerConvertor):
    """``{id:int}`` in a path: no longer than a row's number, because Python refuses to read thousands of digits."""

    regex = "[0-9]{1,19}"


register_url_convertor("int", Number())


def create_app(
    deps: Deps,
    limits: Limits,
    auth: AuthSettings | None = None,
    heavy_limits: HeavyLimits = HeavyLimits(),  # noqa: B008 - a frozen value
) -> Starlette:
    """The ASGI application of one web process. Without ``auth`` it lets in everybody who reaches it."""
    intake, heartbeat = Intake(deps), HeartbeatThread(deps, "web")
    webhooks, heavy = Webhooks(deps, intake, limits), HeavyReads(heavy_limits)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        intake.start()
        heartbeat.start()
        gc.collect()
        gc.freeze()  # a full collection over 300,000 imported objects costs 20 to 40 ms of tail latency
        gc.set_threshold(50_000, 20, 20)
        # Lets the writer thread run soon although the loop is busy: a tenth more events.
        sys.setswitchinterval(0.0005)
        try:
            yield
        finally:
            intake.stop()
            heartbeat.stop()  # last: it records that nothing more is written

    authentication = (
        Middleware(NoAuthMiddleware) if auth is None else Middleware(AuthMiddleware, deps=deps, settings=auth)
    )
    app = Starlette(
        routes=[
            *health_routes(deps, heavy),
            *metrics_routes(deps, heavy),
            *api_routes(deps, limits, heavy),
            *page_routes(deps, auth, heavy),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(WebhookMiddleware, webhooks=webhooks),
            Middleware(SecurityHeadersMiddleware, https=auth is not None and auth.https),
            authentication,
        ],
        exception_handlers=problem_handlers(),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a path is served or it is not; no redirect is built from a Host header
    return app
