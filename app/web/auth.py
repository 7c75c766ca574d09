"""Authentication: names the caller of every request except deliveries, and applies the limits.

Each operation decides what a caller may do (``callers.require_role``). The middleware decides that no unknown caller gets
in: a path that is not in ``PUBLIC_PATHS`` answers 401, whoever added it.
"""

import asyncio
import hmac
import time
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlsplit

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain import Principal, Role
from app.flows.access import sign_in
from app.flows.access.sign_in import SignedIn
from app.flows.deps import Deps
from app.rules.access.networks import network_of
from app.web.api.reading import body_of
from app.web.callers import CHALLENGE, unauthenticated
from app.web.problems import Problem, problem_of
from app.web.webhooks import Limits

SIGN_IN = "/login"
PUBLIC_PATHS = frozenset({"/healthz", "/readyz", SIGN_IN})
"""Paths that answer unknown callers; so does everything below ``/static/``."""

STATIC = "/static/"
MAX_URL_BYTES = 8_192
ANSWER_TIMEOUT = 30.0
"""Seconds that an answer may take."""

TOKEN_CACHE_SECONDS = 2.0
"""Seconds that a token check is cached; a revoked token works at most this much longer."""

FORGED = "this form did not come from one of our pages; load the page again and retry"

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORM = Limits(body=65_536, seconds=8.0)


@dataclass(frozen=True)
class AuthSettings:
    """How callers are authenticated and counted. Rates are requests per minute and per web process; ``https`` says whether
    the outside reaches us by https; ``form`` bounds what is posted to a page."""

    per_token: int = 600
    per_address: int = 1_200
    unknown_per_address: int = 120
    https: bool = False
    form: Limits = FORM

    @property
    def cookie(self) -> str:
        """The session cookie's name; the prefix makes browsers insist on https and on this very host (RFC 6265bis)."""
        return "__Host-tallyhook" if self.https else "tallyhook"

    @property
    def browser_cookie(self) -> str:
        """The name of the cookie by which a browser is recognised."""
        return f"{self.cookie}-browser"


def address_of(scope: Scope) -> str:
    """The caller's network address, from the socket or a trusted proxy."""
    client = scope.get("client")
    return client[0] if client else "unknown"


class NoAuthMiddleware:
    """Lets everybody in as an admin, for an installation that only this machine can reach."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the caller an admin."""
        if scope["type"] == "http":
            scope["principal"] = Principal("anyone here", Role.ADMIN, origin=address_of(scope))
            scope["csrf"] = ""
            try:
                await _read_form(Request(scope, receive), FORM)
            except Problem as problem:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


