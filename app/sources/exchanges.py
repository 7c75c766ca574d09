"""The HTTP exchange behind a failure: the request and the answer, without secrets.

Each thread keeps references to its last exchange, so that a success costs next to nothing; only a failure makes it a
text. This module removes secrets in headers; whoever stores the texts removes those in bodies (``Deps.redact``).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from app.rules.access.redaction import safe_headers

LONGEST_BODY = 8_192
"""Characters of a body that are kept."""


@dataclass
class _Exchange:
    request: httpx.Request
    began: float
    response: httpx.Response | None = None
    ended: float = 0.0
    head: bytes | None = None


class _Thread(threading.local):
    last: _Exchange | None = None


_thread = _Thread()


def note_request(request: httpx.Request) -> None:
    """Note that a request goes out in this thread."""
    _thread.last = _Exchange(request, time.time())


def note_response(response: httpx.Response) -> None:
    """Note the answer to this thread's last request."""
    if _thread.last is not None:
        _thread.last.response, _thread.last.ended = response, time.time()


def note_chunk(chunk: bytes) -> None:
    """Keep the first bytes of an answer that goes to a file: they are all that one can show of a login page."""
    if _thread.last is not None and _thread.last.head is None:
        _thread.last.head = chunk[:LONGEST_BODY]


@contextmanager
def watched() -> Iterator[None]:
    """An error raised in the block gets the block's last exchange, if any, as its attribute ``exchange``: a mapping
    of JSON-ready values (see ``last_exchange``). An error that has one already keeps it."""
    _thread.last = None
    try:
        yield
    except Exception as error:
        if _thread.last is not None and getattr(error, "exchange", None) is None:
            error.exchange = last_exchange()
        raise


@contextmanager
def unwatched() -> Iterator[None]:
    """Requests in the block belong to no failure: the exchange before the block stays this thread's last one."""
    kept = _thread.last
    try:
        yield
    finally:
        _thread.last = kept


def last_exchange() -> dict[str, Any] | None:
    """This thread's last exchange: ``method``, ``url``, ``at`` (ISO 8601, UTC), ``ms``, ``request`` and ``response``
    (``headers``, ``body``, and for the response its ``status``; ``None`` when no answer came)."""
    last = _thread.last
    if last is None:
        return None
    request, response = last.request, last.response
    ended = last.ended if response is not None else time.time()
    return {
        "method": request.method,
        "url": str(request.url),
        "at": datetime.fromtimestamp(last.began, UTC).isoformat(),
        "ms": round((ended - last.began) * 1000),
        "request": {"headers": safe_headers(request.headers), "body": _body(request, None)},
        "response": None
        if response is None
        else {
            "status": response.status_code,
            "headers": safe_headers(response.headers),
            "body": _body(response, last.head),
        },
    }


def _body(message: httpx.Request | httpx.Response, head: bytes | None) -> str:
    try:
        content = message.content
    except (httpx.RequestNotRead, httpx.ResponseNotRead, httpx.StreamError):
        if head is None:
            return "(streamed, not kept)"
        return f"{head.decode(errors='replace')}… (streamed, its beginning)"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return f"({len(content)} bytes that are not text)"
    return text if len(text) <= LONGEST_BODY else f"{text[:LONGEST_BODY]}… ({len(content)} bytes in all)"
