"""POST /webhooks/{connection}: verify the raw bytes, read them, commit them, and only then say 202."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from app.flows.deps import Deps
from app.flows.receive import Full, Intake
from app.sources.base import PayloadInvalid, SignatureInvalid
from app.stores.inbox import Arrival

COMMIT_TIMEOUT = 8.0
"""Seconds until a delivery that could not be committed is answered 503; vendors give up after 10."""

SECRET_WORDS = ("signature", "secret", "token", "authorization", "cookie", "key")

log = structlog.get_logger()


@dataclass(frozen=True)
class Limits:
    """What a delivery may be: ``body`` in bytes, ``seconds`` until its body must have arrived."""

    body: int = 1_048_576
    seconds: float = 8.0


class TooLarge(Exception):
    """The body is larger than the limit."""


class Webhooks:
    """The endpoint: 202 (committed, or a duplicate), 400, 401, 404, 408, 413 or 503; never 500 for a client's fault."""

    def __init__(self, deps: Deps, intake: Intake, limits: Limits) -> None:
        self._deps = deps
        self._intake = intake
        self._limits = limits

    async def receive(self, request: Request) -> Response:
        """One delivery."""
        connection = request.path_params["connection"]
        source = self._deps.sources.get(connection)
        if source is None or source.receiver is None:
            return _refuse(404, "unknown_connection", "no connection of this name takes webhooks here")
        try:
            body = await self._read(request)
        except TooLarge:
            return _refuse(413, "too_large", f"a delivery may have at most {self._limits.body} bytes")
        except TimeoutError:
            return _refuse(408, "too_slow", f"the body must arrive within {self._limits.seconds:g} s")
        except ClientDisconnect:
            return _refuse(400, "cut_short", "the sender went away before the body was complete")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw}
        now = self._deps.now()
        try:
            source.receiver.verify(headers, body, now)
            delivery = source.receiver.parse(headers, body)
        except SignatureInvalid as error:
            return _refuse(401, "bad_signature", str(error))
        except PayloadInvalid as error:
            return _refuse(400, "bad_payload", str(error))
        return await self._commit(Arrival(connection, delivery, kept(headers), body, now))

    async def _commit(self, arrival: Arrival) -> Response:
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT):
                await self._intake.offer(arrival)
        except Full:
            return _busy("more deliveries are waiting than can be written")
        except Exception as error:  # whatever kept the commit from happening: the sender must come back
            log.error(
                "delivery_not_committed", connection=arrival.connection, error=f"{type(error).__name__}: {error}"
            )
            return _busy("the delivery could not be written")
        return Response(status_code=202)

    async def _read(self, request: Request) -> bytes:
        declared = request.headers.get("content-length")
        if declared is not None and declared.isdigit() and int(declared) > self._limits.body:
            raise TooLarge
        chunks: list[bytes] = []
        size = 0
        async with asyncio.timeout(self._limits.seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > self._limits.body:
                    raise TooLarge
                chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def kept(headers: dict[str, str]) -> dict[str, str]:
    """The headers as received, without any that could carry a secret."""
    return {name: value for name, value in headers.items() if not any(word in name for word in SECRET_WORDS)}


def _refuse(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message, "details": None}}, status_code=status)


def _busy(message: str) -> Response:
    response = _refuse(503, "busy", message)
    response.headers["Retry-After"] = "2"
    return response