class AuthMiddleware:
    """Recognises callers by token or session; refuses unknown callers, too many requests, and forged forms."""

    def __init__(self, app: ASGIApp, deps: Deps, settings: AuthSettings) -> None:
        self._app = app
        self._deps = deps
        self._settings = settings
        self._tokens: dict[str, tuple[float, Principal | None]] = {}
        self._rates = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            refusal = await self._enter(request)
        except Exception as error:  # a Problem, or a database that does not answer
            refusal = problem_of(error, self._deps.redact).response()
        await (refusal or self._within)(scope, receive, send)

    async def _enter(self, request: Request) -> Response | None:
        """Name the caller; returns a refusal, or raises it."""
        scope = request.scope
        scope["principal"], scope["csrf"] = None, ""
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            raise Problem(414, "too_long", f"path and query may have at most {MAX_URL_BYTES} bytes")
        if scope["path"] == "/healthz" or scope["path"].startswith(STATIC):
            self._hit(self._settings.per_address, f"open {network_of(address_of(scope))}")
            return None
        session = await self._recognise(request)
        self._count(scope)
        await _read_form(request, self._settings.form)
        if scope["method"] not in SAFE:
            _check_site(request)
            if session is not None and scope["path"] != SIGN_IN:
                _check_forgery(request, session)
        if scope["principal"] is None and scope["path"] not in PUBLIC_PATHS:
            return self._refusal(request)
        return None

    async def _recognise(self, request: Request) -> SignedIn | None:
        """Name the caller in the scope; returns the session if it came with one."""
        scope, origin = request.scope, address_of(request.scope)
        given = request.headers.getlist("authorization")
        if given:
            kind, _, secret = given[0].partition(" ")
            principal = (
                await self._by_token(secret.strip(), origin) if kind.lower() == "bearer" and len(given) == 1 else None
            )
            if principal is None:
                self._count(scope)
                raise Problem(401, "bad_token", "the token is unknown, expired or revoked", headers=CHALLENGE)
            scope["principal"] = principal
            return None
        cookie = cookie_of(request, self._settings.cookie)
        if not cookie:
            return None
        session = await run_in_threadpool(sign_in.by_session, self._deps, cookie, origin)
        if session is not None:
            scope["principal"], scope["csrf"], scope["cookie"] = session.principal, session.csrf, cookie
        return session

    async def _by_token(self, secret: str, origin: str) -> Principal | None:
        now = time.monotonic()
        known = self._tokens.get(secret)
        if (
            known is not None
            and now - known[0] < TOKEN_CACHE_SECONDS
            and known[1] is not None
            and known[1].origin == origin
        ):
            return known[1]
        principal = await run_in_threadpool(sign_in.by_token, self._deps, secret, origin)
        if len(self._tokens) > 1_000:
            self._tokens.clear()
        if principal is not None:
            self._tokens[secret] = (now, principal)
        return principal

    def _count(self, scope: Scope) -> None:
        """Count a request of this token or session, and of this address; raises ``Problem`` 429 for too many."""
        principal, address = scope["principal"], network_of(address_of(scope))
        if principal is None:
            self._hit(self._settings.unknown_per_address, f"unknown {address}")
        else:
            self._hit(self._settings.per_token, f"caller {principal.name}")
            self._hit(self._settings.per_address, f"address {address}")

    def _hit(self, rate: int, key: str) -> None:
        window = RateLimitItemPerMinute(rate)
        if not self._rates.hit(window, key):
            wait = max(1, round(self._rates.get_window_stats(window, key).reset_time - time.time()))
            message = f"at most {rate} requests a minute"
            raise Problem(429, "too_many", message, headers={"Retry-After": str(wait)})

    def _refusal(self, request: Request) -> Response:
        """Redirect browsers to the sign-in page; answer everybody else with 401."""
        if (
            request.method == "GET"
            and "text/html" in request.headers.get("accept", "")
            and _is_page(request.scope["path"])
        ):
            back = request.scope["path"]
            return RedirectResponse(f"/login?next={quote(back, safe='/')}" if back != "/" else "/login", 303)
        return unauthenticated().response()

    async def _within(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer within ``ANSWER_TIMEOUT``, or with 503."""
        began = False

        async def noting(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self._app(scope, receive, noting)
        except TimeoutError:
            if not began:
                problem = Problem(
                    503, "too_slow", f"no answer within {ANSWER_TIMEOUT:g} s", headers={"Retry-After": "10"}
                )
                await problem.response()(scope, receive, send)


def _is_page(path: str) -> bool:
    """Whether people, rather than programs, open this path."""
    return not path.startswith(("/api/", "/metrics", "/openapi.json", "/readyz", "/healthz"))


def cookie_of(request: Request, name: str) -> str:
    """A cookie of the request; empty if there is none or the header is malformed."""
    try:
        jar = SimpleCookie(request.headers.get("cookie", "")[:4_096])
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


async def _read_form(request: Request, limits: Limits) -> None:
    """Put the fields of a form that is posted to a page into the scope as ``form``; raises ``Problem``."""
    if request.method in SAFE or not _is_page(request.scope["path"]):
        return
    body = await body_of(request, limits)
    try:
        request.scope["form"] = dict(
            parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100, errors="strict")
        )
    except ValueError:
        raise Problem(400, "bad_request", "the body must be a URL-encoded form in UTF-8") from None
    if any("\0" in text for text in request.scope["form"].values()):
        raise Problem(400, "bad_request", "a field may not contain NUL")  # not every database can keep it


def _check_site(request: Request) -> None:
    """Refuse a form that a browser sends from another site. Old browsers, and all browsers without https, name only the
    origin (Fetch standard, 3.1); a request that names neither does not come from a browser."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is not None:
        ours = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
        site = "same-origin" if ours else "cross-site"
    if site not in (None, "same-origin", "none"):
        raise Problem(403, "forged", FORGED)


def _check_forgery(request: Request, session: SignedIn) -> None:
    """Refuse a change without the session's own word: a browser sends its cookie whichever site causes the request."""
    form: dict[str, str] = request.scope.get("form", {})
    word = form.get("csrf", "") or request.headers.get("x-csrf", "")
    if not hmac.compare_digest(word.encode(), session.csrf.encode()):
        raise Problem(403, "forged", FORGED)
