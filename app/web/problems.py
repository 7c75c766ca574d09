"""Errors as answers: ``{"error": {"code", "message", "details"}}`` with the matching status."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.errors import (
    Conflict,
    DatabaseFault,
    Forbidden,
    NotFound,
    Permanent,
    TakesTooLong,
    TallyhookError,
    Transient,
)
from app.flows.deps import DATABASE_ERRORS
from app.rules.filters import FilterError

JSON = "application/json"

CODES: Mapping[int, str] = {404: "not_found", 405: "method_not_allowed"}

STATUSES: Sequence[tuple[type[Exception], int, str]] = (
    (FilterError, 422, "bad_filter"),
    (TakesTooLong, 422, "takes_too_long"),  # no 503: asked again as it is, it only burdens the database again
    (NotFound, 404, "not_found"),
    (Conflict, 409, "conflict"),
    (Forbidden, 403, "forbidden"),
    (Permanent, 422, "refused"),
)
"""The status and code for each sort of error that repeating the request does not cure; the first match counts."""

log = structlog.get_logger()


class Error(msgspec.Struct):
    """What went wrong: ``code`` for programs, ``message`` for people, ``details`` with more."""

    code: str
    message: str
    details: Any = None


class Failure(msgspec.Struct):
    """The body of every answer that is an error."""

    error: Error


class Problem(Exception):
    """An answer that is an error."""

    def __init__(
        self, status: int, code: str, message: str, details: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = Error(code, message, details)
        self.headers = headers

    def response(self) -> Response:
        """The problem as JSON, with its status and headers."""
        content = msgspec.json.encode(Failure(self.error))
        return Response(content, self.status, self.headers, JSON)


def problem_of(error: Exception, redact: Callable[[str], str] = str) -> Problem:
    """The answer to any exception; only an unforeseen one is a 500, and is logged.

    ``redact`` removes secrets from messages: they may quote a vendor.
    """
    if isinstance(error, Problem):
        return error
    for sort, status, code in STATUSES:
        if isinstance(error, sort):
            return Problem(status, _code(error, code), redact(str(error)))
    if isinstance(error, DatabaseFault):  # the log has the database's own message
        return unavailable("the database did not answer; try again")
    if isinstance(error, Transient):
        return unavailable(redact(str(error)), error.retry_after)
    if isinstance(error, DATABASE_ERRORS):
        log.error("api_without_database", error=f"{type(error).__name__}: {error}")
        return unavailable("the database did not answer; try again")
    log.error("api_failed", exc_info=error)
    return Problem(500, "internal", "this is our fault; the log says more")


def _code(error: Exception, code: str) -> str:
    return f"unknown_{error.what}" if isinstance(error, NotFound) and error.what else code


def unavailable(message: str, retry_after: float | None = None) -> Problem:
    """503, with the time to come back."""
    return Problem(503, "unavailable", message, headers={"Retry-After": str(max(1, round(retry_after or 2)))})


def problem_handlers() -> dict[Any, Any]:
    """The handlers for unknown paths, wrong methods and our own faults."""

    async def not_served(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return _not_served(request, error).response()

    async def failed(request: Request, error: Exception) -> Response:
        return problem_of(error).response()

    return {HTTPException: not_served, Problem: failed, TallyhookError: failed, Exception: failed}


def _not_served(request: Request, error: HTTPException) -> Problem:
    messages = {
        404: f"nothing is served at {request.scope['path']}; /openapi.json lists what is",
        405: f"{request.method} is not served here; the methods are {(error.headers or {}).get('Allow', 'others')}",
    }
    message = messages.get(error.status_code, error.detail)
    return Problem(error.status_code, CODES.get(error.status_code, "refused"), message, headers=error.headers)
