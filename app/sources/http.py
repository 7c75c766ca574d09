"""The HTTP client vendors share: one connection pool per thread, budgets, a short retry, clear errors."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple
from urllib.request import getproxies, proxy_bypass

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_random_exponential

from app.errors import AuthRejected, BudgetSpent, RateLimited, Unavailable, Unmappable, VendorForbidden, VendorRefused
from app.rules.calls.lanes import current_lane
from app.sources import complaint, exchanges, texts
from app.sources.base import Context, Limit

LONGEST_WAIT = 900.0  # seconds; we do not wait longer, even if the vendor asks for it


class Bound(NamedTuple):
    """The largest size of an answer, decompressed, and the longest time for all of it."""

    bytes: int
    seconds: float


IN_MEMORY = Bound(64 << 20, 300.0)
IN_A_FILE = Bound(4 << 30, 3_600.0)

_OF_THE_WIRE = frozenset(("content-encoding", "content-length", "transfer-encoding"))


@lru_cache(maxsize=1)
def _ssl_context() -> ssl.SSLContext:
    """Shared: building one costs 16 to 100 ms, and there is a transport per thread."""
    return httpx.create_ssl_context()


class Http:
    """Blocking HTTP for one connection. Safe to share between threads; each thread has its own connections.

    ``timeout`` (seconds) covers each phase (connect, read, write); an answer that drips, or that swells when it is
    decompressed, ends at a ``Bound``. Redirects are never followed: a redirect to a login page must not look like
    data, and credentials must not travel to other hosts.
    """

    def __init__(
        self,
        context: Context,
        base_url: str,
        headers: Mapping[str, str],
        *,
        timeout: float = 30.0,
        in_memory: Bound = IN_MEMORY,
        in_a_file: Bound = IN_A_FILE,
    ) -> None:
        self._context = context
        self._base_url = base_url.rstrip("/")
        self._headers = {"user-agent": "tallyhook", "accept-encoding": "gzip, deflate", **headers}
        self._timeout = timeout
        self._bounds = in_memory, in_a_file
        self._local = threading.local()
        self._transports: list[httpx.BaseTransport] = []
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        """Requests that this thread has sent so far, retries included."""
        return getattr(self._local, "calls", 0)

    def request(
        self,
        method: str,
        path: str,
        *,
        limits: Sequence[Limit] = (),
        params: Mapping[str, str] | None = None,
        json: Any = None,
        timeout: float | None = None,
        wait_of: Callable[[httpx.Response], float | None] = lambda response: None,
        attempts: int = 3,
        into: BinaryIO | None = None,
    ) -> httpx.Response:
        """Send one request and return its 2xx or 404 answer with the body read.

        The body holds no character that a database could not hold (see ``texts``). With ``into`` a 2xx body is
        streamed there (from its start, again on a retry) instead of into memory; a body cut short is ``Unavailable``.

        Every try takes ``limits`` first, in this thread's lane (``rules.calls.lanes``). ``wait_of`` reads from a 429
        how many seconds the vendor wants us to wait. tenacity retries what passes by itself (at most ``attempts``
        tries within 10 s); the owed item handles longer waits. Raises ``Unavailable``, ``RateLimited``,
        ``BudgetSpent``, ``AuthRejected``, ``Forbidden``, ``VendorForbidden``, and ``Unmappable`` for an answer that is too
        large.
        """

        def attempt() -> httpx.Response:
            self._wait_for_budget(limits)
            request = self._build(method, path, params, json, timeout or self._timeout)
            return self._send(request, wait_of, into)

        return self._retrying(attempts)(attempt)

    def close(self) -> None:
        """Close every thread's connections."""
        with self._lock:
            for transport in self._transports:
                transport.close()
            self._transports.clear()
            self._local = threading.local()

    def warm(self) -> None:
        """Make this thread's transport now rather than at its first call."""
        self._transport()

    def _transport(self) -> httpx.BaseTransport:
        """This thread's transport. ``httpx.Client`` around it would add cookies and redirects that we do not want,
        and cost as much again as the call."""
        transport: httpx.BaseTransport | None = getattr(self._local, "transport", None)
        if transport is None:
            transport = self._context.transport() if self._context.transport else _network(self._base_url)
            self._local.transport = transport
            with self._lock:
                self._transports.append(transport)
        return transport

    def _retrying(self, attempts: int) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(Unavailable),
            stop=stop_after_attempt(attempts) | stop_after_delay(10),
            wait=wait_random_exponential(multiplier=0.2, max=3),
            sleep=self._context.sleep,
            reraise=True,
        )

    def _wait_for_budget(self, limits: Sequence[Limit]) -> None:
        waited = 0.0
        while (wait := self._context.budget.take(limits)) > 0:
            if waited + wait > self._context.patience:
                names = ", ".join(limit.name for limit in limits)
                lane = current_lane().word
                raise BudgetSpent(f"our own budget is used up for lane {lane} ({names})", retry_after=wait)
            self._context.sleep(wait)
            waited += wait

    def _build(
        self, method: str, path: str, params: Mapping[str, str] | None, json: Any, timeout: float
    ) -> httpx.Request:
        phases = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        return httpx.Request(
            method,
            self._base_url + path,
            params=params,
            headers=self._headers,
            json=json,
            extensions={"timeout": phases},
        )

    def _send(
        self,
        request: httpx.Request,
        wait_of: Callable[[httpx.Response], float | None],
        into: BinaryIO | None,
    ) -> httpx.Response:
        self._local.calls = self.calls + 1
        exchanges.note_request(request)
        try:
            response = self._transport().handle_request(request)
            response.request = request
            in_memory, in_a_file = self._bounds
            with closing(response):
                if into is None or not response.is_success:
                    response = _read(response, in_memory)
                else:
                    _stream(response, into, in_a_file)
            exchanges.note_response(response)
            return _readable(check(response, wait_of), into)
        except httpx.HTTPError as error:
            where = f"{request.method} {request.url.path}"
            raise Unavailable(f"{where}: {type(error).__name__}: {error}") from error


