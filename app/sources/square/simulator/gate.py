"""The first stage of every simulated call: the token, the rate, the faults; it also completes every answer."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.domain.decoding import decode
from app.sources.simulating.answers import body_of, json_response
from app.sources.simulating.bad_records import with_bad_fields
from app.sources.simulating.settings import is_due
from app.sources.square.simulator.answers import ApiError
from app.sources.square.simulator.scopes import is_granted
from app.sources.square.simulator.strict import LATEST_VERSION, version_of
from app.sources.square.simulator.world import World

Next = Callable[[Request], Awaitable[Response]]
PATHS = {
    **dict.fromkeys(("product", "category"), "/v2/catalog"),
    **{"stock": "/v2/inventory", "order": "/v2/orders", "location": "/v2/locations", "vendor": "/v2/vendors"},
}
"""Where each kind of record is read."""

MISSING_PERMISSION = "The merchant has not given your application sufficient permissions to do that."
OAUTH = "Webhook subscriptions are owned by the application: use its personal access token."


class Gate(BaseHTTPMiddleware):
    """Guards /v2; the control endpoints below /_sim pass freely."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        super().__init__(app)
        self._world = world
        self._recent: deque[float] = deque()

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        """Let a call through or answer it with a fault."""
        if not request.url.path.startswith("/v2"):
            return await call_next(request)
        self._world.requests[_name(request.url.path)] += 1
        await asyncio.sleep(self._world.options.latency)
        try:
            response = self._fault() or self._refusal(request) or await call_next(request)
        except ApiError as error:
            response = error.response()
        if self._world.options.bad_records and response.status_code == 200:
            response = await self._with_bad_records(response)
        if is_due(self._world.options, "next_truncated"):
            response = await _truncated(response)
        response.headers["square-version"] = request.headers.get("square-version", LATEST_VERSION)
        self._world.answers[response.status_code] += 1
        return response

    def _refusal(self, request: Request) -> Response | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        faults = self._world.options
        if faults.expired_token:
            return _error(401, "AUTHENTICATION_ERROR", "ACCESS_TOKEN_EXPIRED", "The access token has expired.")
        if token != faults.access_token:
            return _error(401, "AUTHENTICATION_ERROR", "UNAUTHORIZED", "This request could not be authorized.")
        if faults.forbidden and request.url.path.startswith(PATHS[faults.forbidden]):
            return _error(403, "AUTHENTICATION_ERROR", "INSUFFICIENT_SCOPES", MISSING_PERMISSION)
        if not is_granted(faults.scopes, request.method, request.url.path):
            return _error(403, "AUTHENTICATION_ERROR", "INSUFFICIENT_SCOPES", MISSING_PERMISSION)
        if faults.oauth_token and request.url.path.startswith("/v2/webhooks"):
            return _error(403, "AUTHENTICATION_ERROR", "FORBIDDEN", OAUTH)
        version_of(request)
        return self._limited()

    def _limited(self) -> Response | None:
        """A 429 for too many calls in the last second; refused calls count too."""
        rate, now = self._world.options.rate_per_second, time.monotonic()
        if rate <= 0:
            return None
        while self._recent and self._recent[0] < now - 1:
            self._recent.popleft()
        self._recent.append(now)
        return self._too_many() if len(self._recent) > rate else None

    def _too_many(self) -> Response:
        response = _error(
            429, "RATE_LIMIT_ERROR", "RATE_LIMITED", "This request was rate limited. Please retry later."
        )
        if self._world.options.retry_after:
            response.headers["retry-after"] = str(int(self._world.options.retry_after))
        return response

    def _fault(self) -> Response | None:
        if is_due(self._world.options, "next_429"):
            return self._too_many()
        return next((fault() for name, fault in _FAULTS.items() if is_due(self._world.options, name)), None)

    async def _with_bad_records(self, response: Response) -> Response:
        options, body = self._world.options, await body_of(response)
        try:
            document = decode(body, dict[str, Any])
        except msgspec.DecodeError:
            return Response(body, response.status_code, media_type=response.media_type)
        return json_response(with_bad_fields(document, options.bad_records, options.seed))


def _error(status: int, category: str, code: str, detail: str) -> Response:
    return ApiError(status, category, code, detail).response()


_FAULTS: dict[str, Callable[[], Response]] = {
    "next_500": lambda: _error(500, "API_ERROR", "INTERNAL_SERVER_ERROR", "An internal error has occurred."),
    "next_503": lambda: _error(503, "API_ERROR", "SERVICE_UNAVAILABLE", "The service is unavailable."),
    "next_html": lambda: Response("<html><body>Sign in to Square</body></html>", media_type="text/html"),
    "next_errors_in_200": lambda: _error(
        200, "API_ERROR", "INTERNAL_SERVER_ERROR", "An internal error has occurred."
    ),
}


async def _truncated(response: Response) -> Response:
    """Half of a body with a matching length, as from a proxy that gave up."""
    body = await body_of(response)
    return Response(body[: len(body) // 2], response.status_code, media_type="application/json")


def _name(path: str) -> str:
    """The path without ids."""
    return "/".join("{id}" if any(map(str.isdigit, part)) and part != "v2" else part for part in path.split("/"))
