"""POST /webhooks/{connection}: verify the raw bytes, read them, commit them, and only then answer 202.

Plain ASGI, without Starlette's request and response objects: this is the one endpoint where microseconds count.
"""

from dataclasses import dataclass
from functools import lru_cache

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import DatabaseFault
from app.flows.deps import Deps
from app.flows.inbox.receive import Arrival, Full, Intake, check_ids
from app.rules.access.redaction import REMOVED, carries_secret
from app.rules.inbox.arriving import sent_to
from app.sources.base import PayloadInvalid, SignatureInvalid
from app.web.problems import Problem
from app.web.timeout_group import TimeoutGroup

COMMIT_TIMEOUT = 8.0
"""Seconds until a delivery that could not be committed is answered 503; vendors give up after 10."""

PREFIX = "/webhooks/"

log = structlog.get_logger()


@dataclass(frozen=True)
class Limits:
    """What a delivery may be: ``body`` in bytes, ``seconds`` until its body must have arrived."""

    body: int = 1_048_576
    seconds: float = 8.0


class TooLarge(Exception):
    """The body is larger than the limit."""


class CutShort(Exception):
    """The sender went away before the body was complete."""


class Accepted(Response):
    """202 without a body, in as few steps as possible."""

    _START = {"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]}  # noqa: RUF012
    _BODY = {"type": "http.response.body", "body": b""}  # noqa: RUF012

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send(self._START)
        await send(self._BODY)


ACCEPTED = Accepted(status_code=202)


class Webhooks:
    """The endpoint: 202 (committed, or a duplicate), 400, 401, 404, 408, 413, 503; never 500 for a client's fault."""

    def __init__(self, deps: Deps, intake: Intake, limits: Limits) -> None:
        self._deps = deps
        self._intake = intake
        self._limits = limits
        self._reads = TimeoutGroup(limits.seconds)
        self._commits = TimeoutGroup(COMMIT_TIMEOUT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One delivery."""
        response = await self._answer(scope, receive)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        connection = scope["path"][len(PREFIX) :].removesuffix("/")
        source = self._deps.sources.get(connection)
        if source is None or source.receiver is None:
            return _refuse(404, "unknown_connection", "no connection of this name takes webhooks here")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            with self._reads:
                body = await read_body(headers.get("content-length", ""), receive, self._limits.body)
        except TooLarge:
            return _refuse(413, "too_large", f"a delivery may have at most {self._limits.body} bytes")
        except TimeoutError:
            return _refuse(408, "too_slow", f"the body must arrive within {self._limits.seconds:g} s")
        except CutShort:
            return _refuse(400, "cut_short", "the sender went away before the body was complete")
        now = self._deps.now()
        try:
            source.receiver.verify(headers, body, now)
            delivery = source.receiver.parse(headers, body)
            check_ids(delivery)
        except SignatureInvalid as error:
            where = sent_to(headers, scope["path"], scope.get("scheme", "http"))
            self._intake.refused.add(connection, headers, body, now, f"{error}; it came to {where}")
            return _refuse(401, "bad_signature", str(error))
        except PayloadInvalid as error:
            return _refuse(400, "bad_payload", str(error))
        return await self._commit(Arrival(connection, delivery, kept(headers), body, now))

    async def _commit(self, arrival: Arrival) -> Response:
        try:
            with self._commits:
                await self._intake.offer(arrival)
        except Full:
            return _busy("more deliveries are waiting than can be written")
        except DatabaseFault:
            return _busy("the database did not answer; the delivery was not written")
        except Exception as error:  # whatever prevented the commit: the sender must send again
            log.error(
                "delivery_not_committed", connection=arrival.connection, error=f"{type(error).__name__}: {error}"
            )
            return _busy("the delivery could not be written")
        return ACCEPTED


async def read_body(declared: str, receive: Receive, limit: int) -> bytes:
    """A body of at most ``limit`` bytes, whose length the sender has ``declared``; raises ``TooLarge`` or ``CutShort``."""
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
        raise TooLarge
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CutShort
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise TooLarge
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class WebhookMiddleware:
    """Middleware that takes deliveries before the router, because routing them would cost as much as verifying them."""

    def __init__(self, app: ASGIApp, webhooks: Webhooks) -> None:
        self._app = app
        self._webhooks = webhooks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass deliveries to the webhooks, everything else to the router."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
        elif scope["method"] != "POST":
            await _refuse(405, "method_not_allowed", "deliveries must be posted")(scope, receive, send)
        else:
            await self._webhooks(scope, receive, send)


def kept(headers: dict[str, str]) -> dict[str, str]:
    """The headers as received, without values that could be credentials."""
    return {name: REMOVED if _carries_secret(name) else value for name, value in headers.items()}


_carries_secret = lru_cache(maxsize=1024)(carries_secret)


def _refuse(status: int, code: str, message: str) -> Response:
    return Problem(status, code, message).response()


def _busy(message: str) -> Response:
    return Problem(503, "busy", message, headers={"Retry-After": "2"}).response()