def _read(response: httpx.Response, bound: Bound) -> httpx.Response:
    """The same answer with its body."""
    return _with_body(response, b"".join(_bounded(response, bound)))


def _stream(response: httpx.Response, into: BinaryIO, bound: Bound) -> None:
    into.seek(0)
    into.truncate()
    for chunk in texts.cleaned(_watched(_bounded(response, bound))):
        into.write(chunk)
    into.flush()


def _bounded(response: httpx.Response, bound: Bound) -> Iterator[bytes]:
    """The decompressed body in chunks.

    Raises ``Unmappable`` where it is too large, because another try would not help, and ``Unavailable`` where it
    takes too long.
    """
    where = f"{response.request.method} {response.request.url.path}"
    encoding = response.headers.get("content-encoding", "")
    if "," in encoding:  # each would expand the output of the one before
        raise Unmappable(f"{where}: the answer is encoded as {encoding!r}; gzip or deflate was asked for")
    size, end = 0, time.monotonic() + bound.seconds
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > bound.bytes:
            raise Unmappable(f"{where}: the answer is larger than {bound.bytes:,} bytes")
        if time.monotonic() > end:
            raise Unavailable(
                f"{where}: the answer was not complete after {bound.seconds:g} s ({size:,} bytes received)"
            )
        yield chunk


def _watched(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        exchanges.note_chunk(chunk)
        yield chunk


def _readable(response: httpx.Response, into: BinaryIO | None) -> httpx.Response:
    """The same answer with a clean body; a streamed one is clean already."""
    if into is not None and response.is_success:
        return response
    body = texts.clean(response.content)
    if body is response.content:
        return response
    return _with_body(response, body)


def _with_body(response: httpx.Response, body: bytes) -> httpx.Response:
    headers = [pair for pair in response.headers.multi_items() if pair[0] not in _OF_THE_WIRE]
    return httpx.Response(
        response.status_code, headers=headers, content=body, request=response.request, extensions=response.extensions
    )


def _network(base_url: str) -> httpx.HTTPTransport:
    """The real network, through the proxy that the environment names, if any (``HTTPS_PROXY``, ``NO_PROXY``)."""
    url = httpx.URL(base_url)
    proxy = None if proxy_bypass(url.host) else getproxies().get(url.scheme)
    return httpx.HTTPTransport(
        verify=_ssl_context(), proxy=proxy, limits=httpx.Limits(max_connections=4, max_keepalive_connections=2)
    )


def check(response: httpx.Response, wait_of: Callable[[httpx.Response], float | None]) -> httpx.Response:
    """Raise the error for a status code, with the vendor's own words; 2xx and 404 pass."""
    status = response.status_code
    if 200 <= status < 300 or status == 404:
        return response
    where = f"{response.request.method} {response.request.url.path}: {status}"
    if status == 429:
        wait = wait_of(response)
        raise RateLimited(f"{where} too many requests", retry_after=None if wait is None else min(wait, LONGEST_WAIT))
    said = complaint.words(texts.clean(response.content))
    if status == 401:
        raise AuthRejected(f"{where}, the credentials were refused{_quoted(said)}")
    if status == 403:
        raise VendorForbidden(f"{where}, the credentials may not do this{_quoted(said)}")
    if status in (408, 425) or status >= 500:
        raise Unavailable(f"{where} {response.reason_phrase}")
    if 300 <= status < 400:
        raise AuthRejected(f"{where}, a redirect (to a login page?) instead of data")
    raise VendorRefused(f"{where} {texts.clean(response.content).decode(errors='replace')[:300]!r}")


def _quoted(said: str) -> str:
    return f": {said}" if said else ""
