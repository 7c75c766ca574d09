"""Signing in and out: ``/login`` and ``/logout``."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.flows.access import sign_in
from app.flows.access.accounts import PREFIX
from app.flows.access.sign_in import LONGEST_SESSION, SignedIn
from app.flows.access.sign_in_places import KNOWN_FOR
from app.flows.deps import Deps
from app.web.auth import AuthSettings, address_of, cookie_of
from app.web.problems import Problem
from app.web.render import render

FIRST = "/dead-letters"
"""The page that people see first."""

MAX_CONCURRENT = 2
"""How many sign-ins are worked on at the same time: a password costs 64 MiB and a tenth of a second of a core, and a
stranger may send many."""

MAX_WAITING = 20


REFUSED = (
    "Sign-in failed: wrong name, password or token. After five wrong passwords from one address, that address has to"
    " wait before it can try the name again: first a minute, then longer."
)


def sign_in_routes(deps: Deps, auth: AuthSettings | None) -> list[Route]:
    """The routes of both; without ``auth`` everybody is signed in already."""

    turns = CapacityLimiter(MAX_CONCURRENT)
    here = 0  # counted by ourselves: who has asked the limiter for a turn does not count as waiting at once

    async def form(request: Request) -> Response:
        return render(request, "sign_in.html", next=_local(request.query_params.get("next", "")), refused=None)

    async def enter(request: Request) -> Response:
        given = request.scope.get("form", {})
        back = _local(given.get("next", ""))
        browser = "" if auth is None else cookie_of(request, auth.browser_cookie)
        session = await _in_turn(partial(_sign_in, deps, given, address_of(request.scope), browser))
        if session is None:
            return render(request, "sign_in.html", 401, next=back, refused=REFUSED)
        response = RedirectResponse(back or FIRST, 303)
        if auth is not None:
            if before := request.scope.get("cookie"):
                await run_in_threadpool(sign_in.sign_out, deps, before)
            _set(response, auth, auth.cookie, session.cookie, LONGEST_SESSION)
            if session.browser:
                _set(response, auth, auth.browser_cookie, session.browser, KNOWN_FOR)
        return response

    async def _in_turn(work: Callable[[], SignedIn | None]) -> SignedIn | None:
        nonlocal here
        if here >= MAX_CONCURRENT + MAX_WAITING:
            raise Problem(503, "busy", "too many are signing in; try again shortly", headers={"Retry-After": "5"})
        here += 1
        try:
            return await to_thread.run_sync(work, limiter=turns)
        finally:
            here -= 1

    async def leave(request: Request) -> Response:
        cookie = request.scope.get("cookie")
        response = RedirectResponse("/login", 303)
        if cookie and auth is not None:
            await run_in_threadpool(sign_in.sign_out, deps, cookie)
            response.delete_cookie(auth.cookie, path="/", secure=auth.https, httponly=True, samesite="strict")
        return response

    return [
        Route("/login", form, methods=["GET"]),
        Route("/login", enter, methods=["POST"]),
        Route("/logout", leave, methods=["POST"]),
    ]


def _set(response: Response, auth: AuthSettings, name: str, value: str, lasts: timedelta) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(lasts.total_seconds()),
        path="/",
        secure=auth.https,
        httponly=True,
        samesite="strict",
    )


def _sign_in(deps: Deps, given: dict[str, str], origin: str, browser: str) -> SignedIn | None:
    """Sign in by password; a token may be given instead, with or without a name."""
    secret = given.get("password", "")
    if secret.startswith(PREFIX):
        return sign_in.with_token(deps, secret.strip(), origin)
    return sign_in.with_password(deps, given.get("name", ""), secret, origin, browser)


def _local(path: str) -> str:
    """A path of this host, or nothing: signing in never leads elsewhere."""
    local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if local else ""
